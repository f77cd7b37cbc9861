"""Millions of short texts in little memory: one block of UTF-8 and an array of where each begins."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Self

import numpy as np
import numpy.typing as npt

Bytes = npt.NDArray[np.uint8]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, kw_only=True)
class Strings:
    """N texts: number i is blob[starts[i]:starts[i + 1]], UTF-8 with undecodable bytes of file names kept.

    blob is (bytes,), starts (N + 1,) and begins with 0.
    """

    blob: Bytes
    starts: Integers

    @classmethod
    def of(cls, texts: Iterable[str]) -> Self:
        """Pack texts, in their order."""
        encoded = [text.encode("utf-8", "surrogateescape") for text in texts]
        return cls(blob=np.frombuffer(b"".join(encoded), np.uint8), starts=_starts([len(text) for text in encoded]))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The texts of all parts, one part after the other."""
        return cls(blob=np.concatenate([part.blob for part in parts]), starts=joined_starts([p.starts for p in parts]))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, number: int) -> str:
        return self.blob[self.starts[number] : self.starts[number + 1]].tobytes().decode("utf-8", "surrogateescape")


@dataclass(frozen=True, kw_only=True)
class StringLists:
    """N lists of texts: number i is items[starts[i]:starts[i + 1]]. starts is (N + 1,) and begins with 0."""

    items: Strings
    starts: Integers

    @classmethod
    def of(cls, lists: Sequence[Sequence[str]]) -> Self:
        """Pack lists, in their order."""
        return cls(items=Strings.of(chain.from_iterable(lists)), starts=_starts([len(texts) for texts in lists]))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> Self:
        """The lists of all parts, one part after the other."""
        items = Strings.joined([part.items for part in parts])
        return cls(items=items, starts=joined_starts([part.starts for part in parts]))

    def __len__(self) -> int:
        return len(self.starts) - 1

    def __getitem__(self, number: int) -> tuple[str, ...]:
        return tuple(self.items[i] for i in range(self.starts[number], self.starts[number + 1]))


def joined_starts(parts: Sequence[Integers]) -> Integers:
    """The starts of all parts, one part after the other, as one array."""
    return _starts(np.concatenate([np.diff(part) for part in parts]))


def _starts(lengths: Sequence[int] | Integers) -> Integers:
    return np.concatenate([np.zeros(1, np.int64), np.cumsum(np.asarray(lengths, np.int64))])
