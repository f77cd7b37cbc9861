"""Activation checkpointing: less memory while training, for a second forward pass (Chen et al. 2016)."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.checkpoint import checkpoint


def run(block: nn.Module, *inputs: Tensor | None) -> Tensor:
    """`block(*inputs)`; where its `is_recomputed` holds, its insides are computed again for the backward pass.

    Only the inputs are kept until then. Gradients are the same, and so are the running statistics of batch norm.
    """
    if not (block.is_recomputed and torch.is_grad_enabled()):
        return block(*inputs)
    if not _norms(block):  # a compiler that traces the model knows no contexts but these
        return checkpoint(block, *inputs, use_reentrant=False)

    def contexts() -> tuple[AbstractContextManager[None], AbstractContextManager[None]]:
        return nullcontext(), _frozen_statistics(block)

    return checkpoint(block, *inputs, use_reentrant=False, context_fn=contexts)


def _norms(block: nn.Module) -> list[_BatchNorm]:
    return [module for module in block.modules() if isinstance(module, _BatchNorm)]


@contextmanager
def _frozen_statistics(block: nn.Module) -> Iterator[None]:
    """Batch norm has taken the batch into its running statistics once, and must not again."""
    norms = _norms(block)
    kept = [(norm.momentum, norm.num_batches_tracked) for norm in norms]
    for norm in norms:
        norm.momentum, norm.num_batches_tracked = 0.0, None
    try:
        yield
    finally:  # also where the recomputation stops early, having all that it needs
        for norm, (momentum, batches) in zip(norms, kept, strict=True):
            norm.momentum, norm.num_batches_tracked = momentum, batches
