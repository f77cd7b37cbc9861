"""Files of photos, opened only where they lie within the library's folders at that moment, links resolved."""

import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from io import FileIO
from pathlib import Path
from typing import Final

from diptych.serve.problems import Problem

_READ: Final = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)
_UNLINKED: Final = _READ | getattr(os, "O_NOFOLLOW", 0)
_HAS_PATHS: Final = os.path.isdir("/dev/fd")  # noqa: PTH112 (before anything is served)


@dataclass(frozen=True, kw_only=True)
class PhotoFile:
    """An open file; `path` is one by which it can be read until it is closed, whatever is put in its place."""

    file: FileIO  # closed once nobody holds it: a request may end at any moment
    path: Path
    status: os.stat_result


def open_photo(path: Path, folders: Sequence[Path]) -> PhotoFile:
    """A regular file for reading. A Problem: 404 where it is gone or cannot be read, 403 where it lies elsewhere.

    A link may lead to another place within the folders, and nowhere else.
    """
    try:
        found = path.resolve(strict=True)
        folder = next((folder for folder in folders if found.is_relative_to(folder)), None)
        if folder is None:
            raise _elsewhere()
        descriptor = _open_below(folder, found.relative_to(folder).parts)
    except (OSError, RuntimeError) as error:  # the latter for links in a circle
        raise _gone() from error
    file = FileIO(descriptor)
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        file.close()
        raise _gone()
    return PhotoFile(file=file, path=Path(f"/dev/fd/{descriptor}") if _HAS_PATHS else found, status=status)


@contextmanager
def opened_photo(path: Path, folders: Sequence[Path]) -> Iterator[PhotoFile]:
    """`open_photo` for a block."""
    opened = open_photo(path, folders)
    with opened.file:
        yield opened


def _open_below(folder: Path, parts: Sequence[str]) -> int:
    """Through the folders one by one, none of which is a link: one that came since the path was resolved is refused."""
    waiting = getattr(os, "O_NONBLOCK", 0)  # a pipe would wait for a writer
    if os.open not in os.supports_dir_fd:
        return os.open(folder.joinpath(*parts), _UNLINKED | waiting)
    descriptor = os.open(folder, _READ | os.O_DIRECTORY)
    for place, part in enumerate(parts, start=1):
        kind = waiting if place == len(parts) else os.O_DIRECTORY
        try:
            inner = os.open(part, _UNLINKED | kind, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor


def _gone() -> Problem:
    detail = "The file of this photo is not there any more, or cannot be read: index its root again."
    return Problem(404, "file-gone", "The file is gone", detail)


def _elsewhere() -> Problem:
    detail = "The file of this photo is a link to outside of the library's folders, or lies there: it is not served."
    return Problem(403, "file-elsewhere", "The file lies elsewhere", detail)
