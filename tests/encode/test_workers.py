import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch

from diptych.encode.workers import core_count, core_pool, map_ahead


def test_results_come_in_the_order_of_the_items() -> None:
    with ThreadPoolExecutor(4) as pool:

        def work(i: int) -> int:
            time.sleep(0.001 * (i % 3))
            return i * i

        assert list(map_ahead(pool, work, range(50), ahead=6)) == [i * i for i in range(50)]


def test_no_more_than_asked_are_under_way() -> None:
    taken = 0

    def counted() -> Iterator[int]:
        nonlocal taken
        for i in range(1_000):
            taken += 1
            yield i

    with ThreadPoolExecutor(2) as pool:
        results = map_ahead(pool, abs, counted(), ahead=4)
        assert next(results) == 0
        assert taken == 4


def test_an_error_comes_out_and_ends_the_rest() -> None:
    done: list[int] = []

    def work(i: int) -> int:
        if i == 3:
            raise ValueError("three")
        done.append(i)
        return i

    with ThreadPoolExecutor(1) as pool:
        results = map_ahead(pool, work, range(1_000), ahead=8)
        with pytest.raises(ValueError, match="three"):
            list(results)
    assert len(done) < 20


def test_each_core_computes_alone_and_other_threads_keep_theirs() -> None:
    before = torch.get_num_threads()
    inside = [core_pool().submit(torch.get_num_threads).result() for _ in range(core_count())]
    assert set(inside) == {1}
    assert torch.get_num_threads() == before
    after: list[int] = []
    thread = threading.Thread(target=lambda: after.append(torch.get_num_threads()))
    thread.start()
    thread.join()
    assert after == [before]


def test_many_threads_share_one_pool() -> None:
    pools: list[ThreadPoolExecutor] = []
    threads = [threading.Thread(target=lambda: pools.append(core_pool())) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(pools) == 16
    assert len(set(map(id, pools))) == 1


def test_numpy_computes_on_the_thread_that_asks() -> None:
    code = (
        "import time, numpy\n"
        "from diptych.encode.workers import keep_numpy_products_alone\n"
        "keep_numpy_products_alone()\n"
        "x = numpy.ones((1200, 1200), numpy.float32)\n"
        "process, thread = time.process_time(), time.thread_time()\n"
        "for _ in range(10): x @ x\n"
        "print((time.thread_time() - thread) / (time.process_time() - process))"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert float(shown) > 0.9  # of two threads each would have half
