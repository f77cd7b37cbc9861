"""Image files to features, by Diptych with its default settings but for what a request names.

    python diptych_images.py FOLDER

Requests: {"dtype": ..., "preprocess": ..., "paths": [...], "save": where to write (N, E) float32 or null}.
"""

import sys
import time
from functools import cache
from typing import Any

import numpy as np

import diptych
from diptych.encode.devices import DType
from diptych.model.flops import image_flops
from diptych.preprocess import PreprocessKind
from serve import serve


@cache
def encoder(dtype: DType, preprocess: PreprocessKind) -> diptych.DualEncoder:
    return diptych.load(sys.argv[1], dtype=dtype, preprocess=preprocess)


def measure(request: dict[str, Any]) -> dict[str, Any]:
    loaded = encoder(request["dtype"], request["preprocess"])
    start = time.perf_counter()
    features = loaded.encode_images(request["paths"])
    seconds = time.perf_counter() - start
    if request["save"]:
        np.save(request["save"], features)
    return {"seconds": seconds, "dtype": loaded.dtype, "flops_per_image": image_flops(loaded.config)}


if __name__ == "__main__":
    serve(measure)
