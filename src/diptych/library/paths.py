"""Paths as a database can hold them."""

import os
import sqlite3
from pathlib import Path
from typing import Final


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


def source_of(row: sqlite3.Row) -> tuple[str, bool]:
    """Where a photo is, and whether that is a file; of a catalogue it may be an address, or TABLE#KEY."""
    root, path = restored(row["root"]), restored(row["path"])
    if row["kind"] == "folder":
        return os.path.join(root, path), True  # noqa: PTH118 (a hundred thousand of them)
    if row["source"] is None:
        return f"{root}#{path}", False
    source = restored(row["source"])
    return source, not source.lower().startswith(("http://", "https://"))


def absolute(path: str | os.PathLike[str]) -> Path:
    """A path with links resolved, so that a folder named in two ways is one root."""
    return Path(os.fsdecode(path)).expanduser().resolve()
