"""The files of a folder that are to be indexed, with what tells whether they changed; none of them is opened."""

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from pathspec import GitIgnoreSpec

from diptych.errors import DiptychError

IGNORE_FILE: Final = ".diptychignore"
LIBRARY_FILE: Final = "library.db"
_LAST_TIME: Final = 2**63 - 1


@dataclass(frozen=True, slots=True)
class FoundFile:
    """`path` is relative to the root, its parts joined by /; names that are not UTF-8 are as os.fsdecode gives them.

    In a catalogue `path` is the row's key, and the rest what the row says: where the picture is (None: in the row
    itself), its text, and its other columns as a JSON object. What has no mtime has a number that changes with it.
    """

    path: str
    size: int
    mtime_ns: int
    source: str | None = None
    text: str | None = None
    fields: str | None = None


def storable_time(mtime_ns: int) -> int:
    """A file's time as SQLite can hold it: up to the year 2262, or the nearest that is."""
    return max(-_LAST_TIME - 1, min(mtime_ns, _LAST_TIME))


@dataclass(kw_only=True)
class Walk:
    """One pass over a root, and what it had to leave out.

    `suffixes` are lower-case with their dot. Links are not followed unless asked for; then a folder is entered once.
    A folder that holds a library is never entered: its thumbnails are no photos. `within` is the part of the root to go
    through, with a / at the end.
    """

    root: Path
    suffixes: frozenset[str]
    hidden: bool = False
    follow_links: bool = False
    within: str = ""
    unread: list[str] = field(default_factory=list)  # folders whose files are unknown, with a / at the end
    links: int = 0  # that were not followed

    def __iter__(self) -> Iterator[FoundFile]:
        entered = {self._identity(self.root)} if self.follow_links else set()
        folders: list[tuple[str, tuple[_Rules, ...]]] = [(self.within, self._rules_above())]
        while folders:
            folder, rules = folders.pop()
            entries = self._entries(folder)
            if any(entry.name == LIBRARY_FILE for entry in entries):
                continue
            rules = self._with_own_rules(folder, rules, entries)
            for entry in entries:
                path = folder + entry.name
                if not self.hidden and entry.name.startswith("."):
                    continue
                try:
                    if entry.is_symlink() and not self.follow_links:
                        self.links += 1
                    elif entry.is_dir():
                        if not _is_ignored(path + "/", rules) and self._is_new(path, entered):
                            folders.append((path + "/", rules))
                    elif self._is_wanted(entry.name) and entry.is_file() and not _is_ignored(path, rules):
                        found = entry.stat()
                        yield FoundFile(path, found.st_size, storable_time(found.st_mtime_ns))
                except OSError:  # gone since, or a link to nothing
                    continue

    def _rules_above(self) -> "tuple[_Rules, ...]":
        """Those of the folders that the part lies in."""
        rules: tuple[_Rules, ...] = ()
        parts = self.within.split("/")[:-1]
        for depth in range(len(parts)):
            folder = "".join(f"{part}/" for part in parts[:depth])
            rules = self._with_own_rules(folder, rules, self._entries(folder))
        return rules

    def _entries(self, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(self.root / folder) as entries:
                return sorted(entries, key=lambda entry: entry.name)
        except OSError:
            self.unread.append(folder)
            return []

    def _with_own_rules(
        self, folder: str, rules: "tuple[_Rules, ...]", entries: list[os.DirEntry[str]]
    ) -> "tuple[_Rules, ...]":
        if not any(entry.name == IGNORE_FILE for entry in entries):
            return rules
        file = self.root / folder / IGNORE_FILE
        try:
            if not file.is_file():  # a pipe would wait for a writer
                raise ValueError("not a regular file")
            spec = GitIgnoreSpec.from_lines(file.read_text(encoding="utf-8-sig").splitlines())
        except (OSError, ValueError) as error:
            raise DiptychError(f"{file} cannot be used ({error}): it holds patterns as .gitignore does.") from error
        return (*rules, _Rules(folder, spec))

    def _is_wanted(self, name: str) -> bool:
        return ("." + name.rpartition(".")[2].lower()) in self.suffixes

    def _is_new(self, path: str, entered: set[tuple[int, int]]) -> bool:
        """Whether a folder was not entered by another way, where links make that possible."""
        if not self.follow_links:
            return True
        identity = self._identity(self.root / path)
        is_new = identity not in entered
        entered.add(identity)
        return is_new

    @staticmethod
    def _identity(folder: Path) -> tuple[int, int]:
        found = folder.stat()
        return found.st_dev, found.st_ino


@dataclass(frozen=True)
class _Rules:
    """The patterns of one ignore file, for what lies under its folder."""

    folder: str
    spec: GitIgnoreSpec


def _is_ignored(path: str, rules: tuple[_Rules, ...]) -> bool:
    """As git has it: the last file that says something of a path decides."""
    for each in reversed(rules):
        result = each.spec.check_file(path.removeprefix(each.folder))
        if result.include is not None:
            return bool(result.include)
    return False
