"""The learning rate of a step."""

import math


def learning_rate_share(step: int, *, steps: int, warmup_steps: int) -> float:
    """What the learning rate is multiplied by at `step` (from 0): linear warm-up, then half a cosine down to zero.

    As open_clip's `cosine_lr`, which the published OpenCLIP models were trained with.
    """
    if step < warmup_steps:
        return (step + 1) / warmup_steps
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, steps - warmup_steps)))
