"""A library kept up to date for as long as somebody watches."""

import math
import os
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from diptych.library.database import LibraryError
from diptych.library.indexing import IndexReport
from diptych.library.lock import LibraryHeldError
from diptych.library.paths import absolute
from diptych.library.roots import Root

if TYPE_CHECKING:
    from watchfiles import Change

    from diptych.library.library import PhotoLibrary

_QUIET_MS: Final = 1_000  # how long nothing may change before the changes so far are indexed
_PATIENCE_MS: Final = 10_000  # but no longer than this, where something changes all the time
_HELD_SECONDS: Final = 2.0  # after which a library that another process holds is tried again
_RESCAN_SECONDS: Final = 900.0  # network drives and full queues lose changes: all is gone through now and then


def watch(library: "PhotoLibrary", roots: Sequence[Root], *, stop: threading.Event) -> Iterator[Iterator[IndexReport]]:
    """Index the roots, and again whatever changes in them, until `stop`: each time the reports of one run, as it goes.

    Raises LibraryError for a root that is not there, OSError where the system watches no more folders.
    """
    from watchfiles import watch as changes_in

    for root in roots:
        if not root.path.exists():
            raise LibraryError(f"{root.path} is not there: plug its disk in, or give a folder that is.")
    own = str(absolute(library.folder))
    tables = {root: _Table(root.path) for root in roots if not root.path.is_dir()}
    scanned_at = -math.inf

    def is_due() -> bool:
        return time.monotonic() - scanned_at >= _RESCAN_SECONDS

    def is_of_interest(_: "Change", path: str) -> bool:
        return is_due() or (path != own and not path.startswith(own + os.sep))

    # The first timeout comes once everything is watched: what changes while it is indexed is seen.
    for changes in changes_in(
        *(root.path for root in roots if root not in tables),
        watch_filter=is_of_interest,
        step=_QUIET_MS,
        debounce=_PATIENCE_MS,
        rust_timeout=_QUIET_MS,
        yield_on_timeout=True,
        stop_event=stop,
    ):
        rewritten = [root for root, table in tables.items() if table.is_rewritten()]
        paths = [path for _, path in changes]
        touched = [root for root in roots if is_due() or root in rewritten or _lies_in(root, paths)]
        if is_due():
            scanned_at = time.monotonic()
        if touched:
            yield _indexed(library, touched, stop)


class _Table:
    """A catalogue's file, looked at anew each time: the system tells no more of a file once another took its place."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._known = self._seen = self._look()

    def is_rewritten(self) -> bool:
        """Whether it was written or replaced since this was last so, and has rested since it was last asked."""
        before, self._seen = self._seen, self._look()
        if self._seen is None or self._seen != before or self._seen == self._known:
            return False
        self._known = self._seen
        return True

    def _look(self) -> tuple[int, int, int] | None:
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_mtime_ns, found.st_size, found.st_ino


def _lies_in(root: Root, paths: list[str]) -> bool:
    return any(Path(path).is_relative_to(root.path) for path in paths)


def _indexed(library: "PhotoLibrary", roots: Sequence[Root], stop: threading.Event) -> Iterator[IndexReport]:
    """What the roots hold now, as soon as no other process indexes."""
    while not stop.is_set():
        try:
            yield from library.iter_index(*roots)
        except LibraryHeldError:
            stop.wait(_HELD_SECONDS)
        else:
            return
