"""Pictures from addresses in requests: a few at once, in threads of their own, and no more in memory than fits."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, asynccontextmanager
from functools import partial
from typing import Final

from diptych.errors import FetchError
from diptych.fetch import fetch_bytes
from diptych.serve.config import Limits
from diptych.serve.problems import Problem, busy
from diptych.serve.room import Hold, Room

_THREADS: Final = 8
_OF_ONE_REQUEST: Final = 4  # at once: the others' pictures are to come, too
_SECONDS: Final = 10.0  # for one address
_REQUEST_SECONDS: Final = 30.0  # for all of a request: of those that then wait none is asked
_MOST_BYTES: Final = 20_000_000
_TAKEN: Final = ("image/*", "application/octet-stream")


class Fetching:
    """What addresses hold, for who asks. For the thread of the loop; threads are started when first needed."""

    def __init__(self, limits: Limits, room: Room) -> None:
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="diptych-fetch")
        self._most_bytes = min(limits.body_bytes, _MOST_BYTES)
        self._room = room

    @asynccontextmanager
    async def fetched(self, urls: Sequence[str]) -> AsyncIterator[list[bytes | Problem]]:
        """What each address holds, or why it cannot be had; their memory counts as taken until the block ends."""
        turns, deadline = asyncio.Semaphore(_OF_ONE_REQUEST), asyncio.get_running_loop().time() + _REQUEST_SECONDS
        with ExitStack() as stack:
            holds = [stack.enter_context(self._room.hold()) for _ in urls]
            yield await asyncio.gather(
                *(self._fetch(url, hold, turns, deadline) for url, hold in zip(urls, holds, strict=True))
            )

    def close(self) -> None:
        """Begin no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    async def _fetch(self, url: str, hold: Hold, turns: asyncio.Semaphore, deadline: float) -> bytes | Problem:
        async with turns:
            loop = asyncio.get_running_loop()
            if (left := deadline - loop.time()) <= 0:
                return _failed(f"the other addresses of the request took {_REQUEST_SECONDS:g} s: send fewer.")
            try:
                hold.resize(self._most_bytes)
            except Problem:
                return busy("there is no memory for more pictures from addresses now: try again.", retry_seconds=5)
            fetch = partial(
                fetch_bytes, url, max_bytes=self._most_bytes, timeout_seconds=min(left, _SECONDS), accept=_TAKEN
            )
            try:
                content = await loop.run_in_executor(self._threads, fetch)
            except FetchError as error:
                hold.resize(0)
                return _failed(str(error))
            hold.resize(len(content))
            return content


def _failed(detail: str) -> Problem:
    return Problem(422, "image-not-fetched", "The image cannot be fetched", detail)
