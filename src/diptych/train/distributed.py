"""Which process of the run this is, and what they share. `torchrun` starts them; alone, a process is rank 0."""

import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from diptych.encode.devices import resolve_device

# The others wait while rank 0 evaluates or writes a state; torch's own limit of 10 to 30 minutes ends such a run.
_PATIENCE = timedelta(hours=2)


@dataclass(frozen=True, kw_only=True)
class World:
    """One process among `size`, and the device it computes on."""

    rank: int
    size: int
    device: torch.device

    @property
    def is_first(self) -> bool:
        """Whether this process writes and prints."""
        return self.rank == 0


@contextmanager
def join_world(device: str) -> Iterator[World]:
    """The world that torchrun's environment variables describe, joined until the end of the block.

    `auto` and `cuda` give each process of a machine a GPU of its own. nccl joins GPUs, gloo anything else. What was
    made of the world must be let go of before the end of the block: have a function of its own in it.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    resolved = resolve_device(device)
    if resolved.type == "cuda" and size > 1:
        if "LOCAL_RANK" not in os.environ:
            raise ValueError("WORLD_SIZE is set but LOCAL_RANK is not: start the processes with torchrun")
        resolved = resolve_device(f"cuda:{os.environ['LOCAL_RANK']}")
    if resolved.type == "cuda":
        torch.cuda.set_device(resolved)
    if size == 1:
        yield World(rank=0, size=1, device=resolved)
        return
    dist.init_process_group("nccl" if resolved.type == "cuda" else "gloo", timeout=_PATIENCE)
    try:
        yield World(rank=dist.get_rank(), size=size, device=resolved)
    finally:
        # Whatever still holds the group keeps gloo's threads, which abort a process that ends before them.
        gc.collect()
        dist.destroy_process_group()


def share_gradients(module: nn.Module, world: World) -> nn.Module:
    """The module, its gradients averaged over all processes in each backward pass."""
    if world.size == 1:
        return module
    return DistributedDataParallel(module, gradient_as_bucket_view=True)


def is_agreed(value: int, world: World) -> bool:
    """Whether all processes hold the same number."""
    if world.size == 1:
        return True
    bounds = torch.tensor([value, -value], device=world.device)
    dist.all_reduce(bounds, op=dist.ReduceOp.MAX)
    return bool(bounds[0] == -bounds[1])


def sum_of(values: list[float], world: World) -> list[float]:
    """Each value summed over all processes."""
    if world.size == 1:
        return values
    shared = torch.tensor(values, dtype=torch.float64).to(world.device)
    dist.all_reduce(shared)
    return [float(value) for value in shared]


class LateSums:
    """Sums over all processes that are read a step after they were given, so that no step waits for another process."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._given: tuple[torch.Tensor, dist.Work] | None = None

    def exchange(self, values: list[float]) -> list[float]:
        """Give a step's values, get the sums of the step before: at first zeros. Alone, get those just given."""
        if self._world.size == 1:
            return values
        before = self._given
        shared = torch.tensor(values, dtype=torch.float64, device=self._world.device)
        work = dist.all_reduce(shared, async_op=True)
        assert work is not None
        self._given = (shared, work)
        if before is None:
            return [0.0] * len(values)
        before[1].wait()
        return [float(value) for value in before[0].tolist()]

    def close(self) -> None:
        """Wait for the last sums, which nobody reads: once every process has given as many as this one."""
        if self._given is not None:
            self._given[1].wait()
            self._given = None
