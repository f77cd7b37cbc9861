"""One file on its way into a library: its bytes, their hash and what they say of the picture, of one moment."""

import hashlib
import os
import stat
from contextlib import suppress
from pathlib import Path
from typing import Final

from diptych.errors import ImageError
from diptych.images import read_header
from diptych.library.metadata import PhotoFacts, facts_of
from diptych.library.walk import FoundFile

HASH_BYTES: Final = 16


class ChangingFileError(ImageError):
    """A file that was written to while it was read: nothing that the next run would not find mended."""


class PhotoFile:
    """A file object for `open_image`, which a worker reads: so a queue of them holds names, not pictures.

    After `read`, `hash`, `facts` and `found` (size and mtime of what was read) are known.
    """

    def __init__(self, root: Path, found: FoundFile) -> None:
        self.path = root / found.path
        self.name = str(self.path)
        self.found = found
        self.hash = b""
        self.facts: PhotoFacts | None = None

    def seekable(self) -> bool:
        """No: it is read once."""
        return False

    def read(self) -> bytes:
        """All bytes. ChangingFileError for a file that changes meanwhile; OSError as the file system has it."""
        data = self.read_bytes()
        self.facts = facts_in(data)
        return data

    def read_bytes(self) -> bytes:
        """All bytes and their hash, whatever they are."""
        descriptor = os.open(self.path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            before = os.fstat(descriptor)
            if not stat.S_ISREG(before.st_mode):
                raise ImageError(f"{self.name}: not a regular file")
            data = file.read()
            after = os.fstat(descriptor)
        if (before.st_mtime_ns, before.st_size) != (after.st_mtime_ns, after.st_size) or len(data) != after.st_size:
            raise ChangingFileError(f"{self.name}: is being written to; it is tried again the next time")
        self.found = FoundFile(self.found.path, after.st_size, after.st_mtime_ns)
        self.hash = content_hash(data)
        return data


def content_hash(data: bytes) -> bytes:
    """What tells the content of a file from any other: the first 16 bytes of its SHA-256."""
    return hashlib.sha256(data).digest()[:HASH_BYTES]


def facts_in(data: bytes) -> PhotoFacts | None:
    """What a picture says of itself; None of one that cannot be read, which is said better by whoever decodes it."""
    with suppress(ImageError):
        return facts_of(read_header(data))
    return None
