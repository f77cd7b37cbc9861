"""How far fast preprocessing is from exact, and how much faster: python exact_and_fast.py MODEL PHOTO...

MODEL is whatever diptych.load takes, so this can be run on one's own weights and photos. Prints JSON with a list for
each photo: milliseconds of one core to open and preprocess it (the median of three), the cosine of the features in
float32, and the peak signal-to-noise ratio of the pixels in dB.
"""

import json
import statistics
import sys
import time
from dataclasses import replace

import numpy as np

import diptych
from diptych.images import open_image
from diptych.preprocess import METHODS, Pixels, Preprocess, PreprocessKind, reduced_side

ROUNDS = 3


def prepare(path: str, method: PreprocessKind, config: Preprocess) -> Pixels:
    return METHODS[method](open_image(path, shortest_side=reduced_side(config) if method == "fast" else None), config)


def milliseconds(path: str, config: Preprocess) -> dict[PreprocessKind, float]:
    """Each method's median, the methods alternating."""
    measured: dict[PreprocessKind, list[float]] = {method: [] for method in METHODS}
    for _ in range(ROUNDS):
        for method, times in measured.items():
            start = time.perf_counter()
            prepare(path, method, config)
            times.append(1000 * (time.perf_counter() - start))
    return {method: statistics.median(times) for method, times in measured.items()}


def decibels(path: str, config: Preprocess) -> float:
    levels = replace(config, mean=(0.0, 0.0, 0.0), std=(1 / 255, 1 / 255, 1 / 255))
    exact, fast = (prepare(path, method, levels).astype(np.float64) for method in METHODS)
    return float(20 * np.log10(255 / max(np.sqrt(((exact - fast) ** 2).mean()), 1e-6)))


def main() -> None:
    model, paths = sys.argv[1], sys.argv[2:]
    encoders = {method: diptych.load(model, dtype="float32", preprocess=method) for method in METHODS}
    config = encoders["exact"].preprocess
    times = [milliseconds(path, config) for path in paths]
    features = {method: encoder.encode_images(paths) for method, encoder in encoders.items()}
    cosines = (features["exact"].astype(np.float64) * features["fast"]).sum(axis=1)
    between = features["exact"] @ features["exact"].T
    result = {
        "exact": [found["exact"] for found in times],
        "fast": [found["fast"] for found in times],
        "cosine": cosines.tolist(),
        "decibels": [decibels(path, config) for path in paths],
        "cosine_between_photos": float(between[~np.eye(len(paths), dtype=bool)].mean()) if len(paths) > 1 else None,
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
