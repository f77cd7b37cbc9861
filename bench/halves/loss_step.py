"""A contrastive loss forward and backward, in a new process: python loss_step.py NAME PAIRS STEPS THREADS.

THREADS is how many torch may use, 0 for its default. Prints the seconds of each step, how far the peak of memory rises
above what is held before the first, and the loss.
"""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

EMBED, SCALE = 512, 1 / 0.07
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]


def plain(image: Tensor, text: Tensor, scale: Tensor) -> Tensor:
    """The paper's Figure 3, in torch."""
    logits = scale * image @ text.T
    labels = torch.arange(len(image))
    return (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2


def chosen(name: str) -> Loss:
    if name == "diptych":
        from diptych.losses import clip_loss

        return clip_loss
    if name == "open_clip":
        from open_clip import ClipLoss

        return ClipLoss()
    return plain


def make_inputs(pairs: int) -> tuple[Tensor, Tensor, Tensor]:
    """Unit rows, alike within a pair as after some training, so that the loss is neither 0 nor that of guessing."""
    generator = torch.Generator().manual_seed(0)
    image = torch.randn(pairs, EMBED, generator=generator)
    text = image + 2 * torch.randn(pairs, EMBED, generator=generator)
    scale = torch.tensor(SCALE, requires_grad=True)
    return F.normalize(image, dim=-1).requires_grad_(), F.normalize(text, dim=-1).requires_grad_(), scale


def step(loss: Loss, inputs: tuple[Tensor, Tensor, Tensor]) -> float:
    for leaf in inputs:
        leaf.grad = None
    value = loss(*inputs)
    value.backward()
    return value.item()


def peak_megabytes() -> float:
    """Resident at the most until now (1e6 bytes)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def held_megabytes() -> float:
    """Resident now, where the system tells; else the peak, which is not far from it before the first step."""
    pages = Path("/proc/self/statm")
    return int(pages.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if pages.exists() else peak_megabytes()


def main() -> None:
    loss, (pairs, steps, threads) = chosen(sys.argv[1]), map(int, sys.argv[2:])
    if threads:
        torch.set_num_threads(threads)
    step(loss, make_inputs(256))
    inputs = make_inputs(pairs)
    held, seconds = held_megabytes(), []
    for _ in range(steps):
        start = time.perf_counter()
        value = step(loss, inputs)
        seconds.append(time.perf_counter() - start)
    print(json.dumps({"seconds": seconds, "megabytes": peak_megabytes() - held, "loss": value}))


if __name__ == "__main__":
    main()
