"""Webdataset shards to batches, by the pipeline and the transform that open_clip trains with, in this process.

    python open_clip_data.py

Requests: {"shards": [...], "samples": ..., "batch_size": ..., "image_size": ...}.
"""

import time
from argparse import Namespace
from typing import Any

import open_clip
import torch
from open_clip_train.data import get_wds_dataset

from serve import serve

MODEL = "ViT-B-32"


def measure(request: dict[str, Any]) -> dict[str, Any]:
    arguments = Namespace(
        train_data="::".join(request["shards"]),
        train_num_samples=request["samples"],
        train_data_upsampling_factors=None,
        dataset_resampled=False,
        batch_size=request["batch_size"],
        workers=0,
        world_size=1,
        seed=0,
    )
    transform = open_clip.image_transform(request["image_size"], is_train=True)
    tokenizer = open_clip.get_tokenizer(MODEL)
    started = time.process_time()
    # `floor`: the last, partial batch is left out, as Diptych's is.
    loader = get_wds_dataset(arguments, transform, is_train=True, floor=True, tokenizer=tokenizer).dataloader
    images = sum(len(pixels) for pixels, _ in loader)
    return {"seconds": time.process_time() - started, "images": images}


if __name__ == "__main__":
    torch.set_num_threads(1)
    serve(measure)
