"""Numbered images to pixels, a batch at a time; what cannot be read is set aside with its reason."""

import itertools
from collections.abc import Iterable, Iterator
from typing import Any, Literal, NamedTuple

import numpy as np

from diptych.errors import ImageError
from diptych.images import ImageSource, open_image
from diptych.preprocess import Preprocess, exact, fast, reduced_side

PreprocessKind = Literal["exact", "fast"]
Numbered = list[tuple[int, ImageSource]]


class Decoded(NamedTuple):
    """Pixels (n, 3, H, W) float32 of the readable images of a batch, their indices, and the failures of the others."""

    indices: list[int]
    pixels: np.ndarray[Any, np.dtype[np.float32]]
    failures: list[tuple[int, ImageSource, ImageError]]


def numbered_batches(images: Iterable[ImageSource], size: int) -> Iterator[Numbered]:
    """Consecutive (index, image) pairs, `size` at a time."""
    numbered = enumerate(images)
    while batch := list(itertools.islice(numbered, size)):
        yield batch


def decode(batch: Numbered, preprocess: Preprocess, kind: PreprocessKind) -> Decoded:
    """Open, resize and normalise each image of a batch."""
    side = reduced_side(preprocess) if kind == "fast" else None
    to_pixels = fast if kind == "fast" else exact
    indices, pixels, failures = [], [], []
    for index, source in batch:
        try:
            pixels.append(to_pixels(open_image(source, shortest_side=side), preprocess))
            indices.append(index)
        except ImageError as error:
            failures.append((index, source, error))
    return Decoded(indices, np.stack(pixels) if pixels else np.empty((0, 3, *preprocess.size), np.float32), failures)
