"""The bytes of image number i: a part of a large file, or a file of its own."""

import os
import threading
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from diptych.data.readers.index import Index
from diptych.data.readers.remote import local_copy

_OPEN_FILES = 64


class Images(Protocol):
    """Reads encoded images by number. Pickles; safe in threads."""

    def read(self, index: Index, number: int) -> bytes:
        """The whole of one image. Raises OSError, with a reason for people, where it cannot be read."""


@dataclass(frozen=True, kw_only=True)
class ImageFiles:
    """Every image is a file at `index.places`; a remote one is fetched when it is first read, and kept."""

    def read(self, index: Index, number: int) -> bytes:
        """The whole of one image."""
        return local_copy(index.places[number]).read_bytes()


class ImageSpans:
    """Images are parts of large files. `stamps` are what `file_stamp` said of the files when they were indexed."""

    def __init__(self, files: list[Path], stamps: list[tuple[int, int]]) -> None:
        self._files, self._stamps = files, stamps
        self._reset()

    def read(self, index: Index, number: int) -> bytes:
        """The whole of one image, in one read that moves no file position."""
        size, offset = int(index.sizes[number]), int(index.offsets[number])
        if size < 0:
            raise OSError("has no image")
        image = self._open(int(index.files[number])).read(size, offset)
        if len(image) < size:
            raise OSError(f"{self._files[int(index.files[number])]} ends within its image")
        return image

    def _open(self, file: int) -> "_OpenFile":
        with self._lock:
            if file in self._open_files:
                self._open_files.move_to_end(file)
            else:
                self._open_files[file] = _OpenFile(self._files[file], self._stamps[file])
                if len(self._open_files) > _OPEN_FILES:
                    self._open_files.popitem(last=False)
            return self._open_files[file]

    def _reset(self) -> None:
        self._lock = threading.Lock()
        self._open_files: OrderedDict[int, _OpenFile] = OrderedDict()

    def __getstate__(self) -> dict[str, Any]:
        return {"_files": self._files, "_stamps": self._stamps}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__ |= state
        self._reset()


class _OpenFile:
    """A descriptor that is closed when nobody holds it: a thread may still read what another one has put away."""

    def __init__(self, path: Path, stamp: tuple[int, int]) -> None:
        self._descriptor = -1
        self._descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_BINARY", 0))
        self._lock = threading.Lock()
        if file_stamp(os.fstat(self._descriptor)) != stamp:
            raise OSError(f"{path} has changed since it was indexed; start again")

    def read(self, size: int, offset: int) -> bytes:
        if hasattr(os, "pread"):
            return os.pread(self._descriptor, size, offset)
        with self._lock:  # Windows
            os.lseek(self._descriptor, offset, os.SEEK_SET)
            return os.read(self._descriptor, size)

    def __del__(self) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)


def file_stamp(status: os.stat_result) -> tuple[int, int]:
    """What tells a file from another version of it: its bytes and its modification time in nanoseconds."""
    return status.st_size, status.st_mtime_ns
