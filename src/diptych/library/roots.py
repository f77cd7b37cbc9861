"""What a library is filled from: a folder, or a catalogue. Each says what there is, and opens what is wanted of it."""

import json
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol, Self

from diptych.images import PICTURE_SUFFIXES
from diptych.library.paths import absolute
from diptych.library.raw import RAW_SUFFIXES
from diptych.library.reading import IndexedFile, file_of
from diptych.library.video import VIDEO_SUFFIXES
from diptych.library.walk import FoundFile, Walk

_SUFFIXES: Final = PICTURE_SUFFIXES | RAW_SUFFIXES | VIDEO_SUFFIXES


class Root(Protocol):
    """A place of many pictures, gone through as often as asked."""

    @property
    def path(self) -> Path:
        """Its name in the library: absolute."""

    @property
    def kind(self) -> str:
        """As the table of roots has it."""

    @property
    def settings(self) -> str | None:
        """What is needed to go through it again, as JSON."""

    def scan(self) -> "Scan":
        """All that there is now, none of it opened."""

    def open(self, wanted: Sequence[FoundFile]) -> Iterable[IndexedFile]:
        """Some of what a scan found, in its order."""


@dataclass(kw_only=True)
class Scan:
    """What a root holds, and what could not be looked into."""

    found: list[FoundFile]
    within: str = ""  # the beginning of the paths that were gone through
    unread: tuple[str, ...] = ()  # beginnings of paths of which nothing is known now; "" for the root itself
    links: int = 0  # that were not followed
    faults: list[str] = field(default_factory=list)  # a line for each row that names no picture


@dataclass(frozen=True, kw_only=True)
class FolderRoot:
    """All pictures, RAW photos and videos under a folder, or those `within` a part of it (with a / at the end)."""

    path: Path
    hidden: bool = False
    follow_links: bool = False
    within: str = ""
    kind: str = "folder"

    @property
    def settings(self) -> str:
        """How it is gone through."""
        return json.dumps({"hidden": self.hidden, "follow_links": self.follow_links})

    @classmethod
    def from_settings(cls, path: Path, settings: str, *, within: str = "") -> Self:
        """The root that had these settings."""
        return cls(path=path, within=within, **json.loads(settings))

    def scan(self) -> Scan:
        """The files with the suffix of a picture, a RAW photo or a video."""
        walk = Walk(
            root=self.path,
            suffixes=_SUFFIXES,
            hidden=self.hidden,
            follow_links=self.follow_links,
            within=self.within,
        )
        found = list(walk)
        return Scan(found=found, within=self.within, unread=tuple(walk.unread), links=walk.links)

    def open(self, wanted: Sequence[FoundFile]) -> Iterator[IndexedFile]:
        """Each file, to be read by whoever decodes it."""
        for found in wanted:
            yield file_of(self.path, found)


def folder_roots(
    folders: Iterable[str | os.PathLike[str]], *, hidden: bool = False, follow_links: bool = False
) -> list[Root]:
    """Folders as roots of a library."""
    return [FolderRoot(path=absolute(folder), hidden=hidden, follow_links=follow_links) for folder in folders]
