"""Paths as a database can hold them."""

import os
import sqlite3
from pathlib import Path
from typing import Final, Self

from diptych.errors import DiptychError
from diptych.files import is_web_address


def stored(path: str) -> str | bytes:
    """A path as text, or as bytes where the name is not UTF-8."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


def restored(path: str | bytes) -> str:
    """What `stored` was given."""
    return path if isinstance(path, str) else os.fsdecode(path)


LOCATED: Final = "roots.path AS root, roots.kind AS kind, photos.path AS path, photos.source AS source"
"""What `source_of` needs of a query over photos and roots."""


class Source(str):
    """Where a photo is, as text: a file's path, of a catalogue also an address, or TABLE#KEY of what lies in it.

    `is_file` says which, and `key` names the row of a catalogue. `root` is where the library has it from, and `name`
    what it is called there: its path in a folder, or its key.
    """

    is_file: bool
    key: str | None
    root: str
    name: str

    def __new__(cls, text: str, *, is_file: bool, root: str, name: str, key: str | None = None) -> Self:
        """A text with what it says."""
        made = super().__new__(cls, text)
        made.is_file, made.key, made.root, made.name = is_file, key, root, name
        return made

    @property
    def path(self) -> Path:
        """The file. DiptychError for a picture that is in none."""
        if not self.is_file:
            raise DiptychError(f"{self} is not a file: a catalogue names it, and says no more of where it is.")
        return Path(self)


def source_of(row: sqlite3.Row) -> Source:
    """Where the photo of a row is, which has the columns `LOCATED`."""
    root, path = restored(row["root"]), restored(row["path"])
    if row["kind"] == "folder":
        whole = os.path.join(root, path)  # noqa: PTH118 (a hundred thousand of them)
        return Source(whole, is_file=True, root=root, name=path)
    if row["source"] is None:
        return Source(f"{root}#{path}", is_file=False, key=path, root=root, name=path)
    source = restored(row["source"])
    return Source(source, is_file=not is_web_address(source), key=path, root=root, name=path)


def absolute(path: str | os.PathLike[str]) -> Path:
    """A path with links resolved, so that a folder named in two ways is one root."""
    return Path(os.fsdecode(path)).expanduser().resolve()


def default_folder() -> Path:
    """$DIPTYCH_LIBRARY, else diptych/library in the user's data directory (the XDG specification's)."""
    if chosen := os.environ.get("DIPTYCH_LIBRARY"):
        return Path(chosen).expanduser()
    base = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".local" / "share") / "diptych" / "library"


def lasting_name(model: str) -> str:
    """The name of a model as it holds from any folder: paths are made absolute."""
    return str(absolute(model)) if Path(model).exists() else model
