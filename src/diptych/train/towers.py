"""What runs in a training step: both towers over a batch, with the images normalised where they are computed."""

import math
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diptych.model.clip import CLIP
from diptych.model.patch_dropout import draw_kept_patches
from diptych.model.vision import VisionTransformer
from diptych.preprocess import Preprocess
from diptych.train.text_buckets import TextBuckets

MOST_LOGIT_SCALE = math.log(100)  # so that logits are at most 100 times the cosine (section 2.5)


class Features(NamedTuple):
    """Unit rows of a batch, and what the loss multiplies and shifts their cosines by."""

    image: Tensor  # (B, E)
    text: Tensor  # (B, E)
    logit_scale: Tensor  # the multiplier itself
    logit_bias: Tensor | None  # SigLIP's


class Towers(nn.Module):
    """The model as training sees it; this is what DistributedDataParallel wraps.

    `logit_bias` belongs to the sigmoid loss alone (Zhai et al. 2023): it starts at -10 with a scale of 10, and no
    classifier or search needs it, so the model that comes out is a CLIP like any other.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self, model: CLIP, preprocess: Preprocess, *, patch_dropout: float = 0.0, with_bias: bool = False
    ) -> None:
        super().__init__()
        self.model = model
        self.patch_dropout = patch_dropout
        self.logit_bias = nn.Parameter(torch.tensor(-10.0)) if with_bias else None
        self.register_buffer("mean", 255 * torch.tensor(preprocess.mean)[:, None, None], persistent=False)
        self.register_buffer("std", 255 * torch.tensor(preprocess.std)[:, None, None], persistent=False)

    def forward(self, images: Tensor, texts: TextBuckets, seeds: Tensor) -> Features:
        """(B, 3, H, W) uint8 images, their captions, and the (B,) seeds that patches are dropped by."""
        return Features(
            self.encode_images(images, seeds),
            self.encode_texts(texts),
            self.model.logit_scale.exp(),
            self.logit_bias,
        )

    def encode_images(self, images: Tensor, seeds: Tensor) -> Tensor:
        """(B, 3, H, W) uint8 to (B, E) unit rows in float32."""
        pixels = (images - self.mean) / self.std
        return F.normalize(self.model.encode_image(pixels, self._kept_patches(seeds)).float(), dim=-1)

    def encode_texts(self, texts: TextBuckets) -> Tensor:
        """Captions to (B, E) unit rows in float32.

        Tokens are looked up for all buckets at once: each look-up's gradient is as large as the whole vocabulary.
        """
        text = self.model.text
        sizes = [bucket.numel() for bucket in texts.tokens]
        looked_up = text.token_embedding(torch.cat([bucket.flatten() for bucket in texts.tokens])).split(sizes)
        pooled = [
            text.pooled_embeddings(x.view(*bucket.shape, -1), text.end_positions(bucket))
            for bucket, x in zip(texts.tokens, looked_up, strict=True)
        ]
        features = torch.cat(pooled) @ text.text_projection
        return F.normalize(features.float(), dim=-1)[texts.rows]

    def _kept_patches(self, seeds: Tensor) -> Tensor | None:
        visual = self.model.visual
        if not (self.patch_dropout and self.training and isinstance(visual, VisionTransformer)):
            return None
        patches = visual.config.grid[0] * visual.config.grid[1]
        keep = max(1, round(patches * (1 - self.patch_dropout)))
        return draw_kept_patches(seeds, patches, keep).to(self.mean.device, non_blocking=True)

    @torch.no_grad()
    def clamp_scale(self) -> None:
        """Keep the multiplier at 100 or less."""
        self.model.logit_scale.clamp_(0, MOST_LOGIT_SCALE)
