"""An encoded image to the pixels of one training step: a random crop, and what else the config asks for."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as functional
from PIL import Image

from diptych.data.config import AugmentConfig

Pixels = npt.NDArray[np.uint8]
_LUMA = (0.299, 0.587, 0.114)  # of R, G, B (ITU-R BT.601)
_ERASED_SHARE, _ERASED_RATIO = (0.02, 1 / 3), (0.3, 3.3)  # Zhong et al. 2020, section 4.1


class OpenImage(Protocol):
    """`diptych.images.open_image`, or what does the same: encoded bytes to an RGB image, reduced if it may be."""

    def __call__(self, source: bytes, /, *, shortest_side: int | None = None) -> Image.Image:  # noqa: D102
        ...


@dataclass(frozen=True, kw_only=True)
class Augmentation:
    """What was drawn for one image, before anything is known of it; places are shares of what there is to choose."""

    scale: float  # of the area that the crop keeps
    ratio: float
    left: float
    top: float
    is_flipped: bool
    brightness: float
    contrast: float
    saturation: float
    erased: tuple[float, ...] | None  # area, ratio, left, top, and the level that fills it


def draw_augmentation(config: AugmentConfig, generator: random.Random) -> Augmentation:
    """Always as many numbers of the generator, so that no setting changes what another draws."""
    u = [generator.random() for _ in range(15)]
    factor = [1 + config.colour_jitter * (2 * each - 1) for each in u[5:8]]
    return Augmentation(
        scale=config.min_scale + u[0] * (config.max_scale - config.min_scale),
        ratio=u[1],
        left=u[2],
        top=u[3],
        is_flipped=config.flip and u[4] < 0.5,
        brightness=factor[0],
        contrast=factor[1],
        saturation=0.0 if u[8] < config.greyscale else factor[2],
        erased=tuple(u[10:15]) if u[9] < config.erase else None,
    )


def augment(
    encoded: bytes,
    open_image: OpenImage,
    size: tuple[int, int],
    config: AugmentConfig,
    generator: random.Random,
) -> Pixels:
    """(3, H, W) uint8 of `size` (height, width). ImageError for bytes that are no image."""
    drawn = draw_augmentation(config, generator)
    # A crop of this share of a square has sides of its root; a JPEG is decoded at the least size that still has them.
    image = open_image(encoded, shortest_side=math.ceil(max(size) / math.sqrt(drawn.scale)))
    planes = _resize(image, _crop(image, drawn, config), size)
    if drawn.is_flipped:
        planes = planes[:, :, ::-1]
    if (drawn.brightness, drawn.contrast, drawn.saturation) != (1, 1, 1):
        planes = _recolour(planes, drawn)
    if drawn.erased is not None:
        _erase(planes, drawn.erased)
    return planes


def _resize(image: Image.Image, box: tuple[int, int, int, int], size: tuple[int, int]) -> Pixels:
    """A box (left, top, right, bottom) of an RGB image as (3, H, W) of `size`.

    torch's bicubic filter with antialiasing is Pillow's to a level or two, and at 224 pixels three times as fast.
    """
    left, top, right, bottom = box
    pixels = torch.from_numpy(np.array(image))[top:bottom, left:right].permute(2, 0, 1)
    resized = functional.interpolate(pixels[None], size=size, mode="bicubic", antialias=True)
    return resized[0].numpy()


def _crop(image: Image.Image, drawn: Augmentation, config: AugmentConfig) -> tuple[int, int, int, int]:
    """(left, top, right, bottom) of the crop in the pixels that were decoded.

    The ratio is drawn, on a logarithmic scale, among those with which a crop of the drawn area fits; where none does,
    the crop is as large as the nearest ratio allows (what torchvision's RandomResizedCrop does after ten attempts).
    """
    (full_width, full_height), extent = _full_size_and_extent(image)
    whole = full_width / full_height
    least, most = max(config.min_ratio, whole * drawn.scale), min(config.max_ratio, whole / drawn.scale)
    if least <= most:
        ratio = least * (most / least) ** drawn.ratio
        share_x, share_y = math.sqrt(drawn.scale * ratio / whole), math.sqrt(drawn.scale * whole / ratio)
    else:
        ratio = min(max(whole, config.min_ratio), config.max_ratio)
        share_x, share_y = min(1.0, ratio / whole), min(1.0, whole / ratio)
    left, right = _span(extent[0], extent[2], share_x, drawn.left)
    top, bottom = _span(extent[1], extent[3], share_y, drawn.top)
    return left, top, right, bottom


def _span(start: float, end: float, share: float, place: float) -> tuple[int, int]:
    """A share of what lies between two edges, in whole pixels: at least one, and none that is part empty."""
    first, last = math.ceil(start), math.floor(end)
    length = min(last - first, max(1, round(share * (end - start))))
    first += int(place * (last - first - length + 1))
    return first, first + length


def _recolour(planes: Pixels, drawn: Augmentation) -> Pixels:
    """Brightness, then contrast about the mean grey, then saturation about each pixel's grey: a level's three factors.

    All three are linear, so each channel becomes factor * level + what depends on the pixel's grey alone.
    """
    levels = planes.astype(np.float32)
    grey = _LUMA[0] * levels[0] + _LUMA[1] * levels[1] + _LUMA[2] * levels[2]
    factor = drawn.brightness * drawn.contrast
    offset = drawn.brightness * (1 - drawn.contrast) * float(grey.mean())
    levels *= np.float32(factor * drawn.saturation)
    levels += np.float32(factor * (1 - drawn.saturation)) * grey + np.float32(offset + 0.5)
    return levels.clip(0, 255).astype(np.uint8)  # truncates: hence the half


def _erase(planes: Pixels, drawn: Sequence[float]) -> None:
    height, width = planes.shape[1:]
    area = height * width * (_ERASED_SHARE[0] + drawn[0] * (_ERASED_SHARE[1] - _ERASED_SHARE[0]))
    ratio = _ERASED_RATIO[0] * (_ERASED_RATIO[1] / _ERASED_RATIO[0]) ** drawn[1]
    erased_width = min(width, max(1, round(math.sqrt(area * ratio))))
    erased_height = min(height, max(1, round(math.sqrt(area / ratio))))
    left, top = int(drawn[2] * (width - erased_width + 1)), int(drawn[3] * (height - erased_height + 1))
    planes[:, top : top + erased_height, left : left + erased_width] = int(drawn[4] * 256)


def _full_size_and_extent(image: Image.Image) -> tuple[tuple[int, int], tuple[float, float, float, float]]:
    """(width, height) of the picture, and where it lies in what was decoded of it."""
    reduced: dict[str, Any] = image.info.get("reduced", {"full_size": image.size, "extent": (0, 0, *image.size)})
    return reduced["full_size"], reduced["extent"]
