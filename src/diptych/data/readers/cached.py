"""Indexes kept in our cache: built once, then mapped into memory, which takes no time however long they are.

An index file is in the safetensors format, so that it is one file with all arrays aligned; worker processes share its
pages. It is named by a hash of what it was made from, so that it never goes stale.
"""

import hashlib
import json
import mmap
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from diptych.data.readers.index import Index
from diptych.data.readers.strings import StringLists, Strings
from diptych.data.sample import DataError
from diptych.files import atomic_write, cache_dir

_VERSION = 1  # of what is in an index, and of how readers fill it; a higher one leaves old files unused


def cache_path(identity: object, suffix: str) -> Path:
    """Where what was made of `identity` (plain data that changes whenever the result would) is kept."""
    digest = hashlib.blake2b(json.dumps([_VERSION, identity]).encode(), digest_size=16).hexdigest()
    return cache_dir("data") / f"{digest}.{suffix}"


def cached_index(identity: object, build: Callable[[], Index], needs: Sequence[Path] = ()) -> Path:
    """The file of the index of `identity`, built where it, or a file it `needs`, is not in the cache.

    Of several processes one builds it and the others wait. Raises DataError where the cache cannot be written to.
    """
    path = cache_path(identity, "index")
    files = (path, *needs)
    if not all(file.is_file() for file in files):
        with _alone(path):
            if not all(file.is_file() for file in files):
                _build(path, build)
    return path


@contextmanager
def _alone(path: Path) -> Iterator[None]:
    """Hold others off while `path` is made: without it, each process of a run would make its own.

    Where there are no such locks (Windows, some network file systems) that happens, and does no harm.
    """
    if os.name == "nt":
        yield
        return
    import fcntl

    with path.with_name(f"{path.name}.lock").open("w") as file:
        with suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        try:
            yield
        finally:
            Path(file.name).unlink(missing_ok=True)


def map_index(path: Path) -> Index:
    """An index file as it lies on disk, which takes a file descriptor; FileNotFoundError if it is no longer there."""
    with _undamaged(path), path.open("rb") as file:
        return _index_in(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ), path)


def read_index(path: Path) -> Index:
    """An index file in memory."""
    with _undamaged(path):
        return _index_in(path.read_bytes(), path)


@contextmanager
def _undamaged(path: Path) -> Iterator[None]:
    try:
        yield
    except (LookupError, TypeError, ValueError, RecursionError) as error:
        raise DataError(f"{path}, which Diptych has written, is damaged: delete it, and it is made again.") from error


def _index_in(content: bytes | mmap.mmap, path: Path) -> Index:
    header_size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + header_size])
    data = np.frombuffer(content, np.uint8, offset=8 + header_size)

    def array(name: str, dtype: npt.DTypeLike = np.int64) -> npt.NDArray[Any]:
        start, end = header[name]["data_offsets"]
        return data[start:end].view(dtype)

    def strings(name: str) -> Strings:
        return Strings(blob=array(f"{name}.blob", np.uint8), starts=array(f"{name}.starts"))

    def lists(name: str) -> StringLists:
        return StringLists(items=strings(f"{name}.items"), starts=array(f"{name}.starts"))

    return Index(
        keys=strings("keys"),
        captions=lists("captions"),
        class_names=lists("class_names"),
        files=array("files"),
        offsets=array("offsets"),
        sizes=array("sizes"),
        places=strings("places"),
        path=path,
    )


def _build(path: Path, build: Callable[[], Index]) -> None:
    from safetensors import SafetensorError

    try:
        _write(build(), path)
    except (OSError, SafetensorError) as error:  # of writing, for readers say DataError of what they cannot read
        reason = getattr(error, "strerror", None) or str(error)
        raise DataError(
            f"{path.parent} cannot be written to ({reason}); free space, or set DIPTYCH_CACHE to another folder."
        ) from error


def _write(index: Index, path: Path) -> None:
    from safetensors.numpy import save_file

    arrays: dict[str, npt.NDArray[Any]] = {"files": index.files, "offsets": index.offsets, "sizes": index.sizes}
    for name, texts in (("keys", index.keys), ("places", index.places)):
        arrays |= {f"{name}.blob": texts.blob, f"{name}.starts": texts.starts}
    for name, lists in (("captions", index.captions), ("class_names", index.class_names)):
        arrays |= {f"{name}.starts": lists.starts}
        arrays |= {f"{name}.items.blob": lists.items.blob, f"{name}.items.starts": lists.items.starts}
    with atomic_write(path) as temporary:
        save_file(arrays, temporary)
