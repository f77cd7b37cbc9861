"""Many small requests computed together: what waits when a core is free goes as one batch."""

import asyncio
import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

import numpy as np

from diptych.encode.encoder import Features
from diptych.encode.workers import all_cores_thread, core_pool
from diptych.serve.problems import busy

Item = TypeVar("Item")
_GATHER_SECONDS: Final = 0.003  # that a batch waits for more while others are computed


class Slots:
    """As many batches at once as there are cores, one thread each; a batch that is alone has all cores for itself."""

    def __init__(self, count: int) -> None:
        self._free = asyncio.Semaphore(count)
        self.count, self.taken = count, 0

    async def take(self) -> None:
        """Wait for one."""
        await self._free.acquire()
        self.taken += 1

    async def take_rest(self) -> int:
        """Take those that are left, which must be free; how many are held then."""
        while self.taken < self.count:
            await self.take()
        return self.count

    def give_back(self, count: int = 1) -> None:
        """Let the next have them."""
        self.taken -= count
        for _ in range(count):
            self._free.release()


class Gate:
    """At most so many items of one kind in the server, from their arrival until they are computed."""

    def __init__(self, kind: str, capacity: int) -> None:
        self.kind, self.capacity = kind, capacity
        self.inside = 0
        self._items_per_second = 0.0

    @contextmanager
    def admit(self, count: int) -> Iterator[None]:
        """Hold room for `count` items during the block. A Problem, 429 with Retry-After, where there is none."""
        if self.inside + count > self.capacity:
            raise busy(
                f"{self.inside} {self.kind} wait already, and {self.capacity} are the most: "
                "try again after the seconds that Retry-After says.",
                self._retry_seconds(count),
            )
        self.inside += count
        try:
            yield
        finally:
            self.inside -= count

    def note_done(self, count: int, seconds: float) -> None:
        """Learn from a batch how quick the work is."""
        rate = count / max(seconds, 1e-6)
        self._items_per_second = rate if not self._items_per_second else 0.9 * self._items_per_second + 0.1 * rate

    def _retry_seconds(self, count: int) -> int:
        too_many = self.inside + count - self.capacity
        return min(60, max(1, math.ceil(too_many / self._items_per_second))) if self._items_per_second else 1


@dataclass(eq=False)
class _Ticket(Generic[Item]):
    """Items of one request, at most a batch of them, and where their rows go."""

    items: Sequence[Item]
    rows: "asyncio.Future[Features]"
    since: float


class Batcher(Generic[Item]):
    """Items of many requests through one function, a batch at a time.

    `compute` gives (n, E) rows for n items. A request that is cancelled leaves the queue. Where a batch fails, each of
    its requests is computed alone, so that only the one at fault sees the error.
    """

    def __init__(
        self,
        compute: Callable[[Sequence[Item]], Features],
        slots: Slots,
        *,
        most: int,
        note_batch: Callable[[int, float], None],
    ) -> None:
        self._compute, self._slots, self._most, self._note_batch = compute, slots, most, note_batch
        self._waiting: deque[_Ticket[Item]] = deque()
        self._has_work = asyncio.Event()
        self._running: set[asyncio.Task[None]] = set()
        self._dispatcher: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to compute, in the loop that runs."""
        self._dispatcher = asyncio.create_task(self._dispatch())

    async def stop(self) -> None:
        """Compute no more."""
        tasks = [task for task in (self._dispatcher, *self._running) if task is not None]
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    @property
    def depth(self) -> int:
        """How many items wait."""
        return sum(len(ticket.items) for ticket in self._waiting)

    async def compute(self, items: Sequence[Item]) -> Features:
        """(n, E) rows of at least one item."""
        loop = asyncio.get_running_loop()
        tickets = [
            _Ticket(items[start : start + self._most], loop.create_future(), time.perf_counter())
            for start in range(0, len(items), self._most)
        ]
        self._waiting.extend(tickets)
        self._has_work.set()
        try:
            rows = [await ticket.rows for ticket in tickets]
        except BaseException:  # cancelled, or one failed: the others need not be computed
            for ticket in tickets:
                ticket.rows.cancel()
            raise
        return rows[0] if len(rows) == 1 else np.concatenate(rows)

    async def _dispatch(self) -> None:
        while True:
            await self._has_work.wait()
            await self._slots.take()
            is_alone = self._slots.taken == 1 and len(self._waiting) == 1
            held = await self._slots.take_rest() if is_alone else 1
            if not is_alone:
                await self._gather()
            batch = self._take()
            if not batch:
                self._slots.give_back(held)
                continue
            task = asyncio.create_task(self._run(batch, held))
            self._running.add(task)
            task.add_done_callback(self._running.discard)

    async def _gather(self) -> None:
        """Wait for a whole batch, but not for long."""
        while self._waiting and self.depth < self._most:
            left = self._waiting[0].since + _GATHER_SECONDS - time.perf_counter()
            if left <= 0:
                return
            await asyncio.sleep(left)

    def _take(self) -> list[_Ticket[Item]]:
        """The next batch: whole tickets, the oldest first, without those that nobody waits for."""
        batch: list[_Ticket[Item]] = []
        count = 0
        while self._waiting:
            ticket = self._waiting[0]
            if not ticket.rows.done():
                if batch and count + len(ticket.items) > self._most:
                    break
                batch.append(ticket)
                count += len(ticket.items)
            self._waiting.popleft()
        if not self._waiting:
            self._has_work.clear()
        return batch

    async def _run(self, batch: list[_Ticket[Item]], held: int) -> None:
        try:
            await self._answer(batch, all_cores_thread() if held == self._slots.count else core_pool())
        finally:
            self._slots.give_back(held)

    async def _answer(self, batch: list[_Ticket[Item]], pool: ThreadPoolExecutor) -> None:
        items: list[Any] = [item for ticket in batch for item in ticket.items]
        started = time.perf_counter()
        try:
            rows = await asyncio.get_running_loop().run_in_executor(pool, self._compute, items)
        except Exception as error:  # noqa: BLE001 (whoever asked gets it)
            if len(batch) > 1:
                for ticket in batch:
                    if not ticket.rows.done():  # nobody waits for it any more
                        await self._answer([ticket], pool)
            elif not batch[0].rows.done():
                batch[0].rows.set_exception(error)
            return
        self._note_batch(len(items), time.perf_counter() - started)
        start = 0
        for ticket in batch:
            stop = start + len(ticket.items)
            if not ticket.rows.done():
                ticket.rows.set_result(rows[start:stop])
            start = stop
