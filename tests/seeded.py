"""Small models, images and texts made by formula: the same bytes on every machine and with every version.

Tensors bear OpenAI's state-dict names, with the text tower at the root. What the reference implementations compute
from all this is stored in references/models.npz by scripts/make_references.py and read by `reference`.
"""

import math
import re
import warnings
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    import torch

Array = np.ndarray[Any, Any]
Tensors = dict[str, Array]
Shapes = dict[str, tuple[int, ...]]

REFERENCES = Path(__file__).parent / "references" / "models.npz"
VOCAB_SIZE, CONTEXT_LENGTH = 49_408, 77
IMAGES = 3

TEXTS = (
    "a diagram",
    "a photo of a dog.",
    "",
    "Crème brûlée &amp; 東京 🐕, 3 for 2!",
    "a dog <|endoftext|> and a cat",  # two end tokens: pooled at the first
    "a long walk along the old canal at dusk, past moored boats and lit windows",
    "cat " * 75,  # 77 tokens, the whole context
)


class Tower(NamedTuple):
    """The sizes of a transformer; `hidden` is the width inside its MLPs."""

    width: int
    layers: int
    heads: int
    hidden: int


class ResNet(NamedTuple):
    """The sizes of a ModifiedResNet; its attention pooling is 32 times `width` wide."""

    width: int
    layers: tuple[int, int, int, int]
    heads: int


@dataclass(frozen=True, kw_only=True)
class Family:
    """The sizes of a model, and Hugging Face's eos_token_id where it is one of theirs."""

    embed_dim: int
    image_size: int
    patch_size: int = 32  # of a ResNet: how far apart the positions are that attention pooling sees
    vision: Tower | ResNet
    text: Tower
    activation: Literal["gelu", "quick_gelu"] = "quick_gelu"
    eos_token_id: int = 49_407

    @property
    def positions(self) -> int:
        """Patches, or positions of attention pooling, and one for the class or the mean."""
        return 1 + (self.image_size // self.patch_size) ** 2


FAMILIES = {
    # OpenAI's class: heads are width // 64, of attention pooling width * 32 // 64.
    "vit": Family(embed_dim=96, image_size=64, patch_size=16, vision=Tower(128, 3, 2, 512), text=Tower(128, 2, 2, 512)),
    "resnet": Family(embed_dim=64, image_size=96, vision=ResNet(16, (1, 2, 1, 1), 8), text=Tower(64, 2, 1, 256)),
    # OpenCLIP's, as its ViT-g-14: heads are not 64 wide, and int(88 * 4.3637) is 384.
    "open_clip": Family(
        embed_dim=80,
        image_size=42,
        patch_size=14,
        vision=Tower(88, 2, 2, 384),
        text=Tower(96, 2, 3, 384),
        activation="gelu",
    ),
    # Hugging Face's, as in its conversions of OpenAI's weights ...
    "huggingface": Family(
        embed_dim=48,
        image_size=48,
        patch_size=16,
        vision=Tower(96, 2, 4, 384),
        text=Tower(64, 2, 2, 256),
        eos_token_id=2,
    ),
    # ... and with all that may differ. As floats, 251 / 88 * 88 is a little less than 251.
    "huggingface-gelu": Family(
        embed_dim=48,
        image_size=32,
        patch_size=16,
        vision=Tower(88, 2, 4, 251),
        text=Tower(64, 2, 2, 100),
        activation="gelu",
    ),
}


def openai_shapes(kind: str | Family) -> Shapes:
    """OpenAI's name and the shape of every tensor of a family."""
    family = FAMILIES[kind] if isinstance(kind, str) else kind
    visual = _vit_shapes(family) if isinstance(family.vision, Tower) else _resnet_shapes(family)
    return {
        **{f"visual.{name}": shape for name, shape in visual.items()},
        **_transformer_shapes(family.text),
        **_pair("ln_final", family.text.width),
        "token_embedding.weight": (VOCAB_SIZE, family.text.width),
        "positional_embedding": (CONTEXT_LENGTH, family.text.width),
        "text_projection": (family.text.width, family.embed_dim),
        "logit_scale": (),
    }


def _vit_shapes(family: Family) -> Shapes:
    assert isinstance(family.vision, Tower)
    width = family.vision.width
    return {
        "class_embedding": (width,),
        "positional_embedding": (family.positions, width),
        "proj": (width, family.embed_dim),
        "conv1.weight": (width, 3, family.patch_size, family.patch_size),
        **_pair("ln_pre", width),
        **_transformer_shapes(family.vision),
        **_pair("ln_post", width),
    }


def _transformer_shapes(tower: Tower) -> Shapes:
    shapes: Shapes = {}
    for layer in range(tower.layers):
        block = f"transformer.resblocks.{layer}"
        shapes |= {
            f"{block}.attn.in_proj_weight": (3 * tower.width, tower.width),
            f"{block}.attn.in_proj_bias": (3 * tower.width,),
            **_pair(f"{block}.attn.out_proj", tower.width, tower.width),
            **_pair(f"{block}.ln_1", tower.width),
            **_pair(f"{block}.mlp.c_fc", tower.hidden, tower.width),
            **_pair(f"{block}.mlp.c_proj", tower.width, tower.hidden),
            **_pair(f"{block}.ln_2", tower.width),
        }
    return shapes


def _resnet_shapes(family: Family) -> Shapes:
    assert isinstance(family.vision, ResNet)
    width, pooled = family.vision.width, family.vision.width * 32
    shapes: Shapes = {"attnpool.positional_embedding": (family.positions, pooled)}
    for name in ("k_proj", "q_proj", "v_proj"):
        shapes |= _pair(f"attnpool.{name}", pooled, pooled)
    shapes |= _pair("attnpool.c_proj", family.embed_dim, pooled)
    for number, channels in enumerate(((width // 2, 3), (width // 2, width // 2), (width, width // 2)), start=1):
        shapes |= {f"conv{number}.weight": (*channels, 3, 3), **_batch_norm(f"bn{number}", channels[0])}
    inputs = width
    for stage, blocks in enumerate(family.vision.layers):
        for block in range(blocks):
            bottleneck = _bottleneck_shapes(inputs, width * 2**stage, shrinks=block == 0)
            shapes |= {f"layer{stage + 1}.{block}.{name}": shape for name, shape in bottleneck.items()}
            inputs = 4 * width * 2**stage
    return shapes


def _bottleneck_shapes(inputs: int, planes: int, *, shrinks: bool) -> Shapes:
    shapes: Shapes = {
        "conv1.weight": (planes, inputs, 1, 1),
        **_batch_norm("bn1", planes),
        "conv2.weight": (planes, planes, 3, 3),
        **_batch_norm("bn2", planes),
        "conv3.weight": (4 * planes, planes, 1, 1),
        **_batch_norm("bn3", 4 * planes),
    }
    if shrinks:
        shapes |= {"downsample.0.weight": (4 * planes, inputs, 1, 1), **_batch_norm("downsample.1", 4 * planes)}
    return shapes


def _batch_norm(name: str, channels: int) -> Shapes:
    statistics = {f"{name}.running_mean": (channels,), f"{name}.running_var": (channels,)}
    return {**_pair(name, channels), **statistics, f"{name}.num_batches_tracked": ()}


def _pair(name: str, outputs: int, *inputs: int) -> Shapes:
    return {f"{name}.weight": (outputs, *inputs), f"{name}.bias": (outputs,)}


def seeded_model(kind: str) -> Tensors:
    """The tensors of a family with which its references were computed."""
    return seeded_tensors(openai_shapes(kind))


def seeded_tensors(shapes: Mapping[str, tuple[int, ...]], seed: int = 0) -> Tensors:
    """A float32 array for each name, which depends on its name, its shape and the seed, and on no other tensor.

    Scaled so that activations keep a trained model's size, images and texts stay apart, and every tensor matters:
    matrices have variance 1 / fan-in, gains are near 1, biases and running means are not 0, and the temperature is
    nobody's default.
    """
    return {name: _seeded_tensor(name, shape, seed) for name, shape in shapes.items()}


def _seeded_tensor(name: str, shape: tuple[int, ...], seed: int) -> Array:
    if name.endswith("num_batches_tracked"):
        return np.zeros((), np.int64)
    mean, deviation = 0.0, 0.1
    if name == "logit_scale":
        mean, deviation = math.log(1 / 0.07), 0.3
    elif name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
        mean = 1.0
    elif "embedding" in name:
        deviation = 0.3
    elif name in ("visual.proj", "text_projection"):
        deviation = shape[0] ** -0.5
    elif len(shape) == 4:  # 1.6 makes up for what ReLU and average pooling take away
        deviation = 1.6 * math.prod(shape[1:]) ** -0.5
    elif len(shape) == 2:
        deviation = shape[1] ** -0.5
    return np.asarray(_normal(name, shape, seed) * np.float32(deviation) + np.float32(mean))


def _normal(name: str, shape: tuple[int, ...], seed: int) -> Array:
    """Near-normal float32 of mean 0 and variance 1, within 3.5: each the sum of a 64-bit word's four 16-bit parts.

    numpy keeps the words that PCG64 gives the same for ever, but not what its distributions make of them.
    The filters of a convolution have mean 0 each: their inputs after ReLU are positive, and what all images share
    would drown what they do not. (float64 adds these integers exactly, in any order.)
    """
    words = np.random.PCG64(np.random.SeedSequence([seed, zlib.crc32(name.encode())])).random_raw(math.prod(shape))
    total = np.zeros(words.shape, np.uint64)
    for shift in (0, 16, 32, 48):
        total += (words >> np.uint64(shift)) & np.uint64(0xFFFF)
    centred = total.reshape(shape).astype(np.float64) - 2 * 0xFFFF
    if len(shape) == 4:
        centred -= centred.mean(axis=(1, 2, 3), keepdims=True)
    return (centred * (math.sqrt(3) / 2**16)).astype(np.float32)


def seeded_image(height: int, width: int, seed: int = 0) -> Array:
    """A (height, width, 3) uint8 picture of slopes, stripes and noise, from integers alone."""
    y, x, channel = np.ogrid[:height, :width, :3]
    slopes = (x * (seed % 5 + 1) * 3 + y * (channel + 1) * 2 + seed * 53) % 256 * 5 // 8
    stripes = ((x + y * (seed + 2)) // 7 + channel) % 2 * 64
    noise = (x * x * 7 + y * y * 13 + x * y * 5 + channel * 11 + seed * 3) % 31
    picture: Array = (slopes + stripes + noise).astype(np.uint8)
    return picture


def seeded_pixels(count: int, height: int, width: int) -> Array:
    """(count, 3, height, width) float32: seeded images 0, 1, ... normalised with CLIP's mean and deviation."""
    images = np.stack([seeded_image(height, width, seed) for seed in range(count)])
    mean = np.array((0.48145466, 0.4578275, 0.40821073), np.float32)
    deviation = np.array((0.26862954, 0.26130258, 0.27577711), np.float32)
    scaled = images.astype(np.float32) / np.float32(255)
    return np.ascontiguousarray(((scaled - mean) / deviation).transpose(0, 3, 1, 2))


def reference(kind: str) -> Tensors:
    """What the reference implementation computed for a family, under the names listed in make_references.py."""
    with np.load(REFERENCES) as stored:
        found = {key.removeprefix(f"{kind}/"): stored[key] for key in stored.files if key.startswith(f"{kind}/")}
    assert found, f"no references for {kind!r}"
    return found


def reference_tokens() -> Array:
    """(len(TEXTS), 77) int64: OpenAI's ids of TEXTS, padded with 0."""
    with np.load(REFERENCES) as stored:
        tokens: Array = stored["tokens"].astype(np.int64)
    return tokens


def huggingface_tensors(tensors: Mapping[str, Array]) -> Tensors:
    """The same tensors under Hugging Face's names: q, k and v apart, the projections transposed."""
    theirs: Tensors = {}
    for name, tensor in tensors.items():
        key = _huggingface_name(name)
        if ".in_proj_" in key:
            for part, third in zip("qkv", np.split(tensor, 3), strict=True):
                theirs[key.replace("in_proj_", f"{part}_proj.")] = third
        else:
            theirs[key] = np.ascontiguousarray(tensor.T) if key.endswith("_projection.weight") else tensor
    return theirs


_HUGGINGFACE_TOWERS = {
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1": "vision_model.embeddings.patch_embedding",
    "visual.ln_pre": "vision_model.pre_layrnorm",
    "visual.transformer.resblocks": "vision_model.encoder.layers",
    "visual.ln_post": "vision_model.post_layernorm",
    "visual.proj": "visual_projection.weight",
    "token_embedding": "text_model.embeddings.token_embedding",
    "positional_embedding": "text_model.embeddings.position_embedding.weight",
    "transformer.resblocks": "text_model.encoder.layers",
    "ln_final": "text_model.final_layer_norm",
    "text_projection": "text_projection.weight",
}
_HUGGINGFACE_BLOCKS = {
    ".attn.": ".self_attn.",
    ".ln_1.": ".layer_norm1.",
    ".ln_2.": ".layer_norm2.",
    ".c_fc.": ".fc1.",
    ".c_proj.": ".fc2.",
}


def _huggingface_name(name: str) -> str:
    for ours, theirs in _HUGGINGFACE_TOWERS.items():
        if name == ours or name.startswith(f"{ours}."):
            name = theirs + name[len(ours) :]
            break
    for ours, theirs in _HUGGINGFACE_BLOCKS.items():
        name = name.replace(ours, theirs)
    return name


def huggingface_config(kind: str) -> dict[str, Any]:
    """What config.json says of a ViT family."""
    family = FAMILIES[kind]
    assert isinstance(family.vision, Tower)
    shared = {"hidden_act": family.activation, "projection_dim": family.embed_dim, "layer_norm_eps": 1e-5}
    return {
        "architectures": ["CLIPModel"],
        "model_type": "clip",
        "projection_dim": family.embed_dim,
        "text_config": {
            **shared,
            **_huggingface_sizes(family.text),
            "vocab_size": VOCAB_SIZE,
            "max_position_embeddings": CONTEXT_LENGTH,
            "bos_token_id": 0 if family.eos_token_id == 2 else 49_406,  # wrong together, in the files of 2021
            "eos_token_id": family.eos_token_id,
        },
        "vision_config": {
            **shared,
            **_huggingface_sizes(family.vision),
            "image_size": family.image_size,
            "patch_size": family.patch_size,
        },
    }


def _huggingface_sizes(tower: Tower) -> dict[str, int]:
    return {
        "hidden_size": tower.width,
        "num_hidden_layers": tower.layers,
        "num_attention_heads": tower.heads,
        "intermediate_size": tower.hidden,
    }


def open_clip_config(kind: str) -> dict[str, Any]:
    """What open_clip_config.json says of a ViT family, under "model_cfg"."""
    family = FAMILIES[kind]
    assert isinstance(family.vision, Tower)
    return {
        "embed_dim": family.embed_dim,
        "quick_gelu": family.activation == "quick_gelu",
        "vision_cfg": {
            "image_size": family.image_size,
            "patch_size": family.patch_size,
            "width": family.vision.width,
            "layers": family.vision.layers,
            "head_width": family.vision.width // family.vision.heads,
            "mlp_ratio": round(family.vision.hidden / family.vision.width + 5e-5, 4),
        },
        "text_cfg": {
            "context_length": CONTEXT_LENGTH,
            "vocab_size": VOCAB_SIZE,
            "width": family.text.width,
            "heads": family.text.heads,
            "layers": family.text.layers,
        },
    }


def openai_state_dict(tensors: Mapping[str, Array]) -> "dict[str, torch.Tensor]":
    """Torch tensors as in OpenAI's files: fp16 for convolutions, linear layers and projections, fp32 for the rest."""
    import torch

    converted = {name: torch.from_numpy(tensor) for name, tensor in tensors.items()}
    return {name: tensor if _STAYS_FLOAT.search(name) else tensor.half() for name, tensor in converted.items()}


_STAYS_FLOAT = re.compile(r"embedding|\bln_|\bbn\d|downsample\.1|logit_scale")


def openai_torchscript_archive(path: Path, tensors: Mapping[str, Array]) -> None:
    """Write a model as OpenAI publishes it: a traced module with its code, its constants and its fp16 tensors.

    As in OpenAI's, three integers stand beside the weights, and the text tower's mask is a constant of the trace.
    """
    import torch

    root = _traceable_root()
    for name, tensor in openai_state_dict(tensors).items():
        *parents, leaf = name.split(".")
        module = root
        for parent in parents:
            if not hasattr(module, parent):
                module.add_module(parent, torch.nn.Module())
            module = getattr(module, parent)
        if leaf.startswith(("running_", "num_batches")):
            module.register_buffer(leaf, tensor)
        else:
            module.register_parameter(leaf, torch.nn.Parameter(tensor))
    scalars = {"input_resolution": _image_size(tensors), "context_length": CONTEXT_LENGTH, "vocab_size": VOCAB_SIZE}
    for name, value in scalars.items():
        root.register_buffer(name, torch.tensor(value))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch deprecates what OpenAI's files are made with
        traced = torch.jit.trace(root, torch.zeros(1, CONTEXT_LENGTH))  # type: ignore[no-untyped-call]
        torch.jit.save(traced, str(path))


def _traceable_root() -> "torch.nn.Module":
    import torch

    mask = torch.full((CONTEXT_LENGTH, CONTEXT_LENGTH), -math.inf).triu(1)

    class Multimodal(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return x + mask

    return Multimodal()


def _image_size(tensors: Mapping[str, Array]) -> int:
    if "visual.conv1.weight" in tensors and "visual.proj" in tensors:
        positions, patch_size = tensors["visual.positional_embedding"], tensors["visual.conv1.weight"].shape[-1]
    else:
        positions, patch_size = tensors["visual.attnpool.positional_embedding"], 32
    return int(math.isqrt(len(positions) - 1) * patch_size)
