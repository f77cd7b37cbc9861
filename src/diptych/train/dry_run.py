"""What a run will cost, from a few of its own steps: nothing is written."""

import resource
import sys
import time
from dataclasses import dataclass

import torch

from diptych.model.shapes import parameter_count, tensor_shapes
from diptych.train.config import RunConfig
from diptych.train.distributed import World, join_world
from diptych.train.schedule import learning_rate_share
from diptych.train.setup import set_up
from diptych.train.text_buckets import bucket_texts

_STEPS = 4  # the first of them, which warms up, does not count


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """Times in seconds, memory in bytes; `padding_share` is of the text tokens computed."""

    parameters: int
    learning_parameters: int
    samples: int
    steps: int
    steps_per_epoch: float
    seconds_per_step: float
    data_seconds_per_step: float
    peak_memory: int
    padding_share: float
    device: str
    precision: str

    @property
    def seconds(self) -> float:
        """The whole run, without its evaluations."""
        return self.steps * self.seconds_per_step


def dry_run(config: RunConfig) -> Estimate:
    """Run a few real steps on weights that are thrown away, and measure them."""
    with join_world(config.device) as world:
        return _measured(config, world)


def _measured(config: RunConfig, world: World) -> Estimate:
    run = set_up(config, world)
    batches = run.loader.iterate(0)
    waited = padding = 0.0
    try:
        for step in range(_STEPS):
            asked = time.monotonic()
            batch = next(batches)
            got = time.monotonic()
            share = learning_rate_share(step, steps=run.steps, warmup_steps=config.optimiser.warmup_steps)
            float(run.learner.step(batch, step, share).loss)  # waits for the device
            if step == 0:
                started = time.monotonic()
            else:
                waited += got - asked
                padding += bucket_texts(batch.tokens).padding_share
        seconds = time.monotonic() - started
    finally:
        batches.close()
    counted = _STEPS - 1
    return Estimate(
        parameters=parameter_count(tensor_shapes(run.start.config)),
        learning_parameters=sum(p.numel() for p in run.learner.towers.parameters() if p.requires_grad),
        samples=sum(len(source) for source in run.sources),
        steps=run.steps,
        steps_per_epoch=run.steps_per_epoch,
        seconds_per_step=seconds / counted,
        data_seconds_per_step=waited / counted,
        peak_memory=_peak_memory(world.device),
        padding_share=padding / counted,
        device=str(world.device),
        precision=str(run.learner.precision).removeprefix("torch."),
    )


def _peak_memory(device: torch.device) -> int:
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # Linux counts in KiB
