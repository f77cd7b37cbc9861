"""Which patches of an image a ViT looks at while it trains (Li et al. 2023, FLIP: half of them, at half the cost)."""

import torch
from torch import Tensor

# SplitMix64 (Steele, Lea and Flood 2014): its increment and multipliers, as signed numbers.
_INCREMENT = 0x9E3779B97F4A7C15 - 2**64
_MULTIPLIERS = ((30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64))


def draw_kept_patches(seeds: Tensor, patches: int, keep: int) -> Tensor:
    """(B,) int64 seeds to (B, keep) different indices below `patches`, ascending, on the CPU.

    A row depends on its own seed alone: not on the batch, its order or the device. All subsets are equally likely.
    """
    if not 1 <= keep <= patches:
        raise ValueError(f"keep must be from 1 to {patches}, the number of patches, got {keep}.")
    streams = _mixed(seeds.cpu().long())[:, None]
    order = _mixed(streams + _INCREMENT * torch.arange(1, patches + 1)).argsort(dim=1, stable=True)  # (B, patches)
    return order[:, :keep].sort(dim=1).values


def _mixed(x: Tensor) -> Tensor:
    """SplitMix64's output function: any change of int64 `x` changes each bit of the result with chance one half."""
    for shift, multiplier in _MULTIPLIERS:
        x = (x ^ _shifted(x, shift)) * multiplier
    return x ^ _shifted(x, 31)


def _shifted(x: Tensor, bits: int) -> Tensor:
    """As if `x` had no sign: torch copies the sign's bit."""
    return (x >> bits) & ((1 << (64 - bits)) - 1)
