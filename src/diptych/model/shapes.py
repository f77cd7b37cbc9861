"""The name and shape of every tensor of a model, from its config alone: no torch, no memory, a millisecond."""

from diptych.model.config import CLIPConfig, ResNetConfig, TextConfig, ViTConfig

Shapes = dict[str, tuple[int, ...]]


def tensor_shapes(config: CLIPConfig) -> Shapes:
    """Names and shapes as in the state dict of `CLIP(config)`."""
    shapes: Shapes = {"logit_scale": ()}
    if isinstance(config.vision, ResNetConfig):
        visual = _resnet(config.vision, config.embed_dim)
    else:
        visual = _vit(config.vision, config.embed_dim)
    shapes |= {f"visual.{name}": shape for name, shape in visual.items()}
    shapes |= {f"text.{name}": shape for name, shape in _text(config.text, config.embed_dim).items()}
    return shapes


def parameter_count(shapes: Shapes) -> int:
    """Trained numbers; the running statistics of batch norm are not."""
    statistics = ("running_mean", "running_var", "num_batches_tracked")
    return sum(_size(shape) for name, shape in shapes.items() if not name.endswith(statistics))


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _vit(config: ViTConfig, embed_dim: int) -> Shapes:
    width, patch = config.width, config.patch_size
    return {
        "class_embedding": (width,),
        "positional_embedding": (1 + config.grid[0] * config.grid[1], width),
        "proj": (width, embed_dim),
        "conv1.weight": (width, 3, patch, patch),
        **_norm("ln_pre", width),
        **_transformer(width, config.layers, int(width * config.mlp_ratio)),
        **_norm("ln_post", width),
    }


def _text(config: TextConfig, embed_dim: int) -> Shapes:
    width = config.width
    return {
        "positional_embedding": (config.context_length, width),
        "text_projection": (width, embed_dim),
        "token_embedding.weight": (config.vocab_size, width),
        **_transformer(width, config.layers, int(width * config.mlp_ratio)),
        **_norm("ln_final", width),
    }


def _transformer(width: int, layers: int, hidden: int) -> Shapes:
    shapes: Shapes = {}
    for layer in range(layers):
        block = f"transformer.resblocks.{layer}"
        shapes |= _norm(f"{block}.ln_1", width)
        for projection in ("q_proj", "k_proj", "v_proj", "out_proj"):
            shapes |= _linear(f"{block}.attn.{projection}", width, width)
        shapes |= _norm(f"{block}.ln_2", width)
        shapes |= _linear(f"{block}.mlp.c_fc", width, hidden)
        shapes |= _linear(f"{block}.mlp.c_proj", hidden, width)
    return shapes


def _resnet(config: ResNetConfig, embed_dim: int) -> Shapes:
    half, out = config.width // 2, config.output_width
    shapes: Shapes = {
        **_convolution(1, 3, half, 3),
        **_convolution(2, half, half, 3),
        **_convolution(3, half, config.width, 3),
    }
    in_channels = config.width
    for stage, blocks in enumerate(config.layers, start=1):
        channels = config.width * 2 ** (stage - 1)
        for block in range(blocks):
            bottleneck = {
                **_convolution(1, in_channels, channels, 1),
                **_convolution(2, channels, channels, 3),
                **_convolution(3, channels, channels * 4, 1),
            }
            if block == 0:
                bottleneck |= {"downsample.0.weight": (channels * 4, in_channels, 1, 1)}
                bottleneck |= _batch_norm("downsample.1", channels * 4)
            shapes |= {f"layer{stage}.{block}.{name}": shape for name, shape in bottleneck.items()}
            in_channels = channels * 4
    shapes["attnpool.positional_embedding"] = (1 + config.grid[0] * config.grid[1], out)
    for projection in ("k_proj", "q_proj", "v_proj"):
        shapes |= _linear(f"attnpool.{projection}", out, out)
    return shapes | _linear("attnpool.c_proj", out, embed_dim)


def _linear(name: str, inputs: int, outputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, inputs), f"{name}.bias": (outputs,)}


def _norm(name: str, width: int) -> Shapes:
    return {f"{name}.weight": (width,), f"{name}.bias": (width,)}


def _convolution(number: int, inputs: int, outputs: int, kernel: int) -> Shapes:
    return {f"conv{number}.weight": (outputs, inputs, kernel, kernel), **_batch_norm(f"bn{number}", outputs)}


def _batch_norm(name: str, channels: int) -> Shapes:
    statistics = {f"{name}.running_mean": (channels,), f"{name}.running_var": (channels,)}
    return {**_norm(name, channels), **statistics, f"{name}.num_batches_tracked": ()}
