"""Ids, seeds and random orders as pure functions of a key: any place of an order is found without those before it."""

from hashlib import blake2b

import numpy as np
import numpy.typing as npt

Integers = npt.NDArray[np.int64]
_Words = npt.NDArray[np.uint64]
_ROUNDS = 4  # of both halves
_LEAST_BITS = 6  # of fewer, a network makes some orders more often than others
_ONE = np.uint64(1)
# SplitMix64 (Steele, Lea and Flood 2014): its increment and multipliers.
_INCREMENT = np.uint64(0x9E3779B97F4A7C15)
_MULTIPLIERS = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))


def hash64(data: bytes) -> int:
    """64 bits of `data` as a signed integer: the same everywhere, and never the same by chance."""
    return int.from_bytes(blake2b(data, digest_size=8).digest(), "little", signed=True)


def seed_of(*key: str | int) -> int:
    """The 64-bit seed of a key, signed as a torch tensor holds it."""
    return hash64("/".join(map(str, key)).encode())


def permute(positions: Integers, sizes: Integers | int, seeds: Integers | int) -> Integers:
    """What stands at each position of a random order of the numbers 0 to size - 1; the seed says which order.

    Sizes and seeds broadcast: each position may be of an order of its own. A Feistel network over a power of two; what
    falls outside the size is sent through again until it falls inside (cycle walking, Black and Rogaway 2002). So an
    order takes no memory, however long it is.
    """
    values, limits, streams = (array.astype(np.uint64) for array in np.broadcast_arrays(positions, sizes, seeds))
    bits = np.maximum(_LEAST_BITS, np.ceil(np.log2(limits))).astype(np.uint64)
    outside = np.arange(len(values))
    while len(outside):
        values[outside] = _encipher(values[outside], bits[outside], streams[outside])
        outside = outside[values[outside] >= limits[outside]]
    return values.astype(np.int64)


def _encipher(values: _Words, bits: _Words, streams: _Words) -> _Words:
    """A permutation of all numbers of so many bits: each half in turn is changed by a function of the other."""
    low_bits = (bits + _ONE) >> _ONE
    low_mask, high_mask = (_ONE << low_bits) - _ONE, (_ONE << (bits >> _ONE)) - _ONE
    high, low = values >> low_bits, values & low_mask
    for _ in range(_ROUNDS):
        low = low ^ (_mixed(high + streams) & low_mask)
        high = high ^ (_mixed(low + ~streams) & high_mask)
        streams = _mixed(streams + _INCREMENT)
    return (high << low_bits) | low


def _mixed(x: _Words) -> _Words:
    """SplitMix64's output function."""
    x = (x ^ (x >> np.uint64(30))) * _MULTIPLIERS[0]
    x = (x ^ (x >> np.uint64(27))) * _MULTIPLIERS[1]
    return x ^ (x >> np.uint64(31))
