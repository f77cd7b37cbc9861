"""The image tower as a vision transformer (Dosovitskiy et al. 2021, with CLIP's extra norm before the blocks)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diptych.model.attention import LayerNorm, Transformer, linear
from diptych.model.config import Activation, ViTConfig


class VisionTransformer(nn.Module):
    """Patches in, one vector out: the class token's, normalised and projected."""

    def __init__(self, config: ViTConfig, embed_dim: int, activation: Activation) -> None:
        super().__init__()
        self.config = config
        rows, columns = config.grid
        width = config.width
        self.conv1 = nn.Conv2d(3, width, config.patch_size, stride=config.patch_size, bias=False)
        self.class_embedding = nn.Parameter(torch.empty(width))
        self.positional_embedding = nn.Parameter(torch.empty(1 + rows * columns, width))
        self.ln_pre = LayerNorm(width)
        self.transformer = Transformer(
            width, config.layers, config.heads, mlp_ratio=config.mlp_ratio, activation=activation, is_causal=False
        )
        self.ln_post = LayerNorm(width)
        self.proj = nn.Parameter(torch.empty(width, embed_dim))

    @property
    def input_resolution(self) -> int:
        """Height of the images in pixels, by OpenAI's name."""
        return self.config.image_size[0]

    def forward(self, images: Tensor, kept_patches: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) normalised pixels to (B, E), not unit length.

        With patch dropout only the patches at the indices `kept_patches` (B, n) are seen, each at its own position.
        """
        return self.pooled(images, kept_patches) @ self.proj

    def pooled(self, images: Tensor, kept_patches: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) to (B, D): the class token after the last norm, before the projection (for probes)."""
        x = self._embed(images, kept_patches)
        class_position = torch.zeros(len(x), dtype=torch.long, device=x.device)
        return self.ln_post(self.transformer.pooled(x, class_position))

    def patch_tokens(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, rows * columns, D), row by row, after the last norm; `@ proj` enters shared space."""
        return self.ln_post(self.transformer(self._embed(images)))[:, 1:]

    def _embed(self, images: Tensor, kept_patches: Tensor | None = None) -> Tensor:
        patches = self._patches(images)
        positions: Tensor = self.positional_embedding
        if kept_patches is not None:
            rows = torch.arange(len(images), device=images.device)[:, None]
            patches = patches[rows, kept_patches]  # (B, n, 3 * patch * patch)
            with_class = F.pad(kept_patches + 1, (1, 0))  # the class position is the first
            positions = F.embedding(with_class, positions)  # (B, 1 + n, D)
        # The convolution's stride is its kernel, so it is a linear layer on patches, and twice as fast as one: conv1
        # holds the weight and is never called.
        x = linear(patches, self.conv1.weight.flatten(1))  # (B, rows * columns, D)
        class_token = self.class_embedding.to(x.dtype).expand(len(x), 1, -1)
        x = torch.cat([class_token, x], dim=1)  # (B, 1 + rows * columns, D)
        return self.ln_pre(x + positions.to(x.dtype))

    def _patches(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, rows * columns, 3 * patch * patch), each patch's pixels in the order of a kernel's."""
        (rows, columns), patch = self.config.grid, self.config.patch_size
        x = images[:, :, : rows * patch, : columns * patch].reshape(-1, 3, rows, patch, columns, patch)
        return x.permute(0, 2, 4, 1, 3, 5).flatten(3).flatten(1, 2)


def resize_positions(positions: Tensor, old_grid: tuple[int, int], new_grid: tuple[int, int]) -> Tensor:
    """Position embeddings (1 + rows * columns, D) for another grid; the first row, the class position, is kept.

    Bicubic with antialiasing, corners not aligned, as open_clip does, so that features agree with its.
    """
    if old_grid == new_grid:
        return positions
    class_position, patches = positions[:1], positions[1:]
    patches = patches.float().reshape(*old_grid, -1).permute(2, 0, 1)[None]  # (1, D, rows, columns)
    patches = F.interpolate(patches, size=new_grid, mode="bicubic", antialias=True, align_corners=False)
    patches = patches[0].permute(1, 2, 0).flatten(0, 1)
    return torch.cat([class_position, patches.to(positions.dtype)])
