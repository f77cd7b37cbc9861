"""Which sample stands where in the endless stream that batches are cut from, found without what comes before it."""

import heapq
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from math import lcm

import numpy as np

from diptych.data.keyed import Integers, permute, seed_of
from diptych.data.sample import DataError

# Long epochs are shuffled in blocks, each with its exact share of every part: a place is found in milliseconds and
# 1 MB, whether an epoch is of a thousand samples or of a billion.
_BLOCK = 65_536


@dataclass(frozen=True, slots=True)
class Draw:
    """One sample of the stream. `times_seen`: how often the stream has held it before."""

    source: int
    index: int
    times_seen: int


@dataclass(frozen=True, kw_only=True)
class Part:
    """Samples that are drawn alike: a source, or one class of it. `indices`: which; None for the first `size`."""

    source: int
    size: int
    weight: float
    indices: Integers | None = None


@dataclass(frozen=True)
class _Block:
    """Places `first` to `end` of the stream: the part that each is drawn from, and how many draws of it came before."""

    first: int
    end: int
    parts: Integers
    ordinals: Integers


class Mixture:
    """The stream: a pure function of parts, seed and `epoch_samples` (None: as many as there are samples).

    An epoch holds each part by its weight, to the nearest whole number of samples; what rounding leaves is carried, so
    that after any number of epochs shares are off by a sample or so. Its order is random. Within a part every sample
    comes once, in random order, before any comes again.
    """

    def __init__(self, parts: Sequence[Part], *, seed: int, epoch_samples: int | None = None) -> None:
        self._parts = [part for part in parts if part.weight > 0]
        if not self._parts:
            raise DataError("All weights of the mixture are 0: give at least one source a weight above 0.")
        if empty := [part.source for part in self._parts if part.size < 1]:
            raise DataError(f"Source number {empty[0] + 1} of the mixture holds no samples.")
        self._seed = seed
        self._weights = _whole_weights([part.weight for part in self._parts])
        self._last_block: _Block | None = None
        self.samples = sum(part.size for part in self._parts)
        self.epoch_samples = epoch_samples or self.samples

    def draws(self, first: int, end: int) -> list[Draw]:
        """Places `first` to `end` - 1 of the stream; the batch of B at step t is `draws(t * B, (t + 1) * B)`."""
        found: list[Draw] = []
        while first < end:
            block = self._block_around(first)
            stop = min(end, block.end)
            found += self._resolve(block, first - block.first, stop - block.first)
            first = stop
        return found

    def _block_around(self, place: int) -> _Block:
        block = self._last_block
        if block is None or not block.first <= place < block.end:
            epoch, place_in_epoch = divmod(place, self.epoch_samples)
            number = place_in_epoch // _BLOCK
            epoch_first = epoch * self.epoch_samples
            first = epoch_first + number * _BLOCK
            end = min(first + _BLOCK, epoch_first + self.epoch_samples)
            block = self._last_block = self._make_block(first, end, epoch, number)
        return block

    def _make_block(self, first: int, end: int, epoch: int, number: int) -> _Block:
        before = np.array(shares(self._weights, first), dtype=np.int64)
        counts = np.array(shares(self._weights, end), dtype=np.int64) - before
        ends = counts.cumsum()
        order = permute(np.arange(end - first), end - first, seed_of("order", self._seed, epoch, number))
        parts = np.searchsorted(ends, order, side="right")
        by_part = parts.argsort(kind="stable")
        ordinals = np.empty_like(by_part)
        ordinals[by_part] = np.arange(end - first) + np.repeat(before - (ends - counts), counts)
        return _Block(first, end, parts, ordinals)

    def _resolve(self, block: _Block, first: int, end: int) -> list[Draw]:
        numbers, ordinals = block.parts[first:end], block.ordinals[first:end]
        parts = [self._parts[number] for number in numbers.tolist()]
        sizes = np.array([part.size for part in parts])
        passes, positions = np.divmod(ordinals, sizes)
        keys = [("elements", self._seed, *key) for key in zip(numbers.tolist(), passes.tolist(), strict=True)]
        seeds = {key: seed_of(*key) for key in set(keys)}
        elements = permute(positions, sizes, np.array([seeds[key] for key in keys]))
        indices = (
            element if part.indices is None else int(part.indices[element])
            for part, element in zip(parts, elements.tolist(), strict=True)
        )
        return list(map(Draw, (part.source for part in parts), indices, passes.tolist()))


def shares(weights: Sequence[int], total: int) -> list[int]:
    """`total` divided by the weights into whole numbers, none of which falls as `total` grows (Sainte-Lague).

    Part i is given its j-th unit at time (j - 1/2) * sum(weights) / weights[i], and the first `total` units count. The
    method of largest remainders is as near, but takes units back: the stream could not be cut anywhere.
    """
    whole = sum(weights)
    counts = [(2 * total * weight + whole) // (2 * whole) for weight in weights]
    missing = total - sum(counts)
    sign = 1 if missing > 0 else -1
    # The next unit to come of each part, soonest first; or the last one given, latest first.
    units = [(sign * Fraction(2 * counts[i] + sign, weights[i]), sign * i, i) for i in range(len(weights))]
    heapq.heapify(units)
    for _ in range(abs(missing)):
        i = units[0][2]
        counts[i] += sign
        heapq.heapreplace(units, (sign * Fraction(2 * counts[i] + sign, weights[i]), sign * i, i))
    return counts


def _whole_weights(weights: Sequence[float]) -> list[int]:
    """Whole numbers in the same proportion, exactly."""
    fractions = [Fraction(weight) for weight in weights]
    denominator = lcm(*(fraction.denominator for fraction in fractions))
    return [int(fraction * denominator) for fraction in fractions]
