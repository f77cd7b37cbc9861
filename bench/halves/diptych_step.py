"""Steps of Diptych's trainer on batches that were loaded before the clock starts.

    python diptych_step.py PRECISION BATCH_SIZE SHARD...

Requests: {"steps": ...}.
"""

import sys
from itertools import cycle, islice
from pathlib import Path
from typing import Any

from stepping import BATCHES, LR, MODEL, device, timed

from diptych.data.config import DataConfig, SourceConfig
from diptych.data.loader import Batch
from diptych.model.flops import image_flops, text_flops
from diptych.train.config import ModelConfig, OptimiserConfig, Precision, RunConfig, TrainConfig
from diptych.train.distributed import World
from diptych.train.setup import Run, set_up
from serve import serve


class Steps:
    """A run of ViT-B/32 and its first batches."""

    def __init__(self, precision: Precision, batch_size: int, shards: list[str]) -> None:
        source = SourceConfig(path=tuple(shards), format="webdataset", name="shards")
        config = RunConfig(
            run=Path("not-written"),
            model=ModelConfig(preset=MODEL),
            data=DataConfig(sources=(source,), workers=0),
            optimiser=OptimiserConfig(lr=LR, clip_norm=None),
            train=TrainConfig(batch_size=batch_size, precision=precision, share_positives=False),
        )
        self.run: Run = set_up(config, World(rank=0, size=1, device=device()))
        self.batches: list[Batch] = list(islice(self.run.loader.iterate(), BATCHES))
        self.done = 0

    def measure(self, request: dict[str, Any]) -> dict[str, Any]:
        batches = islice(cycle(self.batches), request["steps"])
        seconds = timed(lambda: [self._step(batch) for batch in batches])
        tokens = [len(text) for batch in self.batches for text in batch.tokens]
        model = self.run.start.config
        return {
            "seconds": seconds,
            "tokens_per_text": sum(tokens) / len(tokens),
            "parameters": sum(parameter.numel() for parameter in self.run.learner.towers.parameters()),
            "flops_per_pair": 3 * image_flops(model)
            + 3 * sum(text_flops(model, each) for each in tokens) // len(tokens),
            "flops_per_padded_pair": 3 * (image_flops(model) + text_flops(model)),
        }

    def _step(self, batch: Batch) -> None:
        self.run.learner.step(batch, self.done, 1.0)
        self.done += 1


if __name__ == "__main__":
    precision, batch_size, *shards = sys.argv[1:]
    serve(Steps(precision, int(batch_size), shards).measure)  # type: ignore[arg-type]
