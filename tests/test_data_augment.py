"""Crops, flips, colours and erased parts: within what was asked for, and the same for the same seed."""

import io
import random
from collections.abc import Iterator

import numpy as np
import pytest
from PIL import Image

from diptych.data.augment import Augmentation, Pixels, augment, draw_augmentation
from diptych.data.config import AugmentConfig
from diptych.errors import ImageError
from diptych.images import open_image

WHOLE = AugmentConfig(min_scale=1, max_scale=1)


def ramp(width: int, height: int) -> Image.Image:
    """Red is the share of the width, green of the height: a crop's corners say where it was."""
    x, y = np.meshgrid(np.linspace(0, 255, width), np.linspace(0, 255, height))
    return Image.fromarray(np.stack([x, y, np.full_like(x, 60)], axis=-1).astype(np.uint8))


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind, quality=95)
    return file.getvalue()


def crops(
    config: AugmentConfig, size: tuple[int, int], count: int = 200
) -> Iterator[tuple[float, float, float, float]]:
    """(left, top, right, bottom) of random crops of a ramp, as shares of it."""
    image = encoded(ramp(*size))
    for seed in range(count):
        pixels = augment(image, open_image, (32, 32), config, random.Random(seed)).astype(float) / 255
        step = (pixels[0, 0, -1] - pixels[0, 0, 0]) / 62, (pixels[1, -1, 0] - pixels[1, 0, 0]) / 62
        yield (
            pixels[0, 0, 0] - step[0],
            pixels[1, 0, 0] - step[1],
            pixels[0, 0, -1] + step[0],
            pixels[1, -1, 0] + step[1],
        )


def one(config: AugmentConfig, image: Image.Image, seed: int = 0, size: tuple[int, int] = (24, 32)) -> Pixels:
    return augment(encoded(image), open_image, size, config, random.Random(seed))


def test_pixels_are_uint8_of_the_asked_size() -> None:
    pixels = one(AugmentConfig(), ramp(50, 40))
    assert pixels.shape == (3, 24, 32)
    assert pixels.dtype == np.uint8


def test_the_same_seed_gives_the_same_pixels_and_another_does_not() -> None:
    config = AugmentConfig(flip=True, colour_jitter=0.4, greyscale=0.2, erase=0.5, min_scale=0.3)
    first, again, other = (one(config, ramp(50, 40), seed) for seed in (5, 5, 6))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_whole_picture_is_resized_as_pillow_does_it() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8))
    config = AugmentConfig(min_scale=1, max_scale=1, max_ratio=2)
    ours = one(config, noise).astype(int)
    theirs = np.asarray(noise.resize((32, 24), Image.Resampling.BICUBIC)).transpose(2, 0, 1).astype(int)
    assert abs(ours - theirs).max() <= 2  # both round weights to a few bits, each in its own way


@pytest.mark.parametrize("size", [(200, 200), (300, 200), (150, 200)])
def test_crops_keep_the_asked_share_of_the_area_and_the_asked_ratio(size: tuple[int, int]) -> None:
    for left, top, right, bottom in crops(AugmentConfig(min_scale=0.4, max_scale=0.6), size):
        assert -0.01 <= left < right <= 1.01
        assert -0.01 <= top < bottom <= 1.01
        assert 0.38 <= (right - left) * (bottom - top) <= 0.62
        assert 0.72 <= (right - left) / (bottom - top) * size[0] / size[1] <= 1.38


def test_crops_reach_every_edge() -> None:
    found = np.array(list(crops(AugmentConfig(min_scale=0.3, max_scale=0.5), (200, 200))))
    assert found[:, :2].min(axis=0) == pytest.approx([0, 0], abs=0.02)
    assert found[:, 2:].max(axis=0) == pytest.approx([1, 1], abs=0.02)
    assert found[:, :2].mean(axis=0) == pytest.approx(1 - found[:, 2:].mean(axis=0), abs=0.06)  # to no side


def test_of_a_long_picture_the_largest_crop_of_the_nearest_ratio_is_kept() -> None:
    for left, top, right, bottom in crops(AugmentConfig(), (600, 100), 20):
        assert (top, bottom) == pytest.approx((0, 1), abs=0.02)
        assert (right - left) * 6 == pytest.approx(4 / 3, abs=0.1)


@pytest.mark.parametrize("size", [(1, 1), (1, 200), (300, 1), (2, 3)])
def test_tiny_and_thin_pictures_are_scaled_up(size: tuple[int, int]) -> None:
    assert one(AugmentConfig(), Image.new("RGB", size, "red"))[:, 5, 5].tolist() == [255, 0, 0]


def test_a_large_jpeg_is_decoded_reduced_and_cropped_at_the_same_place() -> None:
    asked: list[int | None] = []

    def remember(source: bytes, /, *, shortest_side: int | None = None) -> Image.Image:
        asked.append(shortest_side)
        return open_image(source, shortest_side=shortest_side)

    def whole(source: bytes, /, *, shortest_side: int | None = None) -> Image.Image:
        return open_image(source)

    jpeg = encoded(ramp(1003, 805), "JPEG")
    config = AugmentConfig(min_scale=0.25, max_scale=0.25)
    reduced = augment(jpeg, remember, (64, 64), config, random.Random(1)).astype(int)
    full = augment(jpeg, whole, (64, 64), config, random.Random(1)).astype(int)
    assert asked == [128]  # half of the sides: what is left of them is the size
    assert open_image(jpeg, shortest_side=128).size == (251, 202)
    assert abs(reduced - full).max() <= 4  # a crop in whole pixels of a quarter of the size: up to 2 of 1003 off


def test_half_of_the_pictures_are_mirrored_where_that_is_asked() -> None:
    flipped = AugmentConfig(min_scale=1, max_scale=1, flip=True)
    found = [one(flipped, ramp(32, 24), seed) for seed in range(100)]
    mirrored = [bool(pixels[0, 0, 0] > pixels[0, 0, -1]) for pixels in found]
    assert 30 <= sum(mirrored) <= 70
    plain = one(WHOLE, ramp(32, 24))
    assert all(
        np.array_equal(pixels[:, :, ::-1] if is_mirrored else pixels, plain)
        for pixels, is_mirrored in zip(found, mirrored, strict=True)
    )


def test_greyscale_has_equal_channels_and_the_luma_of_the_picture() -> None:
    grey = one(AugmentConfig(min_scale=1, max_scale=1, greyscale=1), Image.new("RGB", (8, 8), (200, 100, 50)))
    assert np.unique(grey).tolist() == [124]  # 0.299 * 200 + 0.587 * 100 + 0.114 * 50


def test_colours_change_by_up_to_the_asked_share() -> None:
    config = AugmentConfig(min_scale=1, max_scale=1, colour_jitter=0.5)
    means = np.array([one(config, Image.new("RGB", (8, 8), (120, 120, 120)), seed).mean() for seed in range(200)])
    assert 60 <= means.min() < 75  # grey has brightness alone
    assert 165 < means.max() <= 180


def test_contrast_and_saturation_keep_the_mean_grey() -> None:
    image = ramp(64, 64)
    plain = one(WHOLE, image, size=(64, 64)).astype(float)
    for seed in range(20):
        drawn = draw_augmentation(AugmentConfig(colour_jitter=0.3), random.Random(seed))
        pixels = one(AugmentConfig(min_scale=1, max_scale=1, colour_jitter=0.3), image, seed, (64, 64)).astype(float)
        assert _grey(pixels) == pytest.approx(_grey(plain) * drawn.brightness, abs=4)  # levels end at 255


def test_a_rectangle_is_erased_of_the_asked_share_of_pictures() -> None:
    config = AugmentConfig(min_scale=1, max_scale=1, erase=0.5)
    changed = [
        (one(config, Image.new("RGB", (32, 24), "red"), seed) != [[[255]], [[0]], [[0]]]).any(axis=0)
        for seed in range(100)
    ]
    erased = [each for each in changed if each.any()]
    assert 30 <= len(erased) <= 70
    for each in erased:
        rows, columns = np.flatnonzero(each.any(axis=1)), np.flatnonzero(each.any(axis=0))
        assert each[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1].all()
        assert 0.015 <= each.mean() <= 0.36


def test_no_setting_changes_what_another_draws() -> None:
    plain, all_on = (
        draw_augmentation(config, random.Random(3))
        for config in (AugmentConfig(), AugmentConfig(flip=True, colour_jitter=0.5, greyscale=0.5, erase=0.9))
    )
    assert _crop_of(plain) == _crop_of(all_on)
    assert plain.erased is None
    assert all_on.erased is not None


def test_bytes_that_are_no_image_are_an_image_error() -> None:
    with pytest.raises(ImageError, match="not an image"):
        augment(b"text", open_image, (8, 8), AugmentConfig(), random.Random(0))


def _crop_of(drawn: Augmentation) -> tuple[float, ...]:
    return drawn.scale, drawn.ratio, drawn.left, drawn.top


def _grey(pixels: np.ndarray[tuple[int, ...], np.dtype[np.float64]]) -> float:
    return float(0.299 * pixels[0].mean() + 0.587 * pixels[1].mean() + 0.114 * pixels[2].mean())
