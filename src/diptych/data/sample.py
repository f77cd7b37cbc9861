"""What every reader gives: an encoded image with the texts that belong to it."""

from dataclasses import dataclass
from typing import Protocol

from diptych.errors import DiptychError


class DataError(DiptychError):
    """A source of pairs that cannot be used: not found, not readable, a column missing, nothing in it."""


class SampleError(DiptychError):
    """One pair that cannot be used: the image unreadable, no text. A few may be skipped; the line names the pair."""


@dataclass(frozen=True, kw_only=True)
class Texts:
    """What is known of an image in words. A captioned image has `captions`, a labelled one `class_names`, or both.

    The first class name is the class; the others are synonyms or broader names.
    """

    captions: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One encoded image (JPEG, PNG, WebP ... bytes) and its texts. `key` names it within its source."""

    key: str
    image: bytes
    texts: Texts


class Source(Protocol):
    """Pairs by number, 0 to len - 1, in an order that never changes. Pickles, for worker processes; safe in threads."""

    @property
    def name(self) -> str:
        """What the config calls it."""

    def __len__(self) -> int: ...

    def key(self, index: int) -> str:
        """The name of one pair, without reading its image."""

    def texts(self, index: int) -> Texts:
        """The words of one pair, without reading its image."""

    def read(self, index: int) -> Sample:
        """One pair. Raises SampleError, in one line that names the pair, where it cannot be read."""
