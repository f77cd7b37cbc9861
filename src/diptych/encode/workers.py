"""One thread a core, each computing alone: how a CPU is kept busy.

Torch's own way is to spread each matrix product over all cores and wait for the slowest. When anything else runs, such
as decoding, the waits cost more than the work (a tenth of the speed was measured). A batch per core never waits.
"""

import ctypes
import os
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TypeVar

In = TypeVar("In")
Out = TypeVar("Out")


def core_count() -> int:
    """Processors that this process may use: by its affinity, and by a container's share of them."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()
        return max(1, min(cores, round(int(quota) / int(period))))
    except (OSError, ValueError):  # no container, or no limit ("max")
        return cores


def core_pool() -> ThreadPoolExecutor:
    """The process's compute threads, shared by all encoders; torch uses one thread inside each."""
    with _making:
        return _made("core", _start_core_pool)


def plain_pool() -> ThreadPoolExecutor:
    """Threads that know nothing of torch: they open pictures while a GPU computes, or compute with numpy."""
    with _making:
        return _made("plain", lambda: ThreadPoolExecutor(core_count(), thread_name_prefix="diptych-plain"))


def all_cores_thread() -> ThreadPoolExecutor:
    """The one thread of a server whose torch calls spread over all cores, for work that has the machine to itself.

    Each thread that computes so keeps helpers of its own, and more helpers than cores wait for each other asleep: with
    the model loaded on another thread than this a single image took 40 ms, and 26 ms with all on one.
    """
    with _making:
        return _made("all-cores", lambda: ThreadPoolExecutor(1, thread_name_prefix="diptych-all-cores"))


def keep_numpy_products_alone() -> None:
    """Have numpy compute a matrix product on the thread that asks for it, as far as its OpenBLAS can be told.

    It shares products out as torch does, and waits as torch does: beside another busy process ViT-B/32 took 0.7 s an
    image on two threads and 0.12 s on one.
    """
    import numpy

    packages = Path(numpy.__file__).parents[1]
    for library in (*packages.glob("numpy.libs/*openblas*"), *packages.glob("numpy/.dylibs/*openblas*")):
        with suppress(OSError, AttributeError):  # as numpy's wheels carry it; a system's own is left as it is
            ctypes.CDLL(str(library)).scipy_openblas_set_num_threads64_(1)


_making = threading.Lock()
_pools: dict[str, tuple[int, ThreadPoolExecutor]] = {}


def _made(name: str, start: Callable[[], ThreadPoolExecutor]) -> ThreadPoolExecutor:
    """The pool of this process: one that came here by a fork has no threads."""
    if name not in _pools or _pools[name][0] != os.getpid():
        _pools[name] = (os.getpid(), start())
    return _pools[name][1]


def _start_core_pool() -> ThreadPoolExecutor:
    import torch

    size, threads_before = core_count(), torch.get_num_threads()
    all_started = threading.Barrier(size + 1)

    def compute_alone() -> None:
        torch.get_num_threads()  # a thread's first use of torch takes the process's number: have that behind us
        torch.set_num_threads(1)  # for this thread; torch also notes it as the process's, which is mended below
        all_started.wait()

    pool = ThreadPoolExecutor(size, thread_name_prefix="diptych-core", initializer=compute_alone)
    for _ in range(size):
        pool.submit(lambda: None)
    all_started.wait()
    torch.set_num_threads(threads_before)
    return pool


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
