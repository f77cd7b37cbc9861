"""Image files to features, by open_clip's model and transform, fed by a DataLoader with two workers.

    python open_clip_images.py WEIGHTS

Requests: {"precision": "fp32" or "bf16", "batch_size": ..., "paths": [...], "save": where to write or null}.
"""

import sys
import time
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import open_clip
import torch
from PIL import Image

from serve import serve

MODEL, WORKERS = "ViT-B-32-quickgelu", 2


class Photos(torch.utils.data.Dataset[torch.Tensor]):
    def __init__(self, paths: list[str], transform: Callable[[Image.Image], torch.Tensor]) -> None:
        self.paths = paths
        self.transform = transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.transform(Image.open(self.paths[index]))


@cache
def parts(precision: str) -> tuple[Any, Any]:
    model, _, transform = open_clip.create_model_and_transforms(MODEL, pretrained=sys.argv[1], precision=precision)
    return model.eval(), transform


@torch.inference_mode()
def measure(request: dict[str, Any]) -> dict[str, Any]:
    model, transform = parts(request["precision"])
    dtype = model.visual.conv1.weight.dtype
    start = time.perf_counter()
    loader = torch.utils.data.DataLoader(
        Photos(request["paths"], transform), batch_size=request["batch_size"], num_workers=WORKERS
    )
    features = [model.encode_image(pixels.to(dtype), normalize=True).float() for pixels in loader]
    seconds = time.perf_counter() - start
    if request["save"]:
        np.save(request["save"], torch.cat(features).numpy())
    return {"seconds": seconds, "dtype": str(dtype).removeprefix("torch.")}


if __name__ == "__main__":
    serve(measure)
