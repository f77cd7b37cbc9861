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
from diptych.library.raw import RAW_SUFFIXES, read_raw
from diptych.library.video import VIDEO_SUFFIXES, FrameFile, frame_files, read_video
from diptych.library.walk import FoundFile

HASH_BYTES: Final = 16
_BLOCK: Final = 1 << 20


class UnreadFileError(ImageError):
    """A file that cannot be read now, by no fault of its own: a drive or a package is missing. It is tried again."""


class ChangingFileError(UnreadFileError):
    """A file that was written to, or went, while it was read: nothing that the next run would not find mended."""


class IndexedFile(Protocol):
    """What becomes a photo of a library. Once its looks are read, `hash`, `facts` and `found` are of what was read."""

    name: str
    found: FoundFile
    hash: bytes
    facts: PhotoFacts | None

    def identify(self) -> None:
        """Read as much as the hash needs. Raises ImageError."""

    def looks(self) -> "Sequence[Look]":
        """What the encoder reads, one after another: a picture, or frames of a video. Raises ImageError."""


class Look(Protocol):
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


class PhotoFile:
    """A file object for `open_image`, which a worker reads: so a queue of them holds names, not pictures.

    After `read`, `hash`, `facts` and `found` (size and mtime of what was read) are known.
    """

    second = None

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
        """All bytes. Raises ImageError."""
        data = self.read_bytes()
        self.facts = facts_in(data)
        return data

    def looks(self) -> Sequence[Look]:
        """Itself."""
        return [self]

    def identify(self) -> None:
        """Read it for its hash alone."""
        self.read_bytes()

    def read_bytes(self) -> bytes:
        """All bytes and their hash, whatever they are."""
        with _opened(self.path) as file:
            before = os.fstat(file.fileno())
            data = file.read()
            after = os.fstat(file.fileno())
        if _state(before) != _state(after) or len(data) != after.st_size:
            raise _changing(self.name)
        self.found = replace(self.found, size=after.st_size, mtime_ns=after.st_mtime_ns)
        self.hash = content_hash(data)
        return data


class RawFile(PhotoFile):
    """A camera's RAW photo: the preview in it is what is looked at."""

    def looks(self) -> Sequence[Look]:
        """Itself; ImageError where rawpy is not installed, before it is read."""
        if find_spec("rawpy") is None:
            raise UnreadFileError(
                f'{self.name}: RAW photos need rawpy, which is not installed: pip install "diptych[raw]"'
            )
        return [self]

    def read(self) -> bytes:
        """The preview."""
        raw = read_raw(self.read_bytes(), self.name)
        self.facts = raw.facts
        return raw.preview


class VideoFile:
    """A video: several frames of it are looked at. Its hash is that of the whole file."""

    def __init__(self, root: Path, found: FoundFile) -> None:
        self.path = root / found.path
        self.name = str(self.path)
        self.found = found
        self.hash = b""
        self.facts: PhotoFacts | None = None

    def looks(self) -> Sequence[Look]:
        """Frames from all over it. ImageError where there are none, or PyAV is not installed."""
        if find_spec("av") is None:
            raise UnreadFileError(
                f'{self.name}: videos need PyAV, which is not installed: pip install "diptych[video]"'
            )
        self.identify()
        self.facts = read_video(self.path)
        return [_VideoFrame(self, frame) for frame in frame_files(self.path, self.facts.seconds or 0.0)]

    def identify(self) -> None:
        """Read all of it for its hash."""
        digest = hashlib.sha256()
        with _opened(self.path) as file:
            before = os.fstat(file.fileno())
            while block := file.read(_BLOCK):
                digest.update(block)
            after = os.fstat(file.fileno())
        if _state(before) != _state(after):
            raise _changing(self.name)
        self.found = replace(self.found, size=after.st_size, mtime_ns=after.st_mtime_ns)
        self.hash = digest.digest()[:HASH_BYTES]

    def check_is_unchanged(self) -> None:
        """ChangingFileError for another file than `identify` read."""
        if _state(self.path.stat()) != (self.found.mtime_ns, self.found.size):
            raise _changing(self.name)


class _VideoFrame:
    """One of a video's frames, for as long as the video stays what it was."""

    def __init__(self, video: VideoFile, frame: FrameFile) -> None:
        self.name = video.name
        self._video, self._frame = video, frame

    @property
    def second(self) -> float:
        return self._frame.second

    def seekable(self) -> bool:
        return False

    def read(self) -> bytes:
        picture = self._frame.read()
        self._video.check_is_unchanged()
        return picture


def content_hash(data: bytes) -> bytes:
    """What tells the content of a file from any other: the first 16 bytes of its SHA-256."""
    return hashlib.sha256(data).digest()[:HASH_BYTES]


def facts_in(data: bytes) -> PhotoFacts | None:
    """What a picture says of itself; None of one that cannot be read, which is said better by whoever decodes it."""
    with suppress(ImageError):
        return facts_of(read_header(data))
    return None


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """A regular file; a pipe would wait for a writer. Raises ImageError, of the kind that tells what to make of it."""
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise ImageError(f"{path}: not a regular file")
            yield file
    except FileNotFoundError as error:
        raise ChangingFileError(f"{path}: is no longer there") from error
    except PermissionError as error:
        raise ImageError(f"{path}: permission denied") from error
    except OSError as error:
        raise UnreadFileError(f"{path}: {(error.strerror or str(error)).lower()}") from error


def _state(found: os.stat_result) -> tuple[int, int]:
    return found.st_mtime_ns, found.st_size


def _changing(name: str) -> ChangingFileError:
    return ChangingFileError(f"{name}: is being written to; it is tried again the next time")
