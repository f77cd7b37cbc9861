"""The vectors of texts that were asked for before: the same words come again and again."""

from collections import OrderedDict
from collections.abc import Iterable

from diptych.encode.encoder import Features


class TextCache:
    """The last texts with their (E,) unit vectors, as many as fit `capacity_bytes`. For the thread of the loop."""

    def __init__(self, embed_dim: int, *, capacity_bytes: int = 64_000_000) -> None:
        self._most = max(1, capacity_bytes // (4 * embed_dim))
        self._rows: OrderedDict[str, Features] = OrderedDict()

    def __len__(self) -> int:
        return len(self._rows)

    def find(self, text: str) -> Features | None:
        """The vector of a text, if it is held."""
        row = self._rows.get(text)
        if row is not None:
            self._rows.move_to_end(text)
        return row

    def put(self, texts: Iterable[str], rows: Iterable[Features]) -> None:
        """Hold these, in place of those that were not asked for the longest."""
        for text, row in zip(texts, rows, strict=True):
            self._rows[text] = row.copy()  # a slice would keep its whole batch
            self._rows.move_to_end(text)
        while len(self._rows) > self._most:
            self._rows.popitem(last=False)
