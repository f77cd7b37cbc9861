"""What a model is, as plain data: for people to read and programs to parse."""

import math
from pathlib import Path
from typing import Any

from diptych.checkpoints import hub
from diptych.checkpoints.checkpoint import Checkpoint, all_presets
from diptych.checkpoints.fingerprint import fingerprint, float32_array
from diptych.checkpoints.load import load_checkpoint
from diptych.files import cache_dir
from diptych.model.config import Activation, CLIPConfig, ResNetConfig
from diptych.model.flops import image_flops, text_flops
from diptych.model.presets import OPENAI_PRESETS
from diptych.model.shapes import parameter_count, tensor_shapes
from diptych.preprocess import Preprocess
from diptych.settings import to_dict
from diptych.tokenizer import clip_tokenizer, load_tokenizer


def describe(
    name: str, *, revision: str | None = None, preset: str | None = None, activation: Activation | None = None
) -> dict[str, Any]:
    """Sizes, parameters and FLOPs per tower, preprocessing, source and fingerprint.

    A preset, or a model of OpenAI's that is not in the cache, is described without weights: nothing is downloaded.
    """
    is_cached = name in OPENAI_PRESETS and _cached_openai_file(name).is_file()
    if name in all_presets() and not is_cached and not Path(name).exists():
        config = {**all_presets(), **OPENAI_PRESETS}[name]
        weights: dict[str, Any] = {
            "source": name,
            "format": "preset, no weights read",
            "fingerprint": None,
            "logit_scale": None,
            "dtypes": [],
            "preprocess": to_dict(Preprocess(size=config.vision.image_size)),
        }
        return {**weights, **_sizes(config)}
    checkpoint = load_checkpoint(name, revision=revision, preset=preset, activation=activation)
    return {**_weights(checkpoint), **_sizes(checkpoint.config)}


def _cached_openai_file(name: str) -> Path:
    return cache_dir("openai") / Path(hub.OPENAI_FILES[name][0]).name


def _weights(checkpoint: Checkpoint) -> dict[str, Any]:
    tokenizer = load_tokenizer(checkpoint.tokenizer) if checkpoint.tokenizer else clip_tokenizer()
    dtypes = {str(tensor.dtype).removeprefix("torch.") for tensor in checkpoint.tensors.values() if tensor.ndim}
    return {
        "source": checkpoint.source,
        "format": checkpoint.format,
        "fingerprint": fingerprint(checkpoint, tokenizer),
        "logit_scale": round(math.exp(float(float32_array(checkpoint.tensors["logit_scale"]))), 4),
        "dtypes": sorted(dtypes),
        "preprocess": to_dict(checkpoint.preprocess),
    }


def _sizes(config: CLIPConfig) -> dict[str, Any]:
    shapes = tensor_shapes(config)
    image = {name: shape for name, shape in shapes.items() if name.startswith("visual.")}
    text = {name: shape for name, shape in shapes.items() if name.startswith("text.")}
    return {
        "parameters": parameter_count(shapes),
        "embed_dim": config.embed_dim,
        "activation": config.activation,
        "image_tower": {
            "type": "ModifiedResNet" if isinstance(config.vision, ResNetConfig) else "ViT",
            "parameters": parameter_count(image),
            "flops": image_flops(config),
            "config": to_dict(config.vision),
        },
        "text_tower": {
            "parameters": parameter_count(text),
            "flops": text_flops(config),
            "config": to_dict(config.text),
        },
    }
