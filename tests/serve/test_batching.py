"""Batches across requests: whatever comes when, each gets its own rows, and only those at fault an error."""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Sequence
from typing import NamedTuple, TypeVar

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from diptych.encode.encoder import Features
from diptych.serve.batching import Batcher, Gate, Slots
from diptych.serve.problems import Problem

Result = TypeVar("Result")


class Squares:
    """(n, 2) rows, each an item and its square; a negative item fails. `batches` has what was computed together."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.may_go_on = threading.Event()
        self.may_go_on.set()

    def __call__(self, items: Sequence[int]) -> Features:
        self.batches.append(list(items))
        assert self.may_go_on.wait(60)
        if min(items) < 0:
            raise ValueError(f"{min(items)} is below 0")
        return rows_of(items)


def rows_of(items: Sequence[int]) -> Features:
    return np.array([(item, item**2) for item in items], np.float32)


def run_with(
    squares: Squares, use: Callable[[Batcher[int]], Awaitable[Result]], *, most: int = 4, slots: int = 2
) -> Result:
    """What `use` gives, in a loop of its own in which a batcher runs."""

    async def main() -> Result:
        shared = Slots(slots)
        batcher: Batcher[int] = Batcher(squares, shared, most=most, note_batch=lambda items, seconds: None)
        batcher.start()
        try:
            async with asyncio.timeout(60):
                return await use(batcher)
        finally:
            squares.may_go_on.set()
            await batcher.stop()

    return asyncio.run(main())


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await asyncio.sleep(0.001)


# ---- who gets what


class Request(NamedTuple):
    """Items that come after `wait` milliseconds; after `patience` more, if any, nobody waits for them."""

    items: list[int]
    wait: int
    patience: int | None


def requests() -> st.SearchStrategy[list[Request]]:
    items = st.lists(st.integers(0, 1_000), min_size=1, max_size=9)
    patience = st.none() | st.integers(0, 6)
    return st.lists(st.builds(Request, items, st.integers(0, 8), patience), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(requests=requests(), most=st.integers(1, 6), slots=st.integers(1, 3), bad=st.sets(st.integers(0, 11)))
def test_rows_go_to_whom_they_belong(requests: list[Request], most: int, slots: int, bad: set[int]) -> None:
    """However requests come, are given up and fail, no batch is above `most`, and only those at fault see an error."""
    squares = Squares()
    asked = [
        request._replace(items=[*request.items, -1]) if i in bad else request for i, request in enumerate(requests)
    ]

    async def ask(batcher: Batcher[int], request: Request) -> Features | str:
        await asyncio.sleep(request.wait / 1000)
        try:
            async with asyncio.timeout(None if request.patience is None else request.patience / 1000):
                return await batcher.compute(request.items)
        except TimeoutError:
            return "gave up"
        except ValueError as error:
            return str(error)

    async def ask_all(batcher: Batcher[int]) -> list[Features | str]:
        answers = await asyncio.gather(*(ask(batcher, request) for request in asked))
        assert_array_equal(await batcher.compute([7]), rows_of([7]))  # and it still works
        return answers

    answers = run_with(squares, ask_all, most=most, slots=slots)
    for i, (request, answer) in enumerate(zip(asked, answers, strict=True)):
        if isinstance(answer, str):
            assert (answer == "gave up" and request.patience is not None) or (answer == "-1 is below 0" and i in bad)
        else:
            assert i not in bad
            assert_array_equal(answer, rows_of(request.items))
    assert max(map(len, squares.batches)) <= most


def test_what_waits_is_computed_together() -> None:
    squares = Squares()

    async def ask(batcher: Batcher[int]) -> list[Features]:
        return await asyncio.gather(*(batcher.compute([item]) for item in range(8)))

    answers = run_with(squares, ask, most=4, slots=1)
    assert_array_equal(np.concatenate(answers), rows_of(range(8)))
    assert [len(batch) for batch in squares.batches] == [4, 4]


def test_one_request_above_a_batch_is_cut_and_put_together_again() -> None:
    squares = Squares()
    answer = run_with(squares, lambda batcher: batcher.compute(range(11)), most=4)
    assert_array_equal(answer, rows_of(range(11)))
    assert sorted(map(len, squares.batches)) == [3, 4, 4]


def test_a_request_alone_does_not_wait_for_others() -> None:
    threads: list[str] = []

    def compute(items: Sequence[int]) -> Features:
        threads.append(threading.current_thread().name)
        return rows_of(items)

    async def main() -> None:
        shared = Slots(2)
        batcher: Batcher[int] = Batcher(compute, shared, most=64, note_batch=lambda items, seconds: None)
        batcher.start()
        await batcher.compute([1])
        await batcher.stop()

    asyncio.run(main())
    assert threads[0].startswith("diptych-all-cores")


# ---- errors and those who go away


def test_a_failing_item_harms_nobody_else() -> None:
    squares = Squares()

    async def ask(batcher: Batcher[int]) -> list[Features | BaseException]:
        return await asyncio.gather(*map(batcher.compute, ([1], [-5], [2, 3])), return_exceptions=True)

    first, failed, last = run_with(squares, ask, slots=1)
    assert isinstance(first, np.ndarray)
    assert isinstance(last, np.ndarray)
    assert_array_equal(first, rows_of([1]))
    assert_array_equal(last, rows_of([2, 3]))
    assert str(failed) == "-5 is below 0"


def test_a_batch_that_fails_is_not_computed_again_for_those_who_left() -> None:
    squares = Squares()

    async def ask(batcher: Batcher[int]) -> Features:
        squares.may_go_on.clear()
        asked = [asyncio.create_task(batcher.compute(items)) for items in ([-5], [1], [2])]
        await until(lambda: bool(squares.batches))
        asked[1].cancel()
        await asyncio.sleep(0)
        squares.may_go_on.set()
        await asyncio.gather(*asked[:2], return_exceptions=True)
        return await asked[2]

    assert_array_equal(run_with(squares, ask, slots=1), rows_of([2]))
    assert squares.batches == [[-5, 1, 2], [-5], [2]]


def test_what_is_cancelled_while_it_waits_is_not_computed() -> None:
    squares = Squares()

    async def ask(batcher: Batcher[int]) -> Features:
        squares.may_go_on.clear()
        first = asyncio.create_task(batcher.compute([1]))
        await until(lambda: bool(squares.batches))
        left = asyncio.create_task(batcher.compute([2] * 9))  # three tickets
        stayed = asyncio.create_task(batcher.compute([3]))
        await asyncio.sleep(0.01)
        left.cancel()
        await asyncio.sleep(0)
        squares.may_go_on.set()
        await first
        return await stayed

    assert_array_equal(run_with(squares, ask, slots=1), rows_of([3]))
    assert squares.batches == [[1], [3]]


def test_one_who_leaves_while_it_is_computed_harms_nobody_in_the_batch() -> None:
    squares = Squares()

    async def ask(batcher: Batcher[int]) -> Features:
        squares.may_go_on.clear()
        left, stayed = (asyncio.create_task(batcher.compute([item])) for item in (1, 2))
        await until(lambda: bool(squares.batches))
        left.cancel()
        await asyncio.sleep(0)
        squares.may_go_on.set()
        return await stayed

    assert_array_equal(run_with(squares, ask, slots=1), rows_of([2]))
    assert squares.batches == [[1, 2]]


def test_slots_bound_what_is_computed_at_once() -> None:
    squares = Squares()

    async def ask(batcher: Batcher[int]) -> int:
        squares.may_go_on.clear()
        asked = [asyncio.create_task(batcher.compute([item])) for item in range(5)]
        await until(lambda: bool(squares.batches))
        await asyncio.sleep(0.05)
        begun = len(squares.batches)
        squares.may_go_on.set()
        await asyncio.gather(*asked)
        return begun

    # As many threads compute as the machine has cores, and never more than there are slots.
    assert run_with(squares, ask, most=1, slots=2) in (1, 2)
    assert len(squares.batches) == 5


# ---- the gate


def test_the_gate_lets_go_after_the_end_an_error_and_a_cancellation() -> None:
    gate = Gate("texts", 4)

    async def enter(seconds: float) -> None:
        with gate.admit(2):
            await asyncio.sleep(seconds)
            raise ValueError("bad")

    async def main() -> None:
        with gate.admit(4):
            assert gate.inside == 4
        assert gate.inside == 0
        waits = asyncio.create_task(enter(10))
        with pytest.raises(ValueError, match="bad"):
            await enter(0)
        assert gate.inside == 2
        waits.cancel()
        await asyncio.gather(waits, return_exceptions=True)
        assert gate.inside == 0

    asyncio.run(main())


@given(counts=st.lists(st.integers(1, 6), max_size=20), capacity=st.integers(1, 20))
def test_the_gate_bounds_what_is_inside(counts: list[int], capacity: int) -> None:
    gate = Gate("images", capacity)
    inside, held = 0, []
    for count in counts:
        admission = gate.admit(count)
        if inside + count <= capacity:
            admission.__enter__()
            held.append(admission)
            inside += count
        else:
            with pytest.raises(Problem):
                admission.__enter__()
        assert gate.inside == inside <= capacity
    for admission in held:
        admission.__exit__(None, None, None)
    assert gate.inside == 0


@pytest.mark.parametrize(("items_per_second", "seconds"), [(None, 1), (100.0, 1), (2.0, 3), (0.01, 60)])
def test_a_full_gate_says_when_to_come_again(items_per_second: float | None, seconds: int) -> None:
    gate = Gate("images", 10)
    if items_per_second:
        gate.note_done(10, 10 / items_per_second)
    with gate.admit(8), pytest.raises(Problem) as refused, gate.admit(7):
        pass
    assert refused.value.status == 429
    assert refused.value.headers == {"Retry-After": str(seconds)}  # five are too many
    assert "8 images wait already, and 10 are the most" in refused.value.detail
