"""An encoded image to the pixels of one training step: a random crop, and what else the config asks for."""

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from PIL import Image

from diptych.data.config import AugmentConfig

Pixels = npt.NDArray[np.uint8]
_LUMA = np.array([0.299, 0.587, 0.114], dtype=np.float32)  # of R, G, B (ITU-R BT.601)
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
    needed = math.ceil(max(size) / math.sqrt(drawn.scale))
    image = open_image(encoded, shortest_side=needed)
    width, height, extent = _full_size_and_extent(image)
    box = _crop(width, height, drawn, config)
    left, top, right, bottom = extent
    cropped = image.resize(
        size[::-1],
        Image.Resampling.BICUBIC,
        box=(
            left + box[0] * (right - left),
            top + box[1] * (bottom - top),
            min(right, left + box[2] * (right - left)),
            min(bottom, top + box[3] * (bottom - top)),
        ),
        reducing_gap=2.0,
    )
    return _change_levels(np.asarray(cropped), drawn)


def _crop(width: int, height: int, drawn: Augmentation, config: AugmentConfig) -> tuple[float, float, float, float]:
    """(left, top, right, bottom) as shares of the image.

    The ratio is drawn, on a logarithmic scale, among those with which a crop of the drawn area fits; where none does,
    the crop is as large as the nearest ratio allows (what torchvision's RandomResizedCrop does after ten attempts).
    """
    whole = width / height
    least, most = max(config.min_ratio, whole * drawn.scale), min(config.max_ratio, whole / drawn.scale)
    if least <= most:
        ratio = least * (most / least) ** drawn.ratio
        share_x, share_y = math.sqrt(drawn.scale * ratio / whole), math.sqrt(drawn.scale * whole / ratio)
    else:
        ratio = min(max(whole, config.min_ratio), config.max_ratio)
        share_x, share_y = min(1.0, ratio / whole), min(1.0, whole / ratio)
    left, top = drawn.left * (1 - share_x), drawn.top * (1 - share_y)
    return max(0.0, left), max(0.0, top), min(1.0, left + share_x), min(1.0, top + share_y)


def _change_levels(pixels: Pixels, drawn: Augmentation) -> Pixels:
    """(H, W, 3) to (3, H, W): flipped, recoloured, a part erased."""
    if drawn.is_flipped:
        pixels = pixels[:, ::-1]
    if (drawn.brightness, drawn.contrast, drawn.saturation) != (1, 1, 1):
        pixels = _recolour(pixels, drawn)
    planes = np.ascontiguousarray(pixels.transpose(2, 0, 1))
    if drawn.erased is not None:
        _erase(planes, drawn.erased)
    return planes


def _recolour(pixels: Pixels, drawn: Augmentation) -> Pixels:
    """Brightness, then contrast about the mean grey, then saturation about each pixel's grey."""
    levels = pixels.astype(np.float32) * np.float32(drawn.brightness)
    levels += (1 - drawn.contrast) * ((levels @ _LUMA).mean() - levels)
    levels += (1 - drawn.saturation) * ((levels @ _LUMA)[:, :, None] - levels)
    return np.rint(levels).clip(0, 255).astype(np.uint8)


def _erase(planes: Pixels, drawn: Sequence[float]) -> None:
    height, width = planes.shape[1:]
    area = height * width * (_ERASED_SHARE[0] + drawn[0] * (_ERASED_SHARE[1] - _ERASED_SHARE[0]))
    ratio = _ERASED_RATIO[0] * (_ERASED_RATIO[1] / _ERASED_RATIO[0]) ** drawn[1]
    erased_width = min(width, max(1, round(math.sqrt(area * ratio))))
    erased_height = min(height, max(1, round(math.sqrt(area / ratio))))
    left, top = int(drawn[2] * (width - erased_width + 1)), int(drawn[3] * (height - erased_height + 1))
    planes[:, top : top + erased_height, left : left + erased_width] = int(drawn[4] * 256)


def _full_size_and_extent(image: Image.Image) -> tuple[int, int, tuple[float, float, float, float]]:
    """Width and height of the picture, and where it lies in what was decoded of it."""
    reduced: dict[str, Any] = image.info.get("reduced", {"full_size": image.size, "extent": (0, 0, *image.size)})
    width, height = reduced["full_size"]
    return width, height, reduced["extent"]
