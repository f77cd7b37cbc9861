"""One thread a core, each computing alone: how a CPU is kept busy.

Torch's own way is to spread each matrix product over all cores and wait for the slowest. When anything else runs, such
as decoding, the waits cost more than the work (a tenth of the speed was measured). A batch per core never waits.
"""

import functools
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def core_count() -> int:
    """Processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@functools.cache
def core_pool() -> ThreadPoolExecutor:
    """The process's compute threads, shared by all encoders; torch uses one thread inside each."""
    import torch

    size, threads_before = core_count(), torch.get_num_threads()
    all_started = threading.Barrier(size + 1)

    def compute_alone() -> None:
        torch.set_num_threads(1)  # for this thread: but torch also notes it as the default of threads to come
        all_started.wait()

    pool = ThreadPoolExecutor(size, thread_name_prefix="diptych-core", initializer=compute_alone)
    for _ in range(size):
        pool.submit(lambda: None)
    all_started.wait()
    torch.set_num_threads(threads_before)
    os.register_at_fork(after_in_child=core_pool.cache_clear)
    return pool


@functools.cache
def decode_pool() -> ThreadPoolExecutor:
    """Threads that open and resize pictures while a GPU computes."""
    os.register_at_fork(after_in_child=decode_pool.cache_clear)
    return ThreadPoolExecutor(core_count(), thread_name_prefix="diptych-decode")


def map_ahead(
    pool: ThreadPoolExecutor, function: Callable[[In], Out], items: Iterable[In], *, ahead: int
) -> Iterator[Out]:
    """Results in the order of `items`, at most `ahead` of them under way; what has not begun is dropped on an error."""
    under_way: deque[Future[Out]] = deque()
    try:
        for item in items:
            under_way.append(pool.submit(function, item))
            if len(under_way) >= ahead:
                yield under_way.popleft().result()
        while under_way:
            yield under_way.popleft().result()
    finally:
        for future in under_way:
            future.cancel()
