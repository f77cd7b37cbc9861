"""One step of learning: features, the loss over the whole batch, gradients, AdamW."""

from contextlib import nullcontext
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from diptych.data.loader import Batch
from diptych.data.sample import DataError
from diptych.losses import clip_loss, siglip_loss
from diptych.train.average import WeightAverage
from diptych.train.config import RunConfig
from diptych.train.distributed import World, share_gradients
from diptych.train.optimiser import make_optimiser, pull_to_start, set_learning_rate, set_training
from diptych.train.precision import autocast, make_scaler
from diptych.train.text_buckets import TextBuckets, bucket_texts
from diptych.train.towers import Features, Towers


class Inputs(NamedTuple):
    """A batch, or a part of it, where the towers are."""

    images: Tensor  # (B, 3, H, W) uint8
    texts: TextBuckets
    seeds: Tensor  # (B,)


class StepResult(NamedTuple):
    """What a step tells, still on the device: reading it waits for the step."""

    loss: Tensor  # over the global batch
    grad_norm: Tensor  # before clipping
    features: Features  # of this process, without gradients


class Learner:
    """The towers, their optimiser and the average of their weights: all that a step changes."""

    def __init__(self, towers: Towers, config: RunConfig, precision: torch.dtype, world: World) -> None:
        self.towers = towers
        self.config = config
        self.precision = precision
        self.world = world
        self.optimiser = make_optimiser(towers, config.optimiser)
        self.scaler = make_scaler(precision, world.device)
        self.average = WeightAverage(towers.model, config.train.ema_decay) if config.train.ema_decay else None
        self.start: dict[str, Tensor] = {}  # what decay_to_start pulls to
        if config.optimiser.decay_to_start:
            self.start = {name: tensor.detach().clone() for name, tensor in towers.model.named_parameters()}
        self._shared = share_gradients(towers, world)
        set_training(towers)

    def step(self, batch: Batch, step: int, lr_share: float) -> StepResult:
        """Learn from this process's share of a batch."""
        set_learning_rate(self.optimiser, lr_share)
        self.optimiser.zero_grad(set_to_none=True)
        loss, features = self._backward(batch)
        self.scaler.unscale_(self.optimiser)
        parameters = [parameter for group in self.optimiser.param_groups for parameter in group["params"]]
        norm = torch.nn.utils.get_total_norm([each.grad for each in parameters if each.grad is not None])
        if (clip_norm := self.config.optimiser.clip_norm) is not None:
            torch.nn.utils.clip_grads_with_norm_(parameters, clip_norm, norm)
        self.scaler.step(self.optimiser)
        self.scaler.update()
        if strength := self.config.optimiser.decay_to_start:
            pull_to_start(self.towers.model, self.start, self.optimiser, strength)
        self.towers.clamp_scale()
        if self.average is not None:
            self.average.update(self.towers.model, step)
        return StepResult(loss.detach(), norm, features)

    def _backward(self, batch: Batch) -> tuple[Tensor, Features]:
        chunk = self.config.train.chunk_size
        # By the share that a process has and not by what is left of it: they exchange things in one order, so all must
        # take the same way.
        if chunk is not None and chunk < -(-self.config.train.batch_size // self.world.size):
            return self._backward_in_chunks(batch, chunk)
        features = self._forward(batch, (0, len(batch.images)))
        loss = self._loss(features, batch)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        return loss, _detached(features)

    def _backward_in_chunks(self, batch: Batch, chunk: int) -> tuple[Tensor, Features]:
        """Gradient caching (Gao et al. 2021): the loss over all features, then its gradient into each chunk's towers.

        Exact: both passes over a chunk give the same features, since what is random in them is drawn by the seeds.
        """
        rows = len(batch.images)
        spans = [(first, min(first + chunk, rows)) for first in range(0, rows, chunk)] or [(0, 0)]
        with torch.no_grad():
            parts = [self._forward(batch, span) for span in spans]
        features = _leaves(parts)
        loss = self._loss(features, batch)
        self.scaler.scale(loss).backward()  # type: ignore[no-untyped-call]
        for span in spans:
            is_last = span == spans[-1]
            # Processes share their gradients once, in the last chunk's backward pass.
            waits = isinstance(self._shared, DistributedDataParallel) and not is_last
            with self._shared.no_sync() if waits else nullcontext():  # type: ignore[operator]
                part = self._forward(batch, span)
                surrogate = _surrogate(part, features, span, with_scale=is_last)
                surrogate.backward()  # type: ignore[no-untyped-call]
        return loss, _detached(features)

    def _forward(self, batch: Batch, span: tuple[int, int]) -> Features:
        """Features of some rows; where all samples of this process were bad, of none.

        Those, too, come from the towers, of a row that is cut off again: processes share the gradients of all
        parameters in every step, and this one's are zeros.
        """
        if span[0] < span[1]:
            with autocast(self.precision, self.world.device):
                return self._shared(*self._inputs(batch, *span))
        self.towers.eval()  # batch norms are not to learn from it
        with autocast(self.precision, self.world.device):
            features: Features = self._shared(*_stand_in(batch.images, self.world.device))
        set_training(self.towers)
        return features._replace(image=features.image[:0])

    def _loss(self, features: Features, batch: Batch) -> Tensor:
        device = self.world.device
        share = self.config.train.share_positives
        image_ids = batch.image_ids.to(device) if share else None
        text_ids = batch.text_ids.to(device) if share else None
        image, text, scale, bias = features
        try:
            if bias is not None:
                return siglip_loss(image, text, scale, bias, image_ids=image_ids, text_ids=text_ids)
            return clip_loss(image, text, scale, image_ids=image_ids, text_ids=text_ids)
        except ValueError as error:
            if batch.keys:
                raise
            raise DataError(f"No sample of a batch could be used, in any process. The last: {batch.bad[-1]}") from error

    def _inputs(self, batch: Batch, first: int, end: int) -> Inputs:
        device = self.world.device
        images = batch.images[first:end].to(device, non_blocking=True)
        texts = bucket_texts(batch.tokens[first:end]).to(device)
        return Inputs(images, texts, batch.seeds[first:end])


def _stand_in(images: Tensor, device: torch.device) -> Inputs:
    """A black image and a text of one token, for no row."""
    black = torch.zeros((1, *images.shape[1:]), dtype=torch.uint8, device=device)
    text = TextBuckets([torch.zeros((1, 1), dtype=torch.int64)], torch.zeros(0, dtype=torch.int64))
    return Inputs(black, text.to(device), torch.zeros(1, dtype=torch.int64))


def _detached(features: Features) -> Features:
    image, text, scale, bias = features
    return Features(image.detach(), text.detach(), scale.detach(), None if bias is None else bias.detach())


def _leaves(parts: list[Features]) -> Features:
    """The features of all chunks as one batch whose gradients the loss fills in."""
    scale, bias = parts[0].logit_scale, parts[0].logit_bias
    return Features(
        torch.cat([part.image for part in parts]).requires_grad_(),
        torch.cat([part.text for part in parts]).requires_grad_(),
        scale.detach().clone().requires_grad_(),
        None if bias is None else bias.detach().clone().requires_grad_(),
    )


def _surrogate(part: Features, leaves: Features, span: tuple[int, int], *, with_scale: bool) -> Tensor:
    """A scalar whose gradient is the loss's, through one chunk."""
    total = torch.zeros((), device=part.image.device)
    for own, leaf in ((part.image, leaves.image), (part.text, leaves.text)):
        assert leaf.grad is not None
        total = total + (own * leaf.grad[slice(*span)]).sum()
    for own_scalar, leaf_scalar in ((part.logit_scale, leaves.logit_scale), (part.logit_bias, leaves.logit_bias)):
        if with_scale and own_scalar is not None and leaf_scalar is not None:
            assert leaf_scalar.grad is not None
            total = total + own_scalar * leaf_scalar.grad
    return total
