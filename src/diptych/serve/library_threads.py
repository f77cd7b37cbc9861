"""The photo library on threads of its own: each has a connection to it, which serves one thread only."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Final, TypeVar

from diptych.encode.encoder import Encoder
from diptych.encode.workers import core_count
from diptych.errors import TextTooLongError
from diptych.library.database import LibraryError, NoPhotoError, NoVectorsError, is_busy
from diptych.library.filters import FilterError
from diptych.library.library import PhotoLibrary
from diptych.library.walk import LIBRARY_FILE
from diptych.serve import logs
from diptych.serve.problems import Problem, busy

T = TypeVar("T")
_THREADS: Final = 4
_MOST_WAITING: Final = 256
_RETRY_SECONDS: Final = 2
_LOCKED_SECONDS: Final = 2.0  # that a request waits for another program to let go of the database


class LibraryThreads:
    """Calls to the library in `folder`, done in the order of asking as threads are free. For the thread of the loop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="diptych-library")
        self._beside = ThreadPoolExecutor(2 * core_count() + 2, thread_name_prefix="diptych-photos")
        self._of_thread = threading.local()
        self._encoder: Encoder | None = None
        self.inside = 0  # calls that wait or are under way

    def start(self, encoder: Encoder) -> None:
        """Search with this model from now on."""
        self._encoder = encoder

    async def stop(self) -> None:
        """Finish what was asked for, and let go of the database."""
        together = threading.Barrier(_THREADS)  # so that each thread closes its own
        futures = [self._pool.submit(self._close, together) for _ in range(_THREADS)]
        await asyncio.gather(*map(asyncio.wrap_future, futures))
        self._pool.shutdown()
        self._beside.shutdown(wait=False, cancel_futures=True)

    async def run(self, function: Callable[[PhotoLibrary], T]) -> T:
        """What the function gives for the library. A Problem where that cannot be used, or too many wait for it."""
        return await self._run(self._pool, partial(self._call, function))

    async def run_beside(self, function: Callable[[], T]) -> T:
        """What the function gives, on a thread without a library: searches do not wait for files and pictures."""
        return await self._run(self._beside, function)

    async def _run(self, pool: ThreadPoolExecutor, function: Callable[[], T]) -> T:
        if self.inside >= _MOST_WAITING:
            raise busy(f"{self.inside} requests wait for the library already: try again.", _RETRY_SECONDS)
        self.inside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(pool, function)
        finally:
            self.inside -= 1

    def _call(self, function: Callable[[PhotoLibrary], T]) -> T:
        try:
            return function(self._library())
        except NoPhotoError as error:
            detail = "The library has no photo of this number, or no longer: search for it again."
            raise Problem(404, "no-such-photo", "No such photo", detail) from error
        except NoVectorsError as error:
            detail = "No photo is indexed with this server's model yet: index some first (POST /v1/index)."
            raise Problem(409, "nothing-indexed", "Nothing is indexed", detail) from error
        except FilterError as error:
            raise Problem(422, "bad-value", "A value is not as it must be", str(error)) from error
        except TextTooLongError as error:
            raise Problem(422, "text-too-long", "A text is too long", str(error)) from error
        except (LibraryError, sqlite3.Error) as error:  # which name files of this machine
            logs.write("error", source="library", detail=str(error))
            raise _locked() if is_busy(error) else _unusable() from error

    def _library(self) -> PhotoLibrary:
        """That of the thread, opened again where another file has taken the place of its database."""
        identity = self._identity()
        held: tuple[object, PhotoLibrary] | None = getattr(self._of_thread, "held", None)
        if held is None or held[0] != identity:
            if held is not None:
                held[1].close()
            self._of_thread.held = held = None
            opened = PhotoLibrary.open(self.folder, encoder=self._encoder, patience_seconds=_LOCKED_SECONDS)
            self._of_thread.held = held = identity, opened
        return held[1]

    def _identity(self) -> tuple[int, int]:
        """Which file the database is: one that was deleted would go on to be read until it is closed."""
        try:
            status = (self.folder / LIBRARY_FILE).stat()
        except OSError as error:
            raise LibraryError(f"There is no library in {self.folder} any more.") from error
        return status.st_dev, status.st_ino

    def _close(self, together: threading.Barrier) -> None:
        together.wait()
        held: tuple[object, PhotoLibrary] | None = getattr(self._of_thread, "held", None)
        if held is not None:
            held[1].close()


def _locked() -> Problem:
    detail = "Another program is writing to the library: try again in a few seconds."
    return Problem(503, "library-busy", "The library is busy", detail, headers={"Retry-After": "5"})


def _unusable() -> Problem:
    detail = "The photo library cannot be used now: the server's log says why."
    return Problem(503, "library-unusable", "The library cannot be used", detail)
