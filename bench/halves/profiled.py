"""Where the time of both towers goes: python profiled.py FOLDER PHOTO... Prints JSON with shares by kind of work.

One thread; prompts of ImageNet in batches that the encoder computes at once, and photos in batches of eight.
"""

import json
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np
import torch
from torch.profiler import ProfilerActivity, profile

import diptych
from diptych.encode.devices import DType
from diptych.images import open_image
from diptych.preprocess import exact
from diptych.prompts import CLASS_NAMES
from diptych.zeroshot import write_prompts

DTYPES: tuple[DType, ...] = ("float32", "auto")
CLASSES, PROMPTS_AT_ONCE, PHOTOS_AT_ONCE = 20, 150, 8
# By the first part of an operator's name that fits; the rest is "other".
KINDS = {
    "matrix products of layers": ("mkldnn::_linear", "aten::addmm", "aten::mm", "mkldnn::_convolution", "aten::mkldnn"),
    "attention": ("aten::_scaled_dot_product", "aten::_flash", "aten::bmm", "aten::baddbmm", "aten::_softmax"),
    "gathering and copying": ("aten::index", "aten::copy_", "aten::cat", "aten::gather", "aten::clone"),
    "normalisation": ("aten::native_layer_norm", "aten::linalg_vector_norm"),
    "activations and sums": ("aten::mul", "aten::add", "aten::sigmoid", "aten::gelu", "aten::silu", "aten::div"),
}


def kind_of(operator: str) -> str:
    return next((kind for kind, names in KINDS.items() if operator.startswith(names)), "other")


def shares(compute: Callable[[], object]) -> dict[str, float]:
    """Of the time inside torch's operators, on this thread."""
    compute()
    with profile(activities=[ProfilerActivity.CPU]) as profiled:
        compute()
    spent: Counter[str] = Counter()
    for event in profiled.key_averages():
        spent[kind_of(event.key)] += event.self_cpu_time_total
    return {kind: spent[kind] / spent.total() for kind in (*KINDS, "other")}


def batches(items: list[str], size: int) -> Iterator[list[str]]:
    remaining = iter(items)
    while batch := list(islice(remaining, size)):
        yield batch


def tower_shares(loaded: diptych.DualEncoder, texts: list[str], paths: list[str]) -> dict[str, dict[str, float]]:
    dtype = loaded.encoder.torch_dtype
    photos = [
        torch.from_numpy(np.stack([exact(open_image(path), loaded.preprocess) for path in batch])).to(dtype)
        for batch in batches(paths, PHOTOS_AT_ONCE)
    ]
    with torch.inference_mode():
        return {
            "prompts": shares(lambda: [loaded.encode_texts(batch) for batch in batches(texts, PROMPTS_AT_ONCE)]),
            "photos": shares(lambda: [loaded.model.encode_image(pixels) for pixels in photos]),
        }


def main() -> None:
    torch.set_num_threads(1)
    names = CLASS_NAMES["imagenet"][:CLASSES]
    texts = sorted((text for _, sentences in write_prompts(names, "imagenet") for text in sentences), key=len)
    result: dict[str, Any] = {}
    for dtype in DTYPES:
        loaded = diptych.load(sys.argv[1], dtype=dtype)
        result[loaded.dtype] = tower_shares(loaded, texts, sys.argv[2:])
    print(json.dumps(result))


if __name__ == "__main__":
    main()
