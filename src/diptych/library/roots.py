"""What a library is filled from: a folder, or a catalogue. Each says what there is, and opens what is wanted of it."""

import json
import os
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from diptych.images import PICTURE_SUFFIXES
from diptych.library.database import LibraryError
from diptych.library.paths import absolute, restored
from diptych.library.reading import IndexedFile, PhotoFile
from diptych.library.walk import FoundFile, Walk


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
    unread: tuple[str, ...] = ()  # beginnings of paths of which nothing is known now; "" for the root itself
    links: int = 0  # that were not followed
    faults: list[str] = field(default_factory=list)  # a line for each row that names no picture


@dataclass(frozen=True, kw_only=True)
class FolderRoot:
    """All pictures under a folder. `without` is a folder that is never entered."""

    path: Path
    hidden: bool = False
    follow_links: bool = False
    without: Path | None = None
    kind: str = "folder"

    @property
    def settings(self) -> str:
        """How it is gone through."""
        return json.dumps({"hidden": self.hidden, "follow_links": self.follow_links})

    def scan(self) -> Scan:
        """The files with a picture's suffix, by folder. LibraryError for a path that is no folder."""
        if self.path.exists() and not self.path.is_dir():
            raise LibraryError(f"{self.path} is a file: give the folder that holds it.")
        walk = Walk(
            root=self.path,
            suffixes=PICTURE_SUFFIXES,
            hidden=self.hidden,
            follow_links=self.follow_links,
            without=self.without,
        )
        found = list(walk)
        return Scan(found=found, unread=tuple(walk.unread), links=walk.links)

    def open(self, wanted: Sequence[FoundFile]) -> Iterator[IndexedFile]:
        """Each file, to be read by whoever decodes it."""
        for found in wanted:
            yield PhotoFile(self.path, found)


def folder_roots(
    folders: Iterable[str | os.PathLike[str]], *, library: Path, hidden: bool = False, follow_links: bool = False
) -> list[Root]:
    """Folders as roots of a library, whose own folder is never entered."""
    without = absolute(library)
    return [
        FolderRoot(path=absolute(folder), hidden=hidden, follow_links=follow_links, without=without)
        for folder in folders
    ]


def known_roots(database: sqlite3.Connection, library: Path) -> list[Root]:
    """All that a library was filled from, as it was gone through the last time."""
    roots: list[Root] = []
    for path, settings in database.execute("SELECT path, settings FROM roots ORDER BY path"):
        given = json.loads(settings or "{}")
        roots.append(FolderRoot(path=Path(restored(path)), without=absolute(library), **given))
    return roots
