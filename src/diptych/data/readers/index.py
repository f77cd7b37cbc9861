"""What is known of every pair of a source without its image: key, texts, where the image lies."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from diptych.data.readers.strings import Integers, StringLists, Strings
from diptych.data.sample import Texts

# Told how far in a file its reader is, in bytes.
OnBytes = Callable[[int], None]


@dataclass(frozen=True, kw_only=True)
class Index:
    """N pairs. An image is `sizes` bytes from `offsets` on in file number `files`, or all of the file at `places`.

    files, offsets and sizes are (N,), or (0,) where `places` is used; a size of -1 says that there is no image.
    """

    keys: Strings
    captions: StringLists
    class_names: StringLists
    files: Integers
    offsets: Integers
    sizes: Integers
    places: Strings
    path: Path | None = None  # the file in the cache that holds it

    def __len__(self) -> int:
        return len(self.keys)

    @property
    def has_texts(self) -> bool:
        """Whether any pair has a caption or a class."""
        return len(self.captions.items) + len(self.class_names.items) > 0


class IndexBuilder:
    """Collects pairs one by one. Keys that come again get "#2", "#3"."""

    def __init__(self) -> None:
        self._keys: dict[str, None] = {}
        self._texts: list[Texts] = []
        self._spans: list[tuple[int, int]] = []
        self._places: list[str] = []

    def __len__(self) -> int:
        return len(self._texts)

    def add_span(self, key: str, texts: Texts, offset: int, size: int) -> None:
        """A pair whose image is a part of the file that is being indexed; a size of -1 for no image."""
        self._add(key, texts)
        self._spans.append((offset, size))

    def add_place(self, key: str, texts: Texts, place: str) -> None:
        """A pair whose image is a file of its own."""
        self._add(key, texts)
        self._places.append(place)

    def build(self) -> Index:
        """All pairs, in the order they were added."""
        spans = np.asarray(self._spans, np.int64).reshape(-1, 2)
        return Index(
            keys=Strings.of(self._keys),
            captions=StringLists.of([texts.captions for texts in self._texts]),
            class_names=StringLists.of([texts.class_names for texts in self._texts]),
            files=np.zeros(len(spans), np.int64),
            offsets=np.ascontiguousarray(spans[:, 0]),
            sizes=np.ascontiguousarray(spans[:, 1]),
            places=Strings.of(self._places),
        )

    def _add(self, key: str, texts: Texts) -> None:
        unique, again = key, 1
        while unique in self._keys:
            again += 1
            unique = f"{key}#{again}"
        self._keys[unique] = None
        self._texts.append(texts)


def joined(parts: Sequence[Index], names: Sequence[str]) -> Index:
    """The pairs of several files as one index, keys with the file's name before them if any two files share one."""
    keys = Strings.joined([part.keys for part in parts])
    if _has_repeats(keys):
        keys = Strings.of(
            f"{name}/{part.keys[i]}" for name, part in zip(names, parts, strict=True) for i in range(len(part))
        )
    return Index(
        keys=keys,
        captions=StringLists.joined([part.captions for part in parts]),
        class_names=StringLists.joined([part.class_names for part in parts]),
        files=np.repeat(np.arange(len(parts)), [len(part) for part in parts]),
        offsets=np.concatenate([part.offsets for part in parts]),
        sizes=np.concatenate([part.sizes for part in parts]),
        places=Strings.of(()),
    )


def _has_repeats(keys: Strings) -> bool:
    hashes = np.fromiter((hash(keys[i]) for i in range(len(keys))), np.int64, len(keys))
    return len(np.unique(hashes)) < len(keys)  # two keys of one hash only make keys longer
