"""Numbered images to pixels, a batch at a time; what cannot be read is set aside with its reason."""

import itertools
import os
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

from diptych.errors import ImageError
from diptych.images import ImageSource, open_image
from diptych.preprocess import METHODS, Preprocess, PreprocessKind, reduced_side

Numbered = list[tuple[int, ImageSource]]


class Decoded(NamedTuple):
    """Pixels (n, 3, H, W) float32 of the readable images of a batch, their indices, and the failures of the others."""

    indices: list[int]
    pixels: np.ndarray[Any, np.dtype[np.float32]]
    failures: list[tuple[int, ImageSource, ImageError]]


def check_are_images(images: Iterable[ImageSource]) -> None:
    """TypeError where one image stands for many: a path's letters and an array's rows could be gone through too."""
    is_one_array = isinstance(images, np.ndarray) and images.ndim < 4
    if is_one_array or isinstance(images, _ONE_IMAGE) or hasattr(images, "read"):
        raise TypeError(f"images must be an iterable of images, got one {type(images).__name__}: write [image].")


_ONE_IMAGE = (str, bytes, bytearray, memoryview, os.PathLike, Image.Image)


def numbered_batches(images: Iterable[ImageSource], size: int) -> Iterator[Numbered]:
    """Consecutive (index, image) pairs, `size` at a time."""
    numbered = enumerate(images)
    while batch := list(itertools.islice(numbered, size)):
        yield batch


def decode(batch: Numbered, preprocess: Preprocess, kind: PreprocessKind) -> Decoded:
    """Open, resize and normalise each image of a batch."""
    side = reduced_side(preprocess) if kind == "fast" else None
    indices, pixels, failures = [], [], []
    for index, source in batch:
        try:
            pixels.append(METHODS[kind](open_image(source, shortest_side=side), preprocess))
            indices.append(index)
        except ImageError as error:
            failures.append((index, source, error))
    return Decoded(indices, np.stack(pixels) if pixels else np.empty((0, 3, *preprocess.size), np.float32), failures)
