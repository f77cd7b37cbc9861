"""One writer a library: a lock that its holder's death releases, and that says who holds it."""

import json
import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from diptych.library.database import LibraryError

_NAME: Final = "indexing.lock"
_LEFT_SECONDS: Final = 3_600


class LibraryHeldError(LibraryError):
    """Another process is writing to the library."""


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the library in `folder` for the block. LibraryHeldError, which names who has it, where another does."""
    path = folder / _NAME
    descriptor = os.open(path, os.O_CREAT | os.O_RDWR, 0o600)
    try:
        if not _try_lock(descriptor):
            raise LibraryHeldError(
                f"The library {folder} is being indexed by {_holder(path)}: wait for it, or stop it. "
                "Searching goes on meanwhile."
            )
        _sweep(folder)
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, json.dumps({"process": os.getpid(), "since": time.time()}).encode())
        yield
    finally:
        os.close(descriptor)  # which releases it


def _sweep(folder: Path) -> None:
    """Delete what kills left half made an hour ago or longer; whoever still makes something is quicker."""
    for left in folder.glob(".*.tmp"):
        with suppress(OSError):
            if time.time() - left.stat().st_mtime > _LEFT_SECONDS:
                shutil.rmtree(left, ignore_errors=True)


def _try_lock(descriptor: int) -> bool:
    if os.name == "nt":
        import msvcrt

        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined,unused-ignore]
        except OSError:
            return False
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _holder(path: Path) -> str:
    with suppress(OSError, ValueError, TypeError, KeyError):
        holder = json.loads(path.read_text(encoding="utf-8"))
        since = time.strftime("%H:%M", time.localtime(float(holder["since"])))
        return f"process {int(holder['process'])} since {since}"
    return "another process"
