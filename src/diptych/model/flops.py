"""Multiplications and additions of a forward pass, from the config alone."""

from diptych.model.config import CLIPConfig, ResNetConfig, TextConfig, ViTConfig


def image_flops(config: CLIPConfig) -> int:
    """FLOPs of one image through its tower: 2 per multiply-add of its convolutions and matrix products.

    All tokens through all layers, as papers count; encoding computes 6% less of ViT-B/32, whose last layer it needs
    at one token only.
    """
    if isinstance(config.vision, ResNetConfig):
        return 2 * _resnet(config.vision, config.embed_dim)
    return 2 * _vit(config.vision, config.embed_dim)


def text_flops(config: CLIPConfig, length: int | None = None) -> int:
    """FLOPs of one text of `length` tokens; by default of the whole context, which few texts fill."""
    tokens = config.text.context_length if length is None else length
    return 2 * (_transformer(config.text, tokens) + config.text.width * config.embed_dim)


def _vit(config: ViTConfig, embed_dim: int) -> int:
    patches = config.grid[0] * config.grid[1]
    embedding = patches * config.width * 3 * config.patch_size**2
    return embedding + _transformer(config, 1 + patches) + config.width * embed_dim


def _transformer(config: ViTConfig | TextConfig, tokens: int) -> int:
    width, hidden = config.width, int(config.width * config.mlp_ratio)
    per_token = 4 * width * width + 2 * width * hidden  # q, k, v, out, and the MLP
    attention = 2 * tokens * tokens * width  # scores, and values mixed by them
    return config.layers * (tokens * per_token + attention)


def _resnet(config: ResNetConfig, embed_dim: int) -> int:
    width, out = config.width, config.output_width
    height, breadth = ((side + 1) // 2 for side in config.image_size)
    total = height * breadth * 9 * (3 * width // 2 + (width // 2) ** 2 + width * width // 2)  # the stem
    height, breadth = height // 2, breadth // 2
    in_channels = width
    for stage, blocks in enumerate(config.layers):
        channels = width * 2**stage
        for block in range(blocks):
            before = height * breadth
            if stage > 0 and block == 0:
                height, breadth = height // 2, breadth // 2
            after = height * breadth
            total += before * (in_channels * channels + 9 * channels**2) + after * channels * channels * 4
            if block == 0:
                total += after * in_channels * channels * 4
            in_channels = channels * 4
    tokens = height * breadth + 1
    return total + out * out * (2 * tokens + 1) + 2 * tokens * out + out * embed_dim
