"""`exact` keeps the bits of the published transforms; `fast` stays close to it; settings are checked."""

import hashlib
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFilter

from diptych.preprocess import METHODS, Interpolation, Preprocess, PreprocessKind, ResizeMode, exact, fast, reduced_side

# From torchvision and open_clip, by scripts/make_preprocess_references.py.
REFERENCES = dict(np.load(Path(__file__).parent / "references" / "preprocess.npz"))
CASES = sorted({key.split("/")[0] for key in REFERENCES})
CONFIGS = {
    "openai": Preprocess(),
    "open_clip": Preprocess(),
    "size336": Preprocess(size=(336, 336)),
    "halves": Preprocess(mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    "bilinear": Preprocess(interpolation="bilinear"),
    "portrait": Preprocess(size=(224, 160)),
    "landscape_bilinear": Preprocess(size=(160, 224), interpolation="bilinear"),
    "squash": Preprocess(resize_mode="squash"),
    "squash_landscape": Preprocess(size=(160, 224), resize_mode="squash"),
    "longest": Preprocess(resize_mode="longest"),
    "longest_landscape": Preprocess(size=(160, 225), resize_mode="longest", fill_color=127),
}
PLAIN = Preprocess(mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))


def synthetic(mode: str, width: int, height: int) -> Image.Image:
    """An image of this mode with edges, gradients and all levels, as the script that makes the references draws it."""
    y, x, band = np.mgrid[:height, :width, :4]
    values = (x * (5 + 2 * band) + y * (3 + 4 * band) + x * y // (7 + band) + 64 * ((x // 9 + y // 7) % 2)) % 256
    levels: npt.NDArray[np.uint8] = values.astype(np.uint8)
    grey = Image.fromarray(levels[:, :, 0].copy())
    match mode:
        case "L":
            return grey
        case "1":
            return grey.point(lambda level: 255 * (level > 127), "1")
        case "P":
            image = Image.frombytes("P", (width, height), (levels[:, :, 1] // 2).tobytes())
            image.putpalette([(37 * entry) % 256 for entry in range(384)])
            return image
        case "I;16":
            return Image.fromarray(values[:, :, 0].astype(np.uint16) * 257)
        case "I":
            return Image.fromarray(values[:, :, 0].astype(np.int32) * 2 - 50)
        case "F":
            return Image.fromarray(values[:, :, 0].astype(np.float32) * 1.3 - 20)
        case _:
            bands = Image.getmodebands(mode)
            return Image.merge(mode, [Image.fromarray(levels[:, :, band].copy()) for band in range(bands)])


def photo(width: int, height: int) -> Image.Image:
    """Blurred noise over a gradient: detail at every scale, as in photographs, and no exact edges."""
    noise = np.random.Generator(np.random.PCG64(5)).integers(0, 256, (height, width, 3), dtype=np.uint8)
    fine = Image.fromarray(noise).filter(ImageFilter.GaussianBlur(width / 300))
    coarse = Image.fromarray(noise).resize((12, 9)).resize((width, height), Image.Resampling.BICUBIC)
    return Image.blend(fine, coarse, 0.5)


def levels(pixels: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    return pixels * 255


def parse(case: str) -> tuple[Preprocess, Image.Image]:
    transform, mode, size = case.split("-")
    width, height = size.split("x")
    return CONFIGS[transform], synthetic(mode, int(width), int(height))


def test_references_cover_every_transform_and_mode() -> None:
    assert len(CASES) == 128
    assert {case.split("-")[0] for case in CASES} == set(CONFIGS)
    assert len({case.split("-")[1] for case in CASES}) == 11


@pytest.mark.parametrize("case", CASES)
def test_exact_keeps_the_bits_of_the_reference(case: str) -> None:
    config, image = parse(case)
    pixels = exact(image, config)
    np.testing.assert_array_equal(pixels[:, ::32, ::32], REFERENCES[f"{case}/pixels"])
    assert hashlib.sha256(pixels.tobytes()).digest() == REFERENCES[f"{case}/sha256"].tobytes()


@pytest.mark.parametrize("size", [(640, 200), (97, 301), (20, 13), (225, 223), (1, 60), (300, 300), (1000, 750)])
@pytest.mark.parametrize("transform", CONFIGS)
def test_fast_draws_what_exact_draws(transform: str, size: tuple[int, int]) -> None:
    config = replace(CONFIGS[transform], mean=PLAIN.mean, std=PLAIN.std)
    error = np.abs(levels(fast(photo(*size), config)) - levels(exact(photo(*size), config)))
    # Pillow resizes in two passes of 8 bits each, whose order it chooses by the sizes, and averages first where the
    # image is more than four times too large.
    assert error.max() <= 2.01
    assert error.mean() <= 0.3


@pytest.mark.parametrize("method", METHODS)
def test_every_method_gives_contiguous_float32_and_leaves_the_image_alone(method: PreprocessKind) -> None:
    image = photo(90, 70)
    before = image.tobytes()
    pixels = METHODS[method](image, Preprocess(size=(32, 48)))
    assert pixels.dtype == np.float32
    assert pixels.shape == (3, 32, 48)
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    assert image.tobytes() == before


def test_exact_by_hand() -> None:
    image = Image.new("RGB", (4, 2))
    image.putdata([(255, 0, 51)] * 8)
    config = Preprocess(size=(2, 2), mean=(0.5, 0.0, 0.2), std=(0.5, 1.0, 0.1))
    assert exact(image, config)[:, 0, 0].tolist() == pytest.approx([1.0, 0.0, 0.0])


def test_the_crop_is_centred_with_halves_to_even() -> None:
    ramp = Image.fromarray(np.tile(np.arange(9, dtype=np.uint8)[None, :, None], (4, 1, 3)))
    pixels = levels(exact(ramp, replace(PLAIN, size=(4, 4))))
    assert pixels[0, 0].round().tolist() == [2, 3, 4, 5]


@settings(max_examples=60, deadline=None)
@given(
    width=st.integers(1, 90),
    height=st.integers(1, 90),
    size=st.tuples(st.integers(1, 40), st.integers(1, 40)),
    resize_mode=st.sampled_from(["shortest", "squash", "longest"]),
    interpolation=st.sampled_from(["nearest", "box", "bilinear", "hamming", "bicubic", "lanczos"]),
)
def test_any_image_fits_any_configuration(
    width: int, height: int, size: tuple[int, int], resize_mode: ResizeMode, interpolation: Interpolation
) -> None:
    config = replace(PLAIN, size=size, resize_mode=resize_mode, interpolation=interpolation)
    image = photo(width, height)
    whole, quick = exact(image, config), fast(image, config)
    assert whole.shape == quick.shape == (3, *size)
    assert 0 <= min(whole.min(), quick.min()) <= max(whole.max(), quick.max()) <= 1


def test_grey_stays_grey_and_flat_stays_flat() -> None:
    for method in METHODS.values():
        pixels = levels(method(Image.new("L", (500, 333), 77), PLAIN))
        assert np.all(np.abs(pixels - 77) < 1e-4)


def test_fast_is_close_to_exact_on_a_large_photo() -> None:
    image = photo(1600, 1200)
    error = levels(fast(image, PLAIN)) - levels(exact(image, PLAIN))
    assert 0 < np.sqrt(np.mean(error**2)) < 0.7  # above 51 dB


def test_fast_puts_the_crop_of_a_reduced_image_where_exact_does() -> None:
    whole = photo(1001, 777)
    reduced = whole.reduce(4)  # 251 x 195: the last column covers a quarter, as after a reduced JPEG decode
    told = reduced.copy()
    told.info["reduced"] = {"size": (251, 195), "full_size": (1001, 777), "extent": (0.0, 0.0, 1001 / 4, 777 / 4)}
    config = replace(PLAIN, size=(96, 96))
    truth = levels(exact(whole, config))
    informed, naive = levels(fast(told, config)), levels(fast(reduced, config))
    assert np.abs(informed - truth).mean() < 0.5 * np.abs(naive - truth).mean()


def test_fast_ignores_what_was_noted_of_an_image_cropped_since() -> None:
    image = photo(300, 200)
    image.info["reduced"] = {"size": (300, 200), "full_size": (1200, 800), "extent": (0.0, 0.0, 300.0, 200.0)}
    cropped = image.crop((0, 0, 100, 150))
    plain = cropped.copy()
    plain.info = {}
    np.testing.assert_array_equal(fast(cropped, PLAIN), fast(plain, PLAIN))


def test_a_thread_of_an_image_takes_no_memory() -> None:
    # Resized whole, it would be 224 x 22,400,000 pixels: 20 gigabytes.
    for mode in ("RGB", "L", "P"):
        assert exact(Image.new(mode, (1, 100_000), 255), PLAIN).shape == (3, 224, 224)
        assert exact(Image.new(mode, (100_000, 1), 255), PLAIN).shape == (3, 224, 224)
    fitted = exact(Image.new("RGB", (100_000, 1), "red"), replace(PLAIN, resize_mode="longest"))
    assert fitted[0].sum() == 224  # a line of one pixel, where rounding would leave none


def test_reduced_side_leaves_a_margin_over_the_larger_side() -> None:
    assert reduced_side(Preprocess()) == 336
    assert reduced_side(Preprocess(size=(160, 224))) == 336


@pytest.mark.parametrize(
    ("fields", "complaint"),
    [
        ({"size": 224}, r"size must be \(height, width\) in pixels, got 224\."),
        ({"size": (224, 0)}, r"size must be .* got \(224, 0\)"),
        ({"size": (224.0, 224.0)}, "size must be"),
        ({"size": [224, 224]}, "size must be"),
        ({"mean": 0.5}, "mean must be a tuple of three numbers, got 0.5"),
        ({"mean": (0.5, 0.5)}, "mean must be"),
        ({"mean": ("a", "b", "c")}, "mean must be"),
        ({"std": (0.5, 0.5, 0.0)}, "std must be a tuple of three positive numbers"),
        ({"std": (0.5, 0.5, -1)}, "std must be"),
        ({"resize_mode": "crop"}, "resize_mode must be one of shortest, squash, longest, got 'crop'"),
        ({"interpolation": "cubic"}, "interpolation must be one of nearest, .*lanczos, got 'cubic'"),
        ({"fill_color": 256}, "fill_color must be a whole number from 0 to 255, got 256"),
        ({"fill_color": 0.5}, "fill_color must be"),
    ],
)
def test_a_wrong_setting_is_named(fields: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        Preprocess(**fields)


def test_importing_does_not_import_torch() -> None:
    code = "import sys, diptych.preprocess, diptych.images; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
