"""Webdataset shards to batches, by Diptych's loader in this process.

    python diptych_data.py

Requests: {"shards": [...], "samples": ..., "batch_size": ..., "image_size": ...}.
"""

import time
from collections.abc import Sequence
from functools import partial
from itertools import islice
from typing import Any

import torch

from diptych.data.config import DataConfig, SourceConfig
from diptych.data.loader import Loader
from diptych.data.open import open_source
from diptych.images import open_image
from diptych.tokenizer import Tokenizer, clip_tokenizer, cut
from serve import serve

CONTEXT_LENGTH = 77


def tokenize(tokenizer: Tokenizer, texts: Sequence[str]) -> list[list[int]]:
    return [cut(ids, CONTEXT_LENGTH, tokenizer.end_token) for ids in tokenizer.encode_batch(texts)]


def measure(request: dict[str, Any]) -> dict[str, Any]:
    config = SourceConfig(path=tuple(request["shards"]), format="webdataset", name="shards")
    source = open_source(config)  # indexes the shards the first time, before the clock starts
    batch_size, steps = request["batch_size"], request["samples"] // request["batch_size"]
    started = time.process_time()
    loader = Loader(
        [source],
        DataConfig(sources=(config,), workers=0),
        tokenize=partial(tokenize, clip_tokenizer()),
        open_image=open_image,
        image_size=(request["image_size"], request["image_size"]),
        batch_size=batch_size,
        seed=0,
    )
    images = sum(len(batch.images) for batch in islice(loader.iterate(), steps))
    return {"seconds": time.process_time() - started, "images": images}


if __name__ == "__main__":
    torch.set_num_threads(1)
    serve(measure)
