"""Files on disk: our cache folder, writes that either happen whole or not at all, checksums."""

import errno
import hashlib
import os
import secrets
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from diptych.errors import DiptychError

# The Cache Directory Tagging standard: backup programs skip a folder with this file, and we clear no folder without it.
_CACHE_TAG = "CACHEDIR.TAG"
_CACHE_TAG_TEXT = "Signature: 8a477f597d28d172789f06886806bc55\n# A cache of Diptych, safe to delete.\n"
_FOLDER_MARK = ".diptych"
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)  # writing to an open file fails with these, and names none


@dataclass(frozen=True, kw_only=True)
class CacheRecord:
    """One of our caches: its name, and how many files and bytes are in it."""

    name: str
    files: int
    bytes: int


def cache_dir(*parts: str) -> Path:
    """The folder `parts` of our cache, made if it is not there, readable by its owner only.

    The cache is at $DIPTYCH_CACHE, else at $XDG_CACHE_HOME/diptych, else at ~/.cache/diptych.
    Raises DiptychError where it cannot be made or written to.
    """
    if any(part in {"", ".", ".."} or Path(part).name != part for part in parts):
        raise ValueError(f"cache_dir takes plain folder names, got {parts}")
    root = _cache_root()
    folder = root.joinpath(*parts)
    try:
        root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for depth in range(1, len(parts) + 1):
            _make_cache_folder(root.joinpath(*parts[:depth]), is_top=depth == 1)
    except OSError as error:
        raise DiptychError(_unusable_cache(folder, error.strerror or str(error))) from error
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DiptychError(_unusable_cache(folder, "no permission to write"))
    return folder


def cache_report() -> list[CacheRecord]:
    """What our caches hold, by name; the Hub's cache is its own (`hf cache`) and not among them."""
    return [_measure(folder) for folder in _cache_folders()]


def clear_cache() -> list[CacheRecord]:
    """Delete our caches and return what they held; nothing in the cache folder that we did not make is touched."""
    records = []
    for folder in _cache_folders():
        records.append(_measure(folder))
        try:
            shutil.rmtree(folder)
        except OSError as error:
            raise DiptychError(f"The cache {folder} could not be deleted ({error}); delete it by hand.") from error
    return records


def check_writable(path: Path, suffixes: Sequence[str]) -> None:
    """Raise before the work rather than after it: ValueError for a name of no format, DiptychError for a bad place."""
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"{path} must end in {' or '.join(filter(None, [', '.join(suffixes[:-1]), suffixes[-1]]))}.")
    if path.is_dir():
        raise DiptychError(f"{path} is a folder, where a file is to be written.")
    if not path.absolute().parent.is_dir():
        raise DiptychError(f"{path} cannot be written: there is no folder {path.parent}.")
    trial = _beside(path)
    try:  # what permissions say is not all: a file system may be read-only, or none to write to
        trial.touch()
        trial.unlink()
    except OSError as error:
        raise DiptychError(f"{path} cannot be written ({error.strerror}); give another path.") from error


@contextmanager
def atomic_write(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` to write to; it becomes `path` at the end, or vanishes on any error.

    A reader sees the old file or the whole new one, after a power cut too.
    """
    temporary = _beside(path)
    try:
        yield temporary
        _flush_to_disk(temporary)
        temporary.replace(path)
        _flush_to_disk(path.parent)
    except OSError as error:
        _name_target(error, temporary, path)
        raise
    finally:
        with suppress(OSError):  # which would hide the error that matters
            temporary.unlink()


@contextmanager
def atomic_folder(path: Path, *, overwrite: bool = False) -> Iterator[Path]:
    """Yield a temporary folder beside `path` to fill; it becomes `path` at the end, or vanishes on any error.

    A folder at `path` that is empty or was written here is replaced as a whole. Any other is refused with
    DiptychError unless `overwrite`; a file, the working folder, the home folder or one that holds them always is.
    """
    given, path = path, path.resolve()
    _check_replaceable(path, overwrite=overwrite)
    temporary = _beside(path)
    try:
        temporary.mkdir(parents=True)
        yield temporary
        ours = sorted(entry.name for entry in temporary.iterdir())
        mark = "\n".join(["Written by Diptych, which may replace this folder while it holds only:", *ours, ""])
        (temporary / _FOLDER_MARK).write_text(mark, encoding="utf-8")
        for entry in temporary.rglob("*"):
            _flush_to_disk(entry)
        _flush_to_disk(temporary)
        _swap_in(temporary, path)
    except OSError as error:
        _name_target(error, temporary, given)
        raise
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def sha256_file(path: Path, *, on_progress: Callable[[int, int], None] | None = None) -> str:
    """The SHA-256 of a file in hexadecimal; `on_progress` is told the bytes read so far and in all."""
    with path.open("rb") as file:
        if on_progress is None:
            return hashlib.file_digest(file, "sha256").hexdigest()
        digest, total = hashlib.sha256(), os.fstat(file.fileno()).st_size
        while block := file.read(1 << 22):
            digest.update(block)
            on_progress(file.tell(), total)
        return digest.hexdigest()


def is_web_address(name: str) -> bool:
    """Whether a name is an http or https address, and so no file's."""
    return name.lower().startswith(("http://", "https://"))


def describe_size(size: float) -> str:
    """A number of bytes for people, in decimal units: 4200000 is "4.2 MB"."""
    if size < 1000:
        return f"{size:.0f} B"
    for unit in ("kB", "MB", "GB"):
        size /= 1000
        if size < 999.95:
            return f"{size:.1f} {unit}"
    return f"{size / 1000:.1f} TB"


def _cache_root() -> Path:
    if chosen := os.environ.get("DIPTYCH_CACHE"):
        return Path(chosen).expanduser().absolute()
    # The XDG specification says to ignore a relative path.
    base = Path(os.environ.get("XDG_CACHE_HOME", ""))
    if base.is_absolute():
        return base / "diptych"
    if (home := _home()) is None:
        raise DiptychError("There is no home folder to keep a cache in; set DIPTYCH_CACHE to a folder.")
    return home / ".cache" / "diptych"


def _home() -> Path | None:
    with suppress(RuntimeError):  # an account without one, as in some containers
        return Path.home()
    return None


def _make_cache_folder(folder: Path, *, is_top: bool) -> None:
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        if not folder.is_dir():
            raise
        return
    if is_top:
        (folder / _CACHE_TAG).write_text(_CACHE_TAG_TEXT, encoding="utf-8")


def _unusable_cache(folder: Path, reason: str) -> str:
    return f"The cache folder {folder} cannot be used ({reason}); set DIPTYCH_CACHE to a folder that can be written to."


def _cache_folders() -> list[Path]:
    root = _cache_root()
    if not root.is_dir():
        return []
    return sorted(entry for entry in root.iterdir() if not entry.is_symlink() and _is_ours(entry))


def _is_ours(folder: Path) -> bool:
    with suppress(OSError):
        return (folder / _CACHE_TAG).read_text(encoding="utf-8", errors="replace") == _CACHE_TAG_TEXT
    return False


def _measure(folder: Path) -> CacheRecord:
    files = [entry for entry in folder.rglob("*") if entry.is_file() and entry != folder / _CACHE_TAG]
    return CacheRecord(name=folder.name, files=len(files), bytes=sum(entry.lstat().st_size for entry in files))


def _beside(path: Path) -> Path:
    return path.with_name(f".{path.name[:100]}.{secrets.token_hex(6)}.tmp")


def _name_target(error: OSError, temporary: Path, path: Path) -> None:
    """Have an error name the path that the user knows."""
    failed = error.filename
    if error.errno in _FULL and failed is None:
        error.filename = str(path)
    elif isinstance(failed, str | Path) and Path(failed).is_relative_to(temporary):
        error.filename, error.filename2 = str(path / Path(failed).relative_to(temporary)), None


def _flush_to_disk(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return  # Windows cannot open a folder to flush it.
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _check_replaceable(path: Path, *, overwrite: bool) -> None:
    if not path.exists():
        return
    if not path.is_dir():
        raise DiptychError(f"{path} is a file, where a folder is to be written; give another path.")
    if any(kept.is_relative_to(path) for kept in (Path.cwd(), _home()) if kept is not None):
        raise DiptychError(f"{path} holds your working or home folder and is not replaced; give a new folder.")
    if not overwrite and not {entry.name for entry in path.iterdir()} <= _written_here(path):
        raise DiptychError(
            f"{path} exists and was not written by Diptych; give a new folder, or --overwrite (overwrite=True)."
        )


def _written_here(path: Path) -> set[str]:
    try:
        return {_FOLDER_MARK, *(path / _FOLDER_MARK).read_text(encoding="utf-8").splitlines()[1:]}
    except (OSError, UnicodeDecodeError):
        return set()


def _swap_in(temporary: Path, path: Path) -> None:
    if not path.exists():
        temporary.rename(path)
        return
    # A folder cannot be renamed onto a full one: the old one steps aside, and comes back if the new one fails.
    old = _beside(path)
    path.rename(old)
    try:
        temporary.rename(path)
    except OSError:
        old.rename(path)
        raise
    shutil.rmtree(old, ignore_errors=True)
