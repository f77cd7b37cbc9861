"""Paths as a database can hold them."""

import os


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
