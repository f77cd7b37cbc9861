"""Steps of open_clip's trainer, its `train_one_epoch`, on batches that were loaded before the clock starts.

    python open_clip_step.py PRECISION BATCH_SIZE SHARD...

Requests: {"steps": ...}. The optimiser is made as open_clip_train.main makes it, with its default settings for a ViT.
"""

import sys
from argparse import Namespace
from collections.abc import Iterator
from itertools import cycle, islice
from typing import Any

import open_clip
import torch
from open_clip_train.data import get_wds_dataset
from open_clip_train.train import train_one_epoch
from stepping import BATCHES, LR, MODEL, device, timed
from torch import Tensor, nn

from serve import serve

PRECISIONS = {"bf16": "amp_bf16", "fp32": "fp32"}


class Batches:
    """What `train_one_epoch` takes for its data: so many batches."""

    def __init__(self, batches: list[tuple[Tensor, Tensor]], steps: int) -> None:
        self.dataloader = self
        self.batches, self.num_batches = batches, steps
        self.num_samples = steps * len(batches[0][0])

    def set_epoch(self, _: int) -> None:
        """Every epoch is the same."""

    def __iter__(self) -> Iterator[tuple[Tensor, Tensor]]:
        return islice(cycle(self.batches), self.num_batches)


class Steps:
    """A ViT-B/32 with its optimiser and first batches."""

    def __init__(self, precision: str, batch_size: int, shards: list[str]) -> None:
        self.arguments = Namespace(
            device=str(device()),
            precision=PRECISIONS[precision],
            batch_size=batch_size,
            accum_freq=1,
            distill=False,
            skip_scheduler=True,
            horovod=False,
            grad_clip_norm=None,
            log_every_n_steps=1_000_000,
            world_size=1,
            rank=0,
            wandb=False,
            # Of its data:
            train_data="::".join(shards),
            train_num_samples=BATCHES * batch_size,
            train_data_upsampling_factors=None,
            dataset_resampled=False,
            workers=0,
            seed=0,
        )
        self.model, transform, _ = open_clip.create_model_and_transforms(
            MODEL, precision=self.arguments.precision, device=device(), output_dict=True
        )
        tokenizer = open_clip.get_tokenizer(MODEL)
        loader = get_wds_dataset(self.arguments, transform, is_train=True, floor=True, tokenizer=tokenizer).dataloader
        self.batches = [(images, texts) for images, texts in loader]
        self.loss = open_clip.ClipLoss()
        self.optimiser = make_optimiser(self.model)

    def measure(self, request: dict[str, Any]) -> dict[str, Any]:
        data = {"train": Batches(self.batches, request["steps"])}
        epoch = (self.model, data, self.loss, 0, self.optimiser, None, None, None, self.arguments)
        return {
            "seconds": timed(lambda: train_one_epoch(*epoch)),
            "parameters": sum(parameter.numel() for parameter in self.model.parameters()),
        }


def make_optimiser(model: nn.Module) -> torch.optim.AdamW:
    """AdamW over two groups, with weight decay and without."""
    plain, decayed = [], []
    for name, parameter in model.named_parameters():
        is_plain = parameter.ndim < 2 or any(part in name for part in ("bn", "ln", "bias", "logit_scale"))
        (plain if is_plain else decayed).append(parameter)
    groups = [{"params": plain, "weight_decay": 0.0}, {"params": decayed, "weight_decay": 0.2}]
    return torch.optim.AdamW(groups, lr=LR, betas=(0.9, 0.98), eps=1e-6)


if __name__ == "__main__":
    precision, batch_size, *shards = sys.argv[1:]
    serve(Steps(precision, int(batch_size), shards).measure)
