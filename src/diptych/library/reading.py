"""One file on its way into a library: its bytes, their hash and what they say of the picture, of one moment."""

import hashlib
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import BinaryIO, Final, Protocol

from diptych.errors import ImageError
from diptych.images import read_header
from diptych.library.metadata import PhotoFacts, facts_of
from diptych.library.raw import RAW_SUFFIXES, RAWPY_IS_MISSING, read_raw
from diptych.library.video import VIDEO_SUFFIXES, frame_files, read_video
from diptych.library.video_decoding import PYAV_IS_MISSING
from diptych.library.walk import FoundFile, storable_time

HASH_BYTES: Final = 16
_BLOCK: Final = 1 << 20


class TransientReadError(ImageError):
    """A file that cannot be read now, by no fault of its own: a drive or a package is missing. It is tried again."""


class ChangingFileError(TransientReadError):
    """A file that was written to, or went, while it was read: nothing that the next run would not find mended."""


class IndexedFile(Protocol):
    """What becomes a photo of a library. Once its inputs are read, `hash`, `facts` and `found` are of what was read."""

    name: str
    found: FoundFile
    hash: bytes
    facts: PhotoFacts | None

    def identify(self) -> None:
        """Read as much as the hash needs. Raises ImageError."""

    def inputs(self) -> "Sequence[EncoderInput]":
        """What the encoder reads, one after another: a picture, or frames of a video. Raises ImageError."""


class EncoderInput(Protocol):
    """As much of a file object as `open_image` needs to read it once; `second` is when in a video, known once read."""

    @property
    def second(self) -> float | None:
        """None of a picture."""

    def seekable(self) -> bool:
        """No."""

    def read(self) -> bytes:
        """A picture. Raises ImageError."""


def file_of(root: Path, found: FoundFile) -> IndexedFile:
    """A picture, a RAW photo or a video, by the suffix of its name."""
    suffix = "." + found.path.rpartition(".")[2].lower()
    if suffix in VIDEO_SUFFIXES:
        return VideoFile(root, found)
    return RawFile(root, found) if suffix in RAW_SUFFIXES else PhotoFile(root, found)


class _FileOnDisk:
    """A file under a root. Once it is read, `hash`, `facts` and `found` (size and mtime) are of what was read."""

    def __init__(self, root: Path, found: FoundFile) -> None:
        self.path = root / found.path
        self.name = str(self.path)
        self.found = found
        self.hash = b""
        self.facts: PhotoFacts | None = None

    @contextmanager
    def _opened(self) -> Iterator[BinaryIO]:
        """The file, to be read to its end; ChangingFileError where it is written to meanwhile."""
        with _regular_file(self.path) as file:
            before = _state(os.fstat(file.fileno()))
            yield file
            mtime_ns, size = after = _state(os.fstat(file.fileno()))
            if before != after or file.tell() != size:
                raise self._changing()
        self.found = replace(self.found, size=size, mtime_ns=mtime_ns)

    def _changing(self) -> ChangingFileError:
        return ChangingFileError(f"{self.name}: is being written to; it is tried again the next time")


class PhotoFile(_FileOnDisk):
    """A file object for `open_image`, which a worker reads: so a queue of them holds names, not pictures."""

    second = None

    def seekable(self) -> bool:
        """No: it is read once."""
        return False

    def read(self) -> bytes:
        """All bytes. Raises ImageError."""
        data = self.read_bytes()
        self.facts = facts_in(data)
        return data

    def inputs(self) -> Sequence[EncoderInput]:
        """Itself."""
        return [self]

    def identify(self) -> None:
        """Read it for its hash alone."""
        self.read_bytes()

    def read_bytes(self) -> bytes:
        """All bytes and their hash, whatever they are."""
        with self._opened() as file:
            data = file.read()
        self.hash = content_hash(data)
        return data


class RawFile(PhotoFile):
    """A camera's RAW photo: the preview in it is what is looked at."""

    def inputs(self) -> Sequence[EncoderInput]:
        """Itself; ImageError where rawpy is not installed, before it is read."""
        if find_spec("rawpy") is None:
            raise TransientReadError(f"{self.name}: {RAWPY_IS_MISSING}")
        return [self]

    def read(self) -> bytes:
        """The preview."""
        raw = read_raw(self.read_bytes(), self.name)
        self.facts = raw.facts
        return raw.preview


class VideoFile(_FileOnDisk):
    """A video: several frames of it are looked at. Its hash is that of the whole file."""

    def inputs(self) -> Sequence[EncoderInput]:
        """Frames from all over it. ImageError where there are none, or PyAV is not installed."""
        if find_spec("av") is None:
            raise TransientReadError(f"{self.name}: {PYAV_IS_MISSING}")
        self.identify()
        self.facts = read_video(self.path)
        return frame_files(self.path, self.facts.seconds or 0.0, check=self._check_is_unchanged)

    def identify(self) -> None:
        """Read all of it for its hash."""
        digest = hashlib.sha256()
        with self._opened() as file:
            while block := file.read(_BLOCK):
                digest.update(block)
        self.hash = digest.digest()[:HASH_BYTES]

    def _check_is_unchanged(self) -> None:
        """ChangingFileError for another file than `identify` read."""
        if _state(self.path.stat()) != (self.found.mtime_ns, self.found.size):
            raise self._changing()


def content_hash(data: bytes) -> bytes:
    """What tells the content of a file from any other: the first 16 bytes of its SHA-256."""
    return hashlib.sha256(data).digest()[:HASH_BYTES]


def facts_in(data: bytes) -> PhotoFacts | None:
    """What a picture says of itself; None of one that cannot be read, which is said better by whoever decodes it."""
    with suppress(ImageError):
        return facts_of(read_header(data))
    return None


@contextmanager
def _regular_file(path: Path) -> Iterator[BinaryIO]:
    """A regular file; a pipe would wait for a writer. Raises ImageError, of the kind that tells what to make of it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ImageError(f"{path}: not a regular file")
            yield file
    except FileNotFoundError as error:
        raise ChangingFileError(f"{path}: no such file or directory") from error
    except PermissionError as error:
        raise ImageError(f"{path}: permission denied") from error
    except OSError as error:
        raise TransientReadError(f"{path}: {(error.strerror or str(error)).lower()}") from error


def _state(found: os.stat_result) -> tuple[int, int]:
    return storable_time(found.st_mtime_ns), found.st_size
