"""What the library's folders and tables are called outside: names in place of paths."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from diptych.library.filters import Filters
from diptych.library.paths import Source
from diptych.library.photo_details import PhotoDetails
from diptych.library.roots import Root
from diptych.serve.problems import Problem

_NAMED: Final = 12  # in one line
_PATH: Final = re.compile(r"(?<![\w/:.])(?:file://)?/(?:[^\s/'\":,;()]+/)*([^\s/'\":,;()]+)")


@dataclass(frozen=True, kw_only=True)
class NamedRoot:
    """A folder or a table by the name it goes by; `known` is what the library has of it, if it has gone through it."""

    name: str
    path: Path
    known: Root | None

    @property
    def filters(self) -> Filters:
        """What lets only its photos through."""
        return Filters(folder=self.path) if self.known is None else Filters(root=self.path)


class RootNames:
    """Those that the operator named, and what else the library was filled from, by the last part of its path."""

    def __init__(self, configured: Mapping[str, Path], known: Sequence[Root]) -> None:
        by_path = {root.path: root for root in known}
        self._by_name = {
            name: NamedRoot(name=name, path=path, known=by_path.pop(path, None)) for name, path in configured.items()
        }
        for path, root in by_path.items():
            name = self._free_name(as_text(path.name) or "root")
            self._by_name[name] = NamedRoot(name=name, path=path, known=root)
        self._longest_first = sorted(self._by_name.values(), key=lambda root: -len(str(root.path)))

    def __iter__(self) -> Iterator[NamedRoot]:
        return iter(self._by_name.values())

    def find(self, name: str) -> NamedRoot:
        """The root of this name; a Problem for none."""
        if name not in self._by_name:
            more = " and others" if len(self._by_name) > _NAMED else ""
            names = ", ".join(list(self._by_name)[:_NAMED]) or "none"
            detail = f"There is no root {name[:100]!r}; those that there are: {names}{more}."
            raise Problem(422, "no-such-root", "No such root", detail)
        return self._by_name[name]

    def folders_of(self, photo: PhotoDetails) -> list[Path]:
        """Within which its file may lie: all folders, and for what a table names that of the table, too."""
        folders = [root.path for root in self if root.known is None or root.known.kind == "folder"]
        return [*folders, Path(photo.source.root).parent] if photo.is_from_table else folders

    def place(self, source: Source) -> tuple[str, str]:
        """The root that a photo is from, and what it is called there."""
        own = next((root for root in self if str(root.path) == source.root), None)
        if own is None:  # came since the roots were listed
            return as_text(Path(source.root).name), as_text(_without_folders(source.name))
        if own.known is not None and own.known.kind != "folder":
            return own.name, as_text(_without_folders(source.name))
        within = next(root for root in self._longest_first if _lies_in(source, root.path))
        return within.name, as_text(os.path.relpath(source, within.path))

    def without_paths(self, text: str) -> str:
        """A message with names in place of paths."""
        for root in self._longest_first:
            text = text.replace(str(root.path), root.name)
        return as_text(_PATH.sub(r"\1", text))

    def _free_name(self, name: str) -> str:
        taken, number = name, 2
        while taken in self._by_name:
            taken, number = f"{name}-{number}", number + 1
        return taken


def as_text(name: str) -> str:
    """A name that JSON can hold: what is not UTF-8 in it becomes question marks."""
    return name.encode("utf-8", "replace").decode()


def _lies_in(source: str, folder: Path) -> bool:
    return source.startswith(os.path.join(folder, ""))  # noqa: PTH118 (of many photos)


def _without_folders(key: str) -> str:
    """The key of a row; of one that is a path of this machine its last part."""
    return key.rpartition("/")[2] if key.startswith(("/", "~", "file:")) else key
