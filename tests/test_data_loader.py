"""Batches: the same for any number of workers, processes and any first step; workers that end as they should."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any

import pytest
import torch

from diptych.data.config import AugmentConfig, DataConfig, SourceConfig
from diptych.data.keyed import hash64
from diptych.data.loader import BadSamples, Batch, Loader
from diptych.data.sample import DataError, Sample
from diptych.data.workers import WorkerPool
from diptych.images import open_image
from drawn_pairs import Pairs, png

BATCH_SIZE = 24
ANIMALS = (("dog", "animal"), ("owl",), ("cat", "animal"))
SOURCES = (Pairs("photos", 50, broken=frozenset({3}), unreadable=frozenset({11})), Pairs("classes", 70, ANIMALS))
AUGMENT = AugmentConfig(min_scale=0.5, flip=True, colour_jitter=0.2, greyscale=0.1, erase=0.2)


def spell(texts: Sequence[str]) -> list[list[int]]:
    """A tokenizer: a character a token."""
    return [[ord(character) for character in text] for text in texts]


def loader(
    sources: Sequence[Pairs] = SOURCES,
    *,
    workers: int = 0,
    first: SourceConfig | None = None,
    batch_size: int = BATCH_SIZE,
    seed: int = 7,
    **others: Any,  # noqa: ANN401
) -> Loader:
    """Of the sources, the first with a config of its own if that is given."""
    configs = [SourceConfig(path=source.name) for source in sources]
    if first is not None:
        configs[0] = first
    config = DataConfig(sources=tuple(configs), workers=workers, augment=AUGMENT)
    fixed = {"tokenize": spell, "open_image": open_image, "image_size": (16, 24)}
    return Loader(sources, config, batch_size=batch_size, seed=seed, **{**fixed, **others})


def batches(made: Loader, count: int, start_step: int = 0) -> list[Batch]:
    iterator = made.iterate(start_step)
    try:
        return list(islice(iterator, count))
    finally:
        iterator.close()


def as_text(batch: Batch) -> list[str]:
    return ["".join(map(chr, tokens)) for tokens in batch.tokens]


def assert_same(ours: Sequence[Batch], theirs: Sequence[Batch]) -> None:
    assert [batch.step for batch in ours] == [batch.step for batch in theirs]
    for one, other in zip(ours, theirs, strict=True):
        for name, value in vars(one).items():
            same = torch.equal(value, getattr(other, name)) if name in TENSORS else value == getattr(other, name)
            assert same, f"{name} of step {one.step}"


TENSORS = ("images", "image_ids", "text_ids", "sources", "seeds")


def together(parts: Sequence[Batch]) -> Batch:
    """The slices of all processes as one batch."""
    tensors: dict[str, Any] = {name: torch.cat([getattr(part, name) for part in parts]) for name in TENSORS}
    lists: dict[str, Any] = {
        name: [item for part in parts for item in getattr(part, name)] for name in ("tokens", "keys", "bad")
    }
    return replace(parts[0], **tensors, **lists)


@pytest.fixture(scope="module")
def expected() -> list[Batch]:
    return batches(loader(), 8)


def test_a_batch_holds_what_its_samples_are(expected: list[Batch]) -> None:
    batch = expected[0]
    rows = len(batch.keys)
    assert batch.images.shape == (rows, 3, 16, 24)
    assert batch.images.dtype == torch.uint8
    assert len({tuple(image.flatten().tolist()) for image in batch.images}) == rows
    for key, text, image_id, source in zip(
        batch.keys, as_text(batch), batch.image_ids.tolist(), batch.sources.tolist(), strict=True
    ):
        name, number = key.split("/")
        assert image_id == hash64(png(int(number)))
        assert name == SOURCES[source].name
        wanted = f"photos {int(number)}", f"the photos of number {int(number)}"
        assert text in wanted if name == "photos" else ANIMALS[int(number) % 3][0] in text


@pytest.mark.parametrize("workers", [1, 3])
def test_workers_change_nothing(expected: list[Batch], workers: int) -> None:
    assert_same(batches(loader(workers=workers), 8), expected)


@pytest.mark.parametrize("world_size", [2, 4, 5])
def test_processes_take_slices_of_the_same_batches(expected: list[Batch], world_size: int) -> None:
    slices = [batches(loader(rank=rank, world_size=world_size), 8) for rank in range(world_size)]
    assert {len(part[1].keys) + len(part[1].bad) for part in slices} <= {24 // world_size, 24 // world_size + 1}
    assert_same([together(parts) for parts in zip(*slices, strict=True)], expected)


@pytest.mark.parametrize(("start_step", "workers"), [(1, 0), (5, 0), (6, 2)])
def test_batches_begin_at_any_step(expected: list[Batch], start_step: int, workers: int) -> None:
    assert_same(batches(loader(workers=workers), 8 - start_step, start_step), expected[start_step:])


def test_a_batch_of_many_chunks_is_put_together_in_order() -> None:
    sources = [Pairs("many", 150, broken=frozenset(range(0, 150, 7)))]
    whole = batches(loader(sources, batch_size=130), 2)
    assert [len(batch.keys) + len(batch.bad) for batch in whole] == [130, 130]
    assert_same(batches(loader(sources, batch_size=130, workers=2), 2), whole)
    slices = [batches(loader(sources, batch_size=130, rank=rank, world_size=2), 2) for rank in range(2)]
    assert_same([together(parts) for parts in zip(*slices, strict=True)], whole)


def test_an_epoch_holds_every_sample_once_and_the_next_draws_anew(expected: list[Batch]) -> None:
    first, second = (together(batches(loader(), 5, start)) for start in (0, 5))  # 120 samples, 24 a batch
    assert sorted(first.keys) == sorted(second.keys)
    assert len(set(first.keys)) == 118
    assert len(first.bad) == 2
    assert not set(first.seeds.tolist()) & set(second.seeds.tolist())
    of_key = dict(zip(first.keys, first.images, strict=True))
    same = [torch.equal(of_key[key], image) for key, image in zip(second.keys, second.images, strict=True)]
    assert sum(same) < 3


def test_another_seed_gives_other_batches(expected: list[Batch]) -> None:
    assert batches(loader(seed=8), 1)[0].keys != expected[0].keys


def test_bad_samples_are_left_out_and_named(expected: list[Batch]) -> None:
    epoch = together(expected[:5])
    assert sorted(epoch.bad) == [
        "photos/0003: not an image: it begins with b'no image'",
        "photos/0011 cannot be read: the shard ends before it.",
    ]
    assert all(len(batch.keys) == len(batch.images) == len(batch.tokens) for batch in expected)


def test_names_of_templates_are_looked_up_where_the_loader_is_told() -> None:
    first = SourceConfig(path="classes", templates="mine")
    made = loader(SOURCES[1:], first=first, named_templates={"mine": ("see the {}",)})
    assert set(as_text(batches(made, 1)[0])) == {"see the dog", "see the owl", "see the cat"}


def test_templates_of_an_unknown_name_are_refused() -> None:
    with pytest.raises(DataError, match="known name: 'mine'"):
        loader(SOURCES[1:], first=SourceConfig(path="classes", templates="mine"))


def test_a_batch_larger_than_the_data_is_refused() -> None:
    with pytest.raises(DataError, match=r"A batch of 121 is larger than the data, 120 samples: lower train.batch_size"):
        loader(batch_size=121)


def test_a_source_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="empty holds no samples"):
        loader([Pairs("empty", 0)])


def test_sources_of_one_name_are_refused() -> None:
    with pytest.raises(DataError, match="Two sources are called photos"):
        loader([SOURCES[0], SOURCES[0]])


def of(keys: int, bad: int) -> Batch:
    nothing = torch.zeros(0, dtype=torch.int64)
    numbers = dict.fromkeys(TENSORS, nothing)
    return Batch(step=0, tokens=[], keys=["a/b"] * keys, bad=["a/c: broken"] * bad, **numbers)


def test_bad_samples_stop_a_run_where_they_are_more_than_the_limit_and_chance_allow() -> None:
    counter = BadSamples(0.01)
    counter.count(of(500, 25))
    counter.check(5, 99)  # of so few no share is told
    counter.check(4, 100)  # one is allowed, and by chance there may be three more
    with pytest.raises(
        DataError, match=r"5 of the 100 samples so far .* \(5.0%; bad_sample_limit is 1.0%\).*a/c: broken"
    ):
        counter.check(5, 100)
    counter.check(10_290, 1_000_000)
    with pytest.raises(DataError, match="10,400 of the 1,000,000 samples"):
        counter.check(10_400, 1_000_000)


@dataclass(frozen=True)
class Gone(Pairs):
    """A source that is taken away while it is read."""

    def read(self, index: int) -> Sample:
        raise DataError("the disk is gone")


@dataclass(frozen=True)
class Faulty(Pairs):
    """A source with a mistake in it."""

    def read(self, index: int) -> Sample:
        raise ZeroDivisionError


@pytest.mark.parametrize("workers", [0, 1])
def test_an_error_of_a_source_reaches_the_run(workers: int) -> None:
    with pytest.raises(DataError, match=r"^the disk is gone$"):
        batches(loader([Gone("gone", 30)], workers=workers), 1)


def test_a_mistake_in_a_worker_ends_the_run_and_not_in_silence() -> None:
    with pytest.raises(DataError, match="A data worker ended with status 1; its own error is printed above"):
        batches(loader([Faulty("faulty", 30)], workers=1), 1)


@pytest.fixture
def running() -> Iterator[tuple[Any, list[int]]]:
    """An iterator that has given its first batch, and the ids of its two workers."""
    iterator = loader(workers=2).iterate()
    next(iterator)
    yield iterator, [child.pid for child in multiprocessing.active_children() if child.pid]
    iterator.close()
    assert not multiprocessing.active_children()


def test_a_worker_that_is_killed_ends_the_run_with_one_line(running: tuple[Any, list[int]]) -> None:
    iterator, workers = running
    assert len(workers) == 2
    os.kill(workers[0], signal.SIGKILL)
    with pytest.raises(DataError, match=r"A data worker was ended by SIGKILL\. Memory may have run out"):
        list(islice(iterator, 50))


def test_signals_meant_for_the_run_do_not_end_its_workers(running: tuple[Any, list[int]]) -> None:
    iterator, workers = running
    for worker in workers:
        os.kill(worker, signal.SIGINT)
        os.kill(worker, signal.SIGTERM)
    assert len(list(islice(iterator, 50))) == 50


KILLED = """
import multiprocessing, os, signal
from test_data_loader import loader
if __name__ == "__main__":
    iterator = loader(workers=2).iterate()
    next(iterator)
    print(*(child.pid for child in multiprocessing.active_children()), flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_workers_end_when_the_training_process_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "killed.py"
    script.write_text(KILLED)
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent)}
    done = subprocess.run([sys.executable, str(script)], env=environment, stdout=subprocess.PIPE, text=True)
    assert done.returncode == -signal.SIGKILL
    workers = [int(number) for number in done.stdout.split()]
    assert len(workers) == 2
    deadline = time.monotonic() + 60
    while any(map(is_alive, workers)):
        assert time.monotonic() < deadline, "a worker outlived the training process"
        time.sleep(0.05)


def is_alive(process_id: int) -> bool:
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return False
    return True


def test_more_shared_memory_than_there_is_is_refused_before_a_worker_dies_of_it() -> None:
    maker = replace(loader()._maker, image_size=(100_000, 100_000))
    with pytest.raises(DataError, match=r"1 data workers need .* MB of shared memory, .* lower data.workers"):
        WorkerPool(maker, 1, 64)
