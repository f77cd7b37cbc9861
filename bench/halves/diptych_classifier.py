"""Class names to class vectors, by Diptych.

    python diptych_classifier.py FOLDER

Requests: {"dtype": ..., "classes": how many of ImageNet's names, "save": where to write (K, E) float32 or null}.
"""

import hashlib
import sys
import time
from functools import cache
from typing import Any

import numpy as np

import diptych
from diptych.encode.devices import DType
from diptych.prompts import CLASS_NAMES
from diptych.zeroshot import build_classifier, write_prompts
from serve import serve


@cache
def encoder(dtype: DType) -> diptych.DualEncoder:
    loaded = diptych.load(sys.argv[1], dtype=dtype)
    build_classifier(loaded.encoder, CLASS_NAMES["imagenet"][:10], "imagenet", cache=False)
    return loaded


def distinct_prefixes(texts: list[str], loaded: diptych.DualEncoder) -> int:
    """How many tokens must be computed at least: what begins alike is computed once."""
    return len({tuple(ids[:end]) for ids in loaded.tokenizer.encode_batch(texts) for end in range(1, len(ids) + 1)})


def measure(request: dict[str, Any]) -> dict[str, Any]:
    loaded, names = encoder(request["dtype"]), CLASS_NAMES["imagenet"][: request["classes"]]
    start = time.perf_counter()
    classifier = build_classifier(loaded.encoder, names, "imagenet", cache=False)
    seconds = time.perf_counter() - start
    if request["save"]:
        np.save(request["save"], classifier.class_features)
    texts = [text for _, sentences in write_prompts(names, "imagenet") for text in sentences]
    return {
        "seconds": seconds,
        "dtype": loaded.dtype,
        "prompts": hashlib.sha256("\n".join(texts).encode()).hexdigest(),
        "tokens": distinct_prefixes(texts, loaded),
    }


if __name__ == "__main__":
    serve(measure)
