"""Make tests/references/preprocess.npz: what torchvision and open_clip make of images that a formula draws.

    python scripts/make_preprocess_references.py

Needs open_clip_torch 3.3.0, clip-anytorch 2.6.0 (OpenAI's package) and setuptools < 81 in an environment of their own.
For each case, named TRANSFORM-MODE-WIDTHxHEIGHT, it stores the SHA-256 of the float32 bytes and every 32nd pixel.
"""

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import clip.clip
import numpy as np
import numpy.typing as npt
from open_clip.transform import image_transform
from PIL import Image

OUTPUT = Path(__file__).parents[1] / "tests" / "references" / "preprocess.npz"
TRANSFORMS: dict[str, Callable[[Image.Image], Any]] = {
    "openai": clip.clip._transform(224),
    "open_clip": image_transform(224, is_train=False),
    "size336": image_transform(336, is_train=False),
    "halves": image_transform(224, is_train=False, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5)),
    "bilinear": image_transform(224, is_train=False, interpolation="bilinear"),
    "portrait": image_transform((224, 160), is_train=False),
    "landscape_bilinear": image_transform((160, 224), is_train=False, interpolation="bilinear"),
    "squash": image_transform(224, is_train=False, resize_mode="squash"),
    "squash_landscape": image_transform((160, 224), is_train=False, resize_mode="squash"),
    "longest": image_transform(224, is_train=False, resize_mode="longest"),
    "longest_landscape": image_transform((160, 225), is_train=False, resize_mode="longest", fill_color=127),
}
SIZES = [(640, 200), (97, 301), (20, 13), (225, 223), (1, 60), (224, 224), (300, 300), (1000, 750)]
MODES = ["RGBA", "P", "L", "LA", "CMYK", "YCbCr", "1", "I;16", "I", "F"]


def synthetic(mode: str, width: int, height: int) -> Image.Image:
    """An image of this mode with edges, gradients and all levels; tests/test_preprocess.py draws the same."""
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


def main() -> None:
    cases = [(transform, "RGB", size) for transform in TRANSFORMS for size in SIZES]
    cases += [
        (transform, mode, size)
        for transform in ("openai", "longest_landscape")
        for mode in MODES
        for size in ((300, 211), (61, 83))
    ]
    arrays: dict[str, npt.NDArray[Any]] = {}
    for transform, mode, (width, height) in cases:
        name = f"{transform}-{mode}-{width}x{height}"
        try:
            pixels = TRANSFORMS[transform](synthetic(mode, width, height)).numpy()
        except ValueError as error:
            print(f"{name}: {error}", file=sys.stderr)
            continue
        digest = hashlib.sha256(pixels.tobytes()).digest()
        arrays[f"{name}/sha256"] = np.frombuffer(digest, dtype=np.uint8)
        arrays[f"{name}/pixels"] = pixels[:, ::32, ::32]
    np.savez_compressed(OUTPUT, **arrays)  # type: ignore[arg-type]
    print(f"{OUTPUT}: {len(arrays) // 2} cases, {OUTPUT.stat().st_size:,} bytes")


if __name__ == "__main__":
    main()
