"""Vectors for a library of any size, and queries, as .npy files of (N, 512) float32 unit rows.

    python library_vectors.py PHOTO...

"real": what the model in the package makes of each photo and of its middle, side by side (2 x 256 numbers), moved a
little at random. "random": directions drawn at random, of which no two are near each other. Queries are drawn likewise.
Requests: {"kind": "real" | "random", "count": ..., "file": ..., "queries": ..., "queries_file": ...}.
"""

import sys
from functools import cache
from typing import Any

import numpy as np
from PIL import Image

import diptych
from serve import serve

WIDTH = 512
NOISE = 0.5  # the length of what is added to a photo's unit vector: cosines of 0.9 between what is made of one
ROWS_AT_ONCE = 10_000

Array = np.ndarray[Any, np.dtype[np.float32]]


def middle(path: str) -> Image.Image:
    with Image.open(path) as image:
        width, height = image.size
        return image.crop((width // 4, height // 4, width - width // 4, height - height // 4)).convert("RGB")


@cache
def photo_features() -> Array:
    """(P, 512) unit rows."""
    encoder, paths = diptych.load(preprocess="fast"), sys.argv[1:]
    return unit(np.hstack([encoder.encode_images(paths), encoder.encode_images(map(middle, paths))]))


def unit(rows: Array) -> Array:
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def draw(kind: str, count: int, generator: np.random.Generator) -> Array:
    noise = generator.standard_normal((count, WIDTH), dtype=np.float32)
    if kind == "random":
        return unit(noise)
    base = photo_features()
    return unit(base[generator.integers(len(base), size=count)] + noise * np.float32(NOISE / WIDTH**0.5))


def measure(request: dict[str, Any]) -> dict[str, Any]:
    count, kind = request["count"], request["kind"]
    generator = np.random.Generator(np.random.PCG64(count))
    rows = np.lib.format.open_memmap(request["file"], "w+", np.float32, (count, WIDTH))
    for start in range(0, count, ROWS_AT_ONCE):
        size = min(ROWS_AT_ONCE, count - start)
        rows[start : start + size] = draw(kind, size, generator)
    rows.flush()
    queries = draw(kind, request["queries"], generator)
    np.save(request["queries_file"], queries)
    nearest = [np.argsort(-(rows @ query), kind="stable")[:10].tolist() for query in queries]
    return {"nearest": nearest}


if __name__ == "__main__":
    serve(measure)
