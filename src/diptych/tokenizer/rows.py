"""Rows of one length out of lists of ids."""

from collections.abc import Sequence
from itertools import chain

import numpy as np
import numpy.typing as npt


def cut(ids: Sequence[int], context_length: int, end_token: int) -> list[int]:
    """At most context_length ids: when there are more, the first ones, the last of them made the end token.

    As `truncate=True` in OpenAI's clip.tokenize.
    """
    if context_length < 1:
        raise ValueError(f"context_length is {context_length}: it must be at least 1")
    return [*ids] if len(ids) <= context_length else [*ids[: context_length - 1], end_token]


def pad(batch: Sequence[Sequence[int]], length: int) -> npt.NDArray[np.int64]:
    """(N, length) int64: each row's ids, then zeros. ValueError naming the first row that is longer."""
    lengths = np.fromiter(map(len, batch), np.int64, len(batch))
    if np.any(lengths > length):
        row = int(np.argmax(lengths > length))
        raise ValueError(f"row {row} has {lengths[row]} ids, more than the length {length}: cut it first")
    padded = np.zeros((len(batch), length), np.int64)
    padded[np.arange(length) < lengths[:, None]] = np.fromiter(chain.from_iterable(batch), np.int64, lengths.sum())
    return padded
