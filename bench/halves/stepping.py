"""What both halves of the training bench hold alike: the model, its learning rate, batches in turn, the clock."""

import time
from collections.abc import Callable

import torch

MODEL, LR = "ViT-B-32", 5e-4
BATCHES = 2  # kept ready, and taken by turns


def device() -> torch.device:
    """A GPU where torch sees one."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def timed(work: Callable[[], object]) -> float:
    """Seconds until all of it is done on the device."""
    wait = torch.cuda.synchronize if torch.cuda.is_available() else _nothing
    wait()
    start = time.perf_counter()
    work()
    wait()
    return time.perf_counter() - start


def _nothing() -> None:
    pass
