"""Files wherever they are: on this machine, or at a URL that fsspec can open, fetched whole into our cache.

A *place* is a path or a URL, as a string.
"""

import hashlib
import os
import stat
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import quote, urlsplit
from urllib.request import url2pathname

from diptych.data.sample import DataError
from diptych.errors import FetchError, needs_extra
from diptych.files import atomic_write, cache_dir
from diptych.progress import Progress

_BLOCK = 1 << 22
_FETCHES = 8  # at a time


@dataclass(frozen=True, kw_only=True)
class Listing:
    """The files and folders in a folder, as sorted places."""

    files: tuple[str, ...]
    folders: tuple[str, ...]


def is_remote(place: str) -> bool:
    """Whether a place is a URL."""
    return "://" in place


def without_file_scheme(place: str) -> str:
    """A file:// URL as a path; any other place as it is."""
    return url2pathname(urlsplit(place).path) if place.startswith("file://") else place


def join(root: str, name: str) -> str:
    """The place `name` in `root`; a name that is a place by itself stays it."""
    if not is_remote(root):
        return str(Path(root) / name)
    if is_remote(name):
        return name
    return f"{root.rstrip('/')}/{quote(name) if _is_http(root) else name}"


def parent(place: str) -> str:
    """The folder that a place is in."""
    return place.rstrip("/").rsplit("/", 1)[0] if is_remote(place) else str(Path(place).parent)


def last_part(place: str) -> str:
    """The name of a place in its folder."""
    return PurePosixPath(urlsplit(place).path).name if is_remote(place) else Path(place).name


def is_folder(place: str) -> bool:
    """Whether a folder is there; over http(s) nothing is one, since nothing can be listed there."""
    if not is_remote(place):
        return Path(place).is_dir()
    return not _is_http(place) and bool(_asked(place, "isdir"))


def exists(place: str) -> bool:
    """Whether anything is there or was fetched from there; for http(s) only a fetch can tell, so it is assumed."""
    if not is_remote(place):
        return Path(place).exists()
    if _is_http(place):
        return not any(sign in urlsplit(place).path for sign in "*[")
    return _copy_of(place).is_file() or bool(_asked(place, "exists"))


def matches(pattern: str) -> list[str]:
    """The places that a glob pattern of a URL matches, sorted."""
    if _is_http(pattern):
        raise DataError(f"{pattern}: over http nothing can be listed; write {{000..009}} for a range, or a list.")
    protocol = pattern.split("://", 1)[0]
    return sorted(f"{protocol}://{str(path).lstrip('/')}" for path in _asked(pattern, "glob"))


def listing(folder: str) -> Listing:
    """What is in a folder, but for names that begin with a dot."""
    if is_remote(folder):
        protocol = folder.split("://", 1)[0]
        entries = [
            (f"{protocol}://{str(entry['name']).strip('/')}", entry["type"] == "directory")
            for entry in _asked(folder, "ls", detail=True)
        ]
    else:
        try:
            with os.scandir(folder) as found:
                entries = [(entry.path, entry.is_dir()) for entry in found]
        except OSError as error:
            raise DataError(f"{folder} cannot be listed ({error.strerror}).") from error
    shown = sorted((place, is_dir) for place, is_dir in entries if not last_part(place).startswith("."))
    return Listing(
        files=tuple(place for place, is_dir in shown if not is_dir),
        folders=tuple(place for place, is_dir in shown if is_dir),
    )


def local_copy(place: str, progress: Progress | None = None) -> Path:
    """A file on this machine with what is at `place`: itself, or a copy in our cache, fetched once and then kept.

    Raises DataError where it cannot be fetched, or is a pipe, a socket or a device, which can be waited for for ever.
    """
    if not is_remote(place):
        return _checked(Path(place))
    path = _copy_of(place)
    if not path.is_file():
        _fetch(place, path, progress)
    return path


def local_copies(places: Iterable[str]) -> list[Path]:
    """`local_copy` of each, several at a time."""
    places = list(places)
    if not any(map(is_remote, places)):
        return [local_copy(place) for place in places]
    with Progress(total=None, label="Fetching", unit="B") as progress, ThreadPoolExecutor(_FETCHES) as pool:
        try:
            return list(pool.map(lambda place: local_copy(place, progress), places))
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _checked(path: Path) -> Path:
    try:
        mode = path.stat().st_mode
    except (OSError, ValueError):  # whoever opens it says why that cannot be done
        return path
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise DataError(f"{path} is not a regular file: put a file with its content there.")
    return path


def _copy_of(place: str) -> Path:
    digest = hashlib.blake2b(place.encode(), digest_size=12).hexdigest()
    return cache_dir("data", "remote") / f"{digest}-{last_part(place)[-80:]}"


def _fetch(place: str, path: Path, progress: Progress | None) -> None:
    if _is_http(place):
        from diptych.fetch import download  # resumes, and needs no other package

        had = 0

        def count(done: int, _: int | None) -> None:
            nonlocal had
            if progress is not None:
                progress.advance(done - had)
            had = done

        try:
            download(place, path, on_progress=count)
        except FetchError as error:
            raise DataError(str(error)) from error
        return
    try:
        filesystem, remote_path = _filesystem(place)
        with filesystem.open(remote_path, "rb") as source, atomic_write(path) as temporary, temporary.open("wb") as out:
            while block := source.read(_BLOCK):
                out.write(block)
                if progress is not None:
                    progress.advance(len(block))
    except Exception as error:  # each kind of storage has its own exceptions
        raise DataError(f"{place} cannot be fetched ({_reason(error)}).") from error


def _asked(place: str, question: str, **options: Any) -> Any:  # noqa: ANN401 (fsspec is not typed)
    filesystem, path = _filesystem(place)
    try:
        return getattr(filesystem, question)(path, **options)
    except Exception as error:  # each kind of storage has its own exceptions
        raise DataError(f"{place} cannot be reached ({_reason(error)}).") from error


def _filesystem(place: str) -> tuple[Any, str]:
    try:
        import fsspec
    except ImportError as error:
        raise needs_extra("Reading from remote storage", "fsspec", "train") from error
    try:
        return fsspec.core.url_to_fs(place)
    except (ImportError, ValueError) as error:  # a package for this kind of URL is missing; an unknown kind
        raise DataError(f"{place} cannot be opened: {_reason(error)}.") from error


def _is_http(place: str) -> bool:
    return place.startswith(("http://", "https://"))


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
