"""The loss source by source: which part of a mixture is learnt, and which is not yet."""

from collections.abc import Sequence

import torch
from torch import Tensor

from diptych.data.loader import Batch
from diptych.data.sample import Source
from diptych.train.distributed import World, sum_of
from diptych.train.towers import Features

_LOGITS_AT_ONCE = 4_000_000


@torch.no_grad()
def losses_by_source(
    features: Features, batch: Batch, sources: Sequence[Source], world: World, *, share_positives: bool
) -> dict[str, float]:
    """Mean over each source's pairs, in nats, of how hard each image finds its text among this process's."""
    losses = _image_to_text_losses(features, batch, share_positives=share_positives)
    ids = batch.sources.to(losses.device)
    sums = torch.zeros(len(sources), device=losses.device).index_add_(0, ids, losses)
    counts = torch.zeros(len(sources), device=losses.device).index_add_(0, ids, torch.ones_like(losses))
    totals = sum_of([*sums.tolist(), *counts.tolist()], world)
    pairs = zip(sources, totals[: len(sources)], totals[len(sources) :], strict=True)
    return {f"loss/{source.name}": total / count for source, total, count in pairs if count}


def _image_to_text_losses(features: Features, batch: Batch, *, share_positives: bool) -> Tensor:
    """(B,) cross-entropies over the texts of this process, those that share an id being equally right if asked."""
    if not batch.keys:  # all of them were bad
        return features.image.new_zeros(0)
    device = features.image.device
    image_ids, text_ids = batch.image_ids.to(device), batch.text_ids.to(device)
    if not share_positives:
        image_ids = text_ids = torch.arange(len(image_ids), device=device)
    losses = []
    step = max(1, _LOGITS_AT_ONCE // len(image_ids))
    for first in range(0, len(image_ids), step):
        rows = slice(first, first + step)
        logits = features.logit_scale * features.image[rows] @ features.text.T
        right = (image_ids[rows, None] == image_ids) | (text_ids[rows, None] == text_ids)
        right_logit = (logits * right).sum(dim=1) / right.sum(dim=1)
        losses.append(logits.logsumexp(dim=1) - right_logit)
    return torch.cat(losses)
