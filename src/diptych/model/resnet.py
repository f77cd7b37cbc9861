"""The image tower as OpenAI's modified ResNet (Radford et al. 2021, section 2.4, after He et al. and Zhang 2019).

Three changes to a ResNet-50: a stem of three convolutions, average pooling before every stride (anti-aliasing), and
attention pooling in place of the global average.
"""

from collections import OrderedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diptych.model.attention import Linear, attend
from diptych.model.config import ResNetConfig
from diptych.model.recompute import run


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions around a shortcut; a stride is an average pool before a convolution of stride 1."""

    expansion = 4
    is_recomputed = False  # see model/recompute.py

    def __init__(self, in_channels: int, channels: int, stride: int) -> None:
        super().__init__()
        out_channels = channels * self.expansion
        self.conv1 = nn.Conv2d(in_channels, channels, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels)
        self.avgpool = nn.AvgPool2d(stride) if stride > 1 else nn.Identity()
        self.conv3 = nn.Conv2d(channels, out_channels, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_channels)
        self.downsample: nn.Module = nn.Identity()
        if stride > 1 or in_channels != out_channels:
            self.downsample = nn.Sequential(
                OrderedDict(
                    [
                        ("-1", nn.AvgPool2d(stride)),
                        ("0", nn.Conv2d(in_channels, out_channels, 1, bias=False)),
                        ("1", nn.BatchNorm2d(out_channels)),
                    ]
                )
            )

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 4 * channels, H / stride, W / stride)."""
        y = F.relu(self.bn1(self.conv1(x)))
        y = F.relu(self.bn2(self.conv2(y)))
        y = self.bn3(self.conv3(self.avgpool(y)))
        return F.relu(y + self.downsample(x))


class Stage(nn.Sequential):
    """Bottlenecks of one width, of which the first may halve the sides."""

    def __init__(self, in_channels: int, channels: int, blocks: int, *, stride: int) -> None:
        first = Bottleneck(in_channels, channels, stride)
        super().__init__(first, *(Bottleneck(channels * Bottleneck.expansion, channels, 1) for _ in range(blocks - 1)))

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) to (B, 4 * channels, H / stride, W / stride)."""
        for block in self:
            x = run(block, x)
        return x


class AttentionPool(nn.Module):
    """One attention layer whose only query is the mean of all positions."""

    def __init__(self, grid: tuple[int, int], width: int, heads: int, embed_dim: int) -> None:
        super().__init__()
        self.heads = heads
        self.positional_embedding = nn.Parameter(torch.empty(1 + grid[0] * grid[1], width))
        self.k_proj = Linear(width, width)
        self.q_proj = Linear(width, width)
        self.v_proj = Linear(width, width)
        self.c_proj = Linear(width, embed_dim)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, rows, columns) to (B, E)."""
        return self.c_proj(self.pooled(x))

    def pooled(self, x: Tensor) -> Tensor:
        """(B, C, rows, columns) to (B, C): the heads' results side by side, before the projection."""
        x = x.flatten(2).transpose(1, 2)  # (B, rows * columns, C)
        x = torch.cat([x.mean(dim=1, keepdim=True), x], dim=1)
        x = x + self.positional_embedding.to(x.dtype)
        queries, keys, values = self.q_proj(x[:, :1]), self.k_proj(x), self.v_proj(x)
        return attend(queries, keys, values, heads=self.heads, is_causal=False)[:, 0]


class ModifiedResNet(nn.Module):
    """Pixels in, one vector out."""

    def __init__(self, config: ResNetConfig, embed_dim: int) -> None:
        super().__init__()
        self.config = config
        width = config.width
        self.conv1 = nn.Conv2d(3, width // 2, 3, stride=2, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width // 2)
        self.conv2 = nn.Conv2d(width // 2, width // 2, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width // 2)
        self.conv3 = nn.Conv2d(width // 2, width, 3, padding=1, bias=False)
        self.bn3 = nn.BatchNorm2d(width)
        self.avgpool = nn.AvgPool2d(2)
        stages = [
            Stage(in_channels, width * 2**i, blocks, stride=1 if i == 0 else 2)
            for i, (in_channels, blocks) in enumerate(
                zip((width, width * 4, width * 8, width * 16), config.layers, strict=True)
            )
        ]
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.attnpool = AttentionPool(config.grid, config.output_width, config.heads, embed_dim)

    @property
    def input_resolution(self) -> int:
        """Height of the images in pixels, by OpenAI's name."""
        return self.config.image_size[0]

    def forward(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) normalised pixels to (B, E), not unit length."""
        return self.attnpool(self._feature_map(images))

    def pooled(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, C): after attention pooling, before its projection (for probes)."""
        return self.attnpool.pooled(self._feature_map(images))

    def patch_tokens(self, images: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, rows * columns, C), row by row: the last stage's feature map."""
        return self._feature_map(images).flatten(2).transpose(1, 2)

    def _feature_map(self, images: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(images)))
        x = F.relu(self.bn2(self.conv2(x)))
        x = F.relu(self.bn3(self.conv3(x)))
        x = self.avgpool(x)  # (B, width, H / 4, W / 4)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        return x  # (B, width * 32, H / 32, W / 32)
