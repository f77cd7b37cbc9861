"""Processes that make rows ahead of the training step, their pixels in memory that both sides share.

Not torch's DataLoader: when a worker of that dies, a signal handler raises wherever the main thread happens to be.
Here each worker has a pipe, so that its end, and to a worker the end of the training process, is the end of the pipe.
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerContext, SpawnContext
from types import TracebackType
from typing import Self

import torch
import torch.multiprocessing  # from here on a tensor sent to a process is shared with it, not copied
from torch import Tensor

from diptych.data.making import RowMaker, Rows
from diptych.data.mixture import Draw
from diptych.data.sample import DataError
from diptych.errors import DiptychError

_SLOTS = 4  # chunks that a worker may have under way or wait with
# Ctrl-C and `timeout` reach all processes of a run, whose training process still needs rows: it decides when to stop.
_RUNS_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_SHARED_MEMORY = "/dev/shm"  # where Linux keeps it; containers are often given 64 MB


class WorkerPool:
    """`count` processes. Use it in a `with`, at whose end they are gone; whoever waits for rows then gets an error."""

    def __init__(self, maker: RowMaker, count: int, chunk_rows: int) -> None:
        shape = (_SLOTS, chunk_rows, 3, *maker.image_size)
        _check_shared_memory(count * torch.Size(shape).numel(), count)
        context = _context()
        with _signals_blocked():
            self._workers = [_Worker(context, maker, shape) for _ in range(count)]

    def map(self, chunks: Iterable[Sequence[Draw]]) -> Iterator[tuple[Rows, Tensor]]:
        """Rows and (n, 3, H, W) uint8 pixels of each chunk in order; the pixels hold until the next is asked for."""
        under_way: deque[tuple[_Worker, int]] = deque()
        for number, draws in enumerate(chunks):
            if len(under_way) == _SLOTS * len(self._workers):
                worker, slot = under_way.popleft()
                yield worker.answer(), worker.slots[slot]
            turn, place = divmod(number, len(self._workers))
            worker, slot = self._workers[place], turn % _SLOTS
            worker.ask(slot, draws)
            under_way.append((worker, slot))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for worker in self._workers:
            worker.process.kill()  # it has nothing to save
        for worker in self._workers:
            worker.process.join()


class _Worker:
    """One process, the pipe to it, and the slots that it writes pixels to."""

    def __init__(self, context: ForkServerContext | SpawnContext, maker: RowMaker, shape: tuple[int, ...]) -> None:
        self.slots: Tensor = torch.empty(shape, dtype=torch.uint8).share_memory_()  # type: ignore[no-untyped-call]
        self._pipe, its_end = context.Pipe()
        self.process = context.Process(target=_serve, args=(its_end, maker, self.slots), daemon=True)
        self.process.start()
        its_end.close()

    def ask(self, slot: int, draws: Sequence[Draw]) -> None:
        try:
            self._pipe.send((slot, draws))
        except OSError as error:
            raise self._death() from error

    def answer(self) -> Rows:
        try:
            answer: Rows | DiptychError = self._pipe.recv()
        except (EOFError, OSError) as error:
            raise self._death() from error
        if isinstance(answer, DiptychError):
            raise answer
        return answer

    def _death(self) -> DataError:
        self.process.join()
        code = self.process.exitcode or 0
        if code >= 0:
            return DataError(f"A data worker ended with status {code}; its own error is printed above.")
        advice = " Memory may have run out: lower data.workers." if code == -signal.SIGKILL else ""
        return DataError(f"A data worker was ended by {signal.Signals(-code).name}.{advice}")


def _serve(pipe: Connection, maker: RowMaker, slots: Tensor) -> None:
    """A worker's life. It ends with the training process."""
    for number in _RUNS_SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    torch.set_num_threads(1)
    images = slots.numpy()
    while True:
        try:
            slot, draws = pipe.recv()
        except EOFError:
            return  # the training process has ended
        answer: Rows | DiptychError
        try:
            answer = maker.make(draws, images[slot])
        except DiptychError as error:
            answer = error
        try:
            pipe.send(answer)
        except OSError:
            return


@contextmanager
def _signals_blocked() -> Iterator[None]:
    """What is started in the block does not get the run's signals, not even before it can say that it ignores them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    resource_tracker.ensure_running()  # multiprocessing would start it in the block, and unblock these signals
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _RUNS_SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _context() -> ForkServerContext | SpawnContext:
    """Never a plain fork: torch's threads do not live on in a copy of a process, and their locks may be held for ever.

    A fork server imports torch once for all workers.
    """
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return multiprocessing.get_context("spawn")
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["__main__", __name__])
    return context


def _check_shared_memory(needed: int, workers: int) -> None:
    """A worker that writes past what there is dies of SIGBUS: say it before."""
    try:
        found = os.statvfs(_SHARED_MEMORY)
    except OSError:
        return
    if needed > (free := found.f_bavail * found.f_frsize):
        raise DataError(
            f"{workers} data workers need {needed / 1e6:,.0f} MB of shared memory, and {_SHARED_MEMORY} has "
            f"{free / 1e6:,.0f} MB free: lower data.workers, or give the container more (docker run --shm-size=8g)."
        )
