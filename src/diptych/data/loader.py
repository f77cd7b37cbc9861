"""Batches of the mixture from any step on, the same whatever the number of workers and of training processes."""

from collections.abc import Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from types import MappingProxyType
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from diptych.data.augment import OpenImage
from diptych.data.config import DataConfig, SourceConfig
from diptych.data.making import RowMaker, Rows, Tokenize
from diptych.data.mixture import Draw, Mixture, Part
from diptych.data.sample import DataError, Source
from diptych.data.texts import make_wording, samples_by_class
from diptych.data.workers import WorkerPool

Item = TypeVar("Item")

_CHUNK_ROWS = 64  # what a worker makes at once; a batch of many chunks is made by all workers together
_LEAST_SEEN = 100  # a share of fewer samples says nothing


@dataclass(frozen=True, kw_only=True)
class Batch:
    """One process's rows of a global batch, without those that could not be used: `bad` says which, a line each."""

    step: int
    images: Tensor  # (b, 3, H, W) uint8
    tokens: list[list[int]]  # from start to end token, not padded
    image_ids: Tensor  # (b,) int64, equal for equal encoded images
    text_ids: Tensor  # (b,) int64, equal for texts that are right for each other's images
    sources: Tensor  # (b,) int64, numbers of the config's sources
    keys: list[str]  # "source/key"
    seeds: Tensor  # (b,) int64: for whatever else is random about a sample
    bad: list[str]


class BadSamples:
    """Counts samples that could not be used, against a limit on their share."""

    def __init__(self, limit: float, *, bad: int = 0, seen: int = 0) -> None:
        self.limit, self.bad, self.seen = limit, bad, seen
        self._last = ""

    def count(self, batch: Batch) -> None:
        """Add a batch of this process."""
        self.bad += len(batch.bad)
        self.seen += len(batch.bad) + len(batch.keys)
        if batch.bad:
            self._last = f" The last: {batch.bad[-1]}"

    def check(self, bad: float, seen: float, *, is_last: bool = False) -> None:
        """DataError where of the samples that all processes have seen more are bad than the limit and chance allow.

        The first hundred are not judged before there are no more (`is_last`).
        """
        allowed = self.limit * seen
        by_chance = 3 * allowed**0.5  # three standard deviations of a rate at the limit
        if (is_last or seen >= _LEAST_SEEN) and bad > allowed + by_chance:
            raise DataError(
                f"{bad:,.0f} of the {seen:,.0f} samples so far could not be used ({bad / seen:.1%}; bad_sample_limit "
                f"is {self.limit:.1%}).{self._last}"
            )


class Loader:
    """The batches of process `rank` of `world_size`; all have the same global batch, of which each makes its slice.

    `open_image` and `tokenize` must pickle, for the worker processes. `named_templates` is where names of templates in
    the config are looked up. DataError for data that cannot make a batch.
    """

    def __init__(
        self,
        sources: Sequence[Source],
        config: DataConfig,
        *,
        tokenize: Tokenize,
        open_image: OpenImage,
        image_size: tuple[int, int],
        batch_size: int,
        seed: int,
        rank: int = 0,
        world_size: int = 1,
        named_templates: Mapping[str, Sequence[str]] = MappingProxyType({}),
        pin_memory: bool = False,
    ) -> None:
        _check_sources(sources)
        self.mixture = make_mixture(sources, config, seed)
        if batch_size > self.mixture.samples:
            raise DataError(
                f"A batch of {batch_size:,} is larger than the data, {self.mixture.samples:,} samples: lower "
                "train.batch_size or add data."
            )
        configs = zip(config.sources, sources, strict=True)
        self._maker = RowMaker(
            sources=tuple(sources),
            wordings=tuple(
                make_wording(each, source, named_templates, word_dropout=config.augment.word_dropout)
                for each, source in configs
            ),
            augment=config.augment,
            tokenize=tokenize,
            open_image=open_image,
            image_size=image_size,
            seed=seed,
        )
        self._batch_size, self._workers, self._pin_memory = batch_size, config.workers, pin_memory
        self._first, self._end = (batch_size * each // world_size for each in (rank, rank + 1))
        rows = self._end - self._first
        count = -(-rows // _CHUNK_ROWS)
        self._chunk_bounds = [self._first + rows * i // count for i in range(count + 1)]

    def iterate(self, start_step: int = 0) -> Generator[Batch, None, None]:
        """Batches `start_step`, `start_step + 1` and so on without end; closing the generator ends the workers."""
        chunks = self._chunks(start_step)
        if self._workers == 0:
            yield from self._batches(start_step, self._make_here(chunks))
            return
        with self._thread() as thread, WorkerPool(self._maker, self._workers, self._chunk_rows) as pool:
            yield from _one_ahead(self._batches(start_step, pool.map(chunks)), thread)

    def _thread(self) -> ThreadPoolExecutor:
        """What puts batches together. A new thread is on GPU 0, whose memory all processes would pin theirs with."""
        if not self._pin_memory:
            return ThreadPoolExecutor(1)
        return ThreadPoolExecutor(1, initializer=torch.cuda.set_device, initargs=(torch.cuda.current_device(),))

    @property
    def _chunk_rows(self) -> int:
        return max(end - first for first, end in zip(self._chunk_bounds, self._chunk_bounds[1:], strict=False))

    def _chunks(self, step: int) -> Iterator[list[Draw]]:
        while True:
            start = step * self._batch_size
            for first, end in zip(self._chunk_bounds, self._chunk_bounds[1:], strict=False):
                yield self.mixture.draws(start + first, start + end)
            step += 1

    def _make_here(self, chunks: Iterable[list[Draw]]) -> Iterator[tuple[Rows, Tensor]]:
        images = torch.empty((self._chunk_rows, 3, *self._maker.image_size), dtype=torch.uint8)
        for draws in chunks:
            yield self._maker.make(draws, images.numpy()), images

    def _batches(self, step: int, made: Iterator[tuple[Rows, Tensor]]) -> Iterator[Batch]:
        while True:
            shape = (self._end - self._first, 3, *self._maker.image_size)
            images = torch.empty(shape, dtype=torch.uint8, pin_memory=self._pin_memory)
            pixels = images.numpy()
            rows = Rows()
            for _ in range(len(self._chunk_bounds) - 1):
                more, its_images = next(made)
                # numpy copies in this thread alone; torch would spread it over the cores that compute the step.
                pixels[len(rows) : len(rows) + len(more)] = its_images.numpy()[: len(more)]
                rows.extend(more)
            yield _batch(step, images[: len(rows)], rows)
            step += 1


def make_mixture(sources: Sequence[Source], config: DataConfig, seed: int) -> Mixture:
    """The stream of a config's sources; weights of None are numbers of samples."""
    parts = [
        part
        for number, (source, each) in enumerate(zip(sources, config.sources, strict=True))
        for part in _parts(number, source, each)
    ]
    return Mixture(parts, seed=seed, epoch_samples=config.epoch_samples)


def _parts(number: int, source: Source, config: SourceConfig) -> list[Part]:
    weight = float(len(source)) if config.weight is None else config.weight
    if not config.balance_classes:
        return [Part(source=number, size=len(source), weight=weight)]
    classes = [np.array(indices) for indices in samples_by_class(source).values()]
    share = weight / len(classes)
    return [Part(source=number, size=len(indices), weight=share, indices=indices) for indices in classes]


def _check_sources(sources: Sequence[Source]) -> None:
    names = [source.name for source in sources]
    for source in sources:
        if len(source) == 0:
            raise DataError(f"{source.name} holds no samples.")
        if names.count(source.name) > 1:
            raise DataError(f"Two sources are called {source.name}: give each a name of its own.")


def _batch(step: int, images: Tensor, rows: Rows) -> Batch:
    return Batch(
        step=step,
        images=images,
        tokens=rows.tokens,
        image_ids=torch.tensor(rows.image_ids, dtype=torch.int64),
        text_ids=torch.tensor(rows.text_ids, dtype=torch.int64),
        sources=torch.tensor(rows.sources, dtype=torch.int64),
        keys=rows.keys,
        seeds=torch.tensor(rows.seeds, dtype=torch.int64),
        bad=rows.bad,
    )


def _one_ahead(items: Iterator[Item], thread: ThreadPoolExecutor) -> Iterator[Item]:
    """The items, each made while the one before is used."""
    coming = thread.submit(next, items)
    while True:
        item = coming.result()
        coming = thread.submit(next, items)
        yield item
