"""One file on its way into a library: its bytes, their hash and what they say of the picture, of one moment."""

import hashlib
import os
import stat
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import BinaryIO, Final, Protocol, cast

from diptych.errors import ImageError
from diptych.images import read_header
from diptych.library.metadata import PhotoFacts, facts_of
from diptych.library.walk import FoundFile

HASH_BYTES: Final = 16


class ChangingFileError(ImageError):
    """A file that was written to while it was read: nothing that the next run would not find mended."""


class IndexedFile(Protocol):
    """What becomes a photo of a library. Once its looks are read, `hash`, `facts` and `found` are of what was read."""

    name: str
    found: FoundFile
    hash: bytes
    facts: PhotoFacts | None

    def identify(self) -> None:
        """Read as much as the hash needs. Raises ImageError or OSError."""

    def looks(self) -> Sequence[tuple[BinaryIO, float | None]]:
        """What the encoder reads, one after another: a picture; or frames of a video with their seconds."""


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

    def looks(self) -> Sequence[tuple[BinaryIO, float | None]]:
        """Itself: as much of a file as is needed to read it once."""
        return [(cast(BinaryIO, self), None)]

    def identify(self) -> None:
        """Read it for its hash alone."""
        self.read_bytes()

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
        self.found = replace(self.found, size=after.st_size, mtime_ns=after.st_mtime_ns)
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
