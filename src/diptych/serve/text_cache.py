"""The vectors of texts that were asked for before: the same words come again and again."""

from collections import OrderedDict
from collections.abc import Iterable

from diptych.encode.encoder import Features


class TextCache:
    """The last texts with their (E,) unit vectors and their tokens' number, as many as fit `capacity_bytes`.

    For the thread of the loop.
    """

    def __init__(self, embed_dim: int, *, capacity_bytes: int = 64_000_000) -> None:
        self._row_bytes, self._left = 4 * embed_dim, capacity_bytes
        self._held: OrderedDict[str, tuple[Features, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._held)

    def find(self, text: str) -> Features | None:
        """The vector of a text, if it is held."""
        if text not in self._held:
            return None
        self._held.move_to_end(text)
        return self._held[text][0]

    def count_tokens(self, text: str) -> int | None:
        """How many tokens a text is, if it is held."""
        return self._held[text][1] if text in self._held else None

    def put(self, texts: Iterable[str], rows: Iterable[Features], tokens: Iterable[int]) -> None:
        """Hold these, in place of those that were not asked for the longest."""
        for text, row, count in zip(texts, rows, tokens, strict=True):
            if text not in self._held:
                self._left -= self._cost(text)
            self._held[text] = row.copy(), count  # a slice would keep its whole batch
            self._held.move_to_end(text)
        while self._left < 0 and len(self._held) > 1:
            self._left += self._cost(self._held.popitem(last=False)[0])

    def _cost(self, text: str) -> int:
        """Bytes, about: a text of few tokens may be one of many letters, of four bytes each."""
        return self._row_bytes + 4 * len(text)
