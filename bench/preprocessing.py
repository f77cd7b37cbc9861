"""A JPEG to the pixels that a model takes, one core: `exact` against `fast`, alternating, at three sizes.

    python bench/preprocessing.py [--rounds 15] [--photos FOLDER]

Without a folder of photos of one's own, photos are drawn: detail at every scale and the noise of a sensor. Prints for
each size the median milliseconds to open and to preprocess, the ratio of the totals, and how far apart the pixels are.
"""

import argparse
import io
import platform
import statistics
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import PIL
from PIL import Image

from diptych.images import open_image
from diptych.preprocess import METHODS, Preprocess, reduced_side

SIZES = ((500, 375), (1024, 768), (4032, 3024))
CONFIG = Preprocess()
LEVELS = replace(CONFIG, mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255))


def draw_photo(width: int, height: int) -> bytes:
    """A JPEG whose detail falls off with its frequency, as it does in photographs."""
    generator = np.random.Generator(np.random.PCG64(width))
    pixels = np.full((height, width, 3), 128, dtype=np.float32)
    scale = 3
    while scale < width:
        shape = (max(1, scale * height // width), scale, 3)
        octave = Image.fromarray(generator.integers(0, 256, shape, dtype=np.uint8))
        smooth = octave.resize((width, height), Image.Resampling.BICUBIC)
        pixels += (np.asarray(smooth, dtype=np.float32) - 128) / scale**0.5
        scale *= 2
    pixels += generator.normal(0, 3, (height, width, 1)).astype(np.float32)
    buffer = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


def photos(folder: Path | None) -> Iterator[tuple[str, bytes]]:
    if folder is None:
        for width, height in SIZES:
            yield f"{width} x {height}", draw_photo(width, height)
    else:
        for path in sorted(folder.glob("*.jp*g")):
            yield path.name, path.read_bytes()


def measure(data: bytes, method: str) -> tuple[float, float]:
    """Milliseconds to open and to preprocess."""
    start = time.perf_counter()
    image = open_image(data, shortest_side=reduced_side(CONFIG) if method == "fast" else None)
    opened = time.perf_counter()
    METHODS[method](image, CONFIG)
    return 1000 * (opened - start), 1000 * (time.perf_counter() - opened)


def distance(data: bytes) -> tuple[float, float]:
    """Mean difference in levels of 0..255, and the peak signal-to-noise ratio in dB."""
    exact = METHODS["exact"](open_image(data), LEVELS)
    fast = METHODS["fast"](open_image(data, shortest_side=reduced_side(LEVELS)), LEVELS)
    error = exact.astype(np.float64) - fast
    return float(np.abs(error).mean()), float(20 * np.log10(255 / max(np.sqrt((error**2).mean()), 1e-6)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--photos", type=Path)
    arguments = parser.parse_args()
    print(f"Python {platform.python_version()}, Pillow {PIL.__version__}, numpy {np.__version__}, {platform.machine()}")
    print(f"{'photo':24}{'bytes':>10}{'exact ms':>18}{'fast ms':>18}{'ratio':>8}{'levels':>8}{'dB':>7}")
    for name, data in photos(arguments.photos):
        timings: dict[str, list[tuple[float, float]]] = {method: [] for method in METHODS}
        for _ in range(arguments.rounds):
            for method, results in timings.items():
                results.append(measure(data, method))
        opened, prepared = (
            {method: statistics.median(pair[stage] for pair in pairs) for method, pairs in timings.items()}
            for stage in (0, 1)
        )
        totals = {method: statistics.median(map(sum, pairs)) for method, pairs in timings.items()}
        columns = "".join(f"{f'{opened[method]:.2f} + {prepared[method]:.2f}':>18}" for method in METHODS)
        levels, decibels = distance(data)
        ratio = totals["exact"] / totals["fast"]
        print(f"{name:24}{len(data):>10,}{columns}{ratio:>8.2f}{levels:>8.2f}{decibels:>7.1f}")


if __name__ == "__main__":
    main()
