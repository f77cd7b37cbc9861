"""Hugging Face `CLIPModel` folders: config.json, model.safetensors, preprocessor_config.json, tokenizer files.

Their names differ from ours, their two projections are stored transposed, and only ViT image towers exist.
"""

import re
from pathlib import Path
from typing import Any

from diptych.checkpoints.checkpoint import Checkpoint, Tensors
from diptych.checkpoints.openai import refuse_other_families
from diptych.checkpoints.reading import Framework, read_json, read_weights_of
from diptych.errors import CheckpointError
from diptych.model.config import ACTIVATIONS, CLIPConfig, ResNetConfig
from diptych.preprocess import Preprocess
from diptych.settings import from_dict

# Ours -> theirs, whole parts of dotted names. `pre_layrnorm` is spelt so.
_TOWER = {
    "text.token_embedding": "text_model.embeddings.token_embedding",
    "text.positional_embedding": "text_model.embeddings.position_embedding.weight",
    "text.transformer.resblocks": "text_model.encoder.layers",
    "text.ln_final": "text_model.final_layer_norm",
    "text.text_projection": "text_projection.weight",
    "visual.class_embedding": "vision_model.embeddings.class_embedding",
    "visual.positional_embedding": "vision_model.embeddings.position_embedding.weight",
    "visual.conv1": "vision_model.embeddings.patch_embedding",
    "visual.ln_pre": "vision_model.pre_layrnorm",
    "visual.transformer.resblocks": "vision_model.encoder.layers",
    "visual.ln_post": "vision_model.post_layernorm",
    "visual.proj": "visual_projection.weight",
    "logit_scale": "logit_scale",
}
_BLOCK = {"ln_1": "layer_norm1", "ln_2": "layer_norm2", "attn": "self_attn", "c_fc": "fc1", "c_proj": "fc2"}
_TRANSPOSED = ("text.text_projection", "visual.proj")

_COLOURS = {"mean": "image_mean", "std": "image_std"}
_RESAMPLE = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}


def is_huggingface(tensors: Tensors) -> bool:
    """Whether the names are Hugging Face's."""
    return any(name.startswith("vision_model.") for name in tensors)


def from_huggingface(tensors: Tensors, source: str) -> Tensors:
    """Our names and orientation from theirs."""
    refuse_other_families(tensors, source)
    ours: Tensors = {}
    for name, tensor in tensors.items():
        if name.endswith(".position_ids"):  # an arange that old files carry
            continue
        key = _our_name(name)
        ours[key] = tensor.T if key in _TRANSPOSED and tensor.ndim == 2 else tensor
    return ours


def to_huggingface(tensors: Tensors) -> Tensors:
    """Their names and orientation from ours: the inverse of `from_huggingface`."""
    return {
        _their_name(name): tensor.T.contiguous() if name in _TRANSPOSED else tensor for name, tensor in tensors.items()
    }


def _our_name(name: str) -> str:
    for ours, theirs in _TOWER.items():
        if name == theirs or name.startswith(f"{theirs}."):
            rest = name[len(theirs) :]
            for our_part, their_part in _BLOCK.items():
                rest = re.sub(rf"\.{their_part}\b", f".{our_part}", rest)
            return ours + rest
    return name  # unknown: reported as such when the tensors are fitted to the model


def _their_name(name: str) -> str:
    for ours, theirs in _TOWER.items():
        if name == ours or name.startswith(f"{ours}."):
            rest = name[len(ours) :]
            for our_part, their_part in _BLOCK.items():
                rest = re.sub(rf"\.{our_part}\b", f".{their_part}", rest)
            return theirs + rest
    raise AssertionError(f"no Hugging Face name for {name}")


def load_huggingface(folder: Path, framework: Framework) -> Checkpoint:
    """A folder that `transformers` saved or that a hub id was fetched to."""
    content = read_json(folder / "config.json")
    model_type = content.get("model_type")
    if model_type != "clip":
        raise CheckpointError(
            f"{folder} holds a Hugging Face model of type {model_type!r}, not a CLIP: "
            "Diptych takes model_type 'clip' (CLIPModel with both towers)."
        )
    config = _read_config(content, str(folder))
    return Checkpoint(
        config=config,
        tensors=from_huggingface(read_weights_of(folder, "model.safetensors", framework), str(folder)),
        preprocess=_read_preprocess(folder, config.vision.image_size),
        source=str(folder),
        format="huggingface",
        tokenizer=folder,
    )


def _read_config(content: dict[str, Any], source: str) -> CLIPConfig:
    text, vision = _tower(content, "text", _TEXT_DEFAULTS, source), _tower(content, "vision", _VISION_DEFAULTS, source)
    if text["hidden_act"] != vision["hidden_act"] or text["hidden_act"] not in ACTIVATIONS:
        raise CheckpointError(
            f"{source}: hidden_act is {text['hidden_act']!r} for text and {vision['hidden_act']!r} for images; "
            f"Diptych needs one for both, {' or '.join(ACTIVATIONS)}."
        )
    end_token, vocab_size = text["eos_token_id"], text["vocab_size"]
    settings = {
        "embed_dim": content.get("projection_dim", 512),
        "vision": {
            **_sizes(vision),
            "image_size": [vision["image_size"], vision["image_size"]],
            "patch_size": vision["patch_size"],
        },
        "text": {
            **_sizes(text),
            "context_length": text["max_position_embeddings"],
            "vocab_size": vocab_size,
            # 2 is what old configs say, wrongly, of a vocabulary that ends in its end token.
            "end_token": None if end_token in (2, None) or vocab_size == end_token + 1 else end_token,
        },
        "activation": text["hidden_act"],
    }
    try:
        return from_dict(CLIPConfig, settings, where="config.json")
    except ValueError as error:
        raise CheckpointError(f"{source} describes no CLIP: {error}") from error


def _tower(content: dict[str, Any], name: str, defaults: dict[str, Any], source: str) -> dict[str, Any]:
    """A tower's settings; what equals the library's defaults is often left out of the file."""
    key = f"{name}_config_dict" if content.get(f"{name}_config_dict") is not None else f"{name}_config"
    given = content.get(key) or {}
    if not isinstance(given, dict):
        raise CheckpointError(f"{source}: {key} should be a JSON object, got a {type(given).__name__}.")
    tower = {**defaults, **given}
    for setting, default in defaults.items():
        if not isinstance(tower[setting], type(default)) and not (setting == "eos_token_id" and tower[setting] is None):
            raise CheckpointError(
                f"{source}: {key}.{setting} should be like {default!r}, got {tower[setting]!r}: it describes no CLIP."
            )
    if abs(tower["layer_norm_eps"] - 1e-5) > 1e-9:
        raise CheckpointError(f"{source}: {key}.layer_norm_eps is {tower['layer_norm_eps']}; CLIP's is 1e-5.")
    return tower


def _sizes(tower: dict[str, Any]) -> dict[str, Any]:
    width = tower["hidden_size"]
    return {
        "width": width,
        "layers": tower["num_hidden_layers"],
        "heads": tower["num_attention_heads"],
        "mlp_ratio": _ratio(tower["intermediate_size"], width) if width else 0.0,
    }


_TEXT_DEFAULTS = {
    "hidden_size": 512,
    "intermediate_size": 2048,
    "num_hidden_layers": 12,
    "num_attention_heads": 8,
    "max_position_embeddings": 77,
    "vocab_size": 49408,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
    "eos_token_id": 49407,
}
_VISION_DEFAULTS = {
    "hidden_size": 768,
    "intermediate_size": 3072,
    "num_hidden_layers": 12,
    "num_attention_heads": 12,
    "image_size": 224,
    "patch_size": 32,
    "hidden_act": "quick_gelu",
    "layer_norm_eps": 1e-5,
}


def _ratio(hidden: int, width: int) -> float:
    """The MLP ratio that gives back `hidden` when multiplied and cut to an integer."""
    ratio = hidden / width
    return ratio if int(width * ratio) == hidden else (hidden + 0.5) / width


def _read_preprocess(folder: Path, image_size: tuple[int, int]) -> Preprocess:
    """The image processor's settings; newer versions write them into processor_config.json."""
    path, content = folder / "preprocessor_config.json", {}
    if path.is_file():
        content = read_json(path)
    elif (folder / "processor_config.json").is_file():
        path = folder / "processor_config.json"
        content = read_json(path).get("image_processor", {})
    for step in ("do_resize", "do_rescale", "do_normalize"):
        if not content.get(step, True):
            raise CheckpointError(f"{path}: {step} is false, and Diptych cannot leave that out for CLIP's images.")
    if abs(content.get("rescale_factor", 1 / 255) * 255 - 1) > 1e-6:
        raise CheckpointError(
            f"{path}: rescale_factor is {content['rescale_factor']}, and Diptych's pixels are x / 255."
        )
    resize = content.get("size", image_size[0])
    crop = content.get("crop_size", resize) if content.get("do_center_crop", True) else resize
    is_squashed = isinstance(resize, dict) and "shortest_edge" not in resize
    resample = content.get("resample", 3)
    settings = {
        "size": _sides(crop),
        "resize_mode": "squash" if is_squashed else "shortest",
        "interpolation": _RESAMPLE.get(resample, resample) if isinstance(resample, int) else resample,
        **{ours: content[theirs] for ours, theirs in _COLOURS.items() if theirs in content},
    }
    try:
        preprocess = from_dict(Preprocess, settings, where=path.name)
    except ValueError as error:
        raise CheckpointError(f"{path} cannot be used: {error}") from error
    resized = tuple(_sides(resize))
    if resized != preprocess.size if is_squashed else resized[0] != min(preprocess.size):
        raise CheckpointError(
            f"{path}: images are resized to {resize} and cropped to {crop}; Diptych crops what it resized to."
        )
    return preprocess


def _sides(size: Any) -> list[Any]:  # noqa: ANN401 (an integer, {"shortest_edge"} or {"height", "width"}; unchecked)
    if not isinstance(size, dict):
        return [size, size]
    shortest = size.get("shortest_edge")
    return [size.get("height", shortest), size.get("width", shortest)]


def huggingface_configs(checkpoint: Checkpoint) -> dict[str, dict[str, Any]]:
    """File name -> JSON content of the configs that `transformers` reads, for a model with a ViT."""
    config, vision, text = checkpoint.config, checkpoint.config.vision, checkpoint.config.text
    if isinstance(vision, ResNetConfig):
        raise CheckpointError(
            "Hugging Face's CLIPModel has no ResNet image tower, so this model cannot be written in its format. "
            "Use --format openclip."
        )
    if vision.image_size[0] != vision.image_size[1]:
        raise CheckpointError(f"Hugging Face's CLIPModel takes square images only, this model {vision.image_size}.")
    end_token = text.vocab_size - 1 if text.end_token is None else text.end_token
    return {
        "config.json": {
            "architectures": ["CLIPModel"],
            "model_type": "clip",
            "projection_dim": config.embed_dim,
            "logit_scale_init_value": 2.6592,
            "text_config": {
                **_tower_config(text.width, text.layers, text.heads, text.mlp_ratio, config),
                "model_type": "clip_text_model",
                "vocab_size": text.vocab_size,
                "max_position_embeddings": text.context_length,
                "bos_token_id": end_token - 1,
                "eos_token_id": end_token,
                "pad_token_id": end_token,
            },
            "vision_config": {
                **_tower_config(vision.width, vision.layers, vision.heads, vision.mlp_ratio, config),
                "model_type": "clip_vision_model",
                "image_size": vision.image_size[0],
                "patch_size": vision.patch_size,
                "num_channels": 3,
            },
        },
        "preprocessor_config.json": _preprocessor_config(checkpoint.preprocess),
    }


def _tower_config(width: int, layers: int, heads: int, mlp_ratio: float, config: CLIPConfig) -> dict[str, Any]:
    return {
        "hidden_size": width,
        "intermediate_size": int(width * mlp_ratio),
        "num_hidden_layers": layers,
        "num_attention_heads": heads,
        "projection_dim": config.embed_dim,
        "hidden_act": config.activation,
        "layer_norm_eps": 1e-5,
    }


def _preprocessor_config(preprocess: Preprocess) -> dict[str, Any]:
    height, width = preprocess.size
    if preprocess.resize_mode == "longest":
        raise CheckpointError(
            "Hugging Face's CLIPImageProcessor cannot resize by the longest side, as this model does."
        )
    squash = preprocess.resize_mode == "squash"
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"height": height, "width": width} if squash else {"shortest_edge": min(height, width)},
        "resample": next(code for code, name in _RESAMPLE.items() if name == preprocess.interpolation),
        "do_center_crop": not squash,
        "crop_size": {"height": height, "width": width},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(preprocess.mean),
        "image_std": list(preprocess.std),
        "do_convert_rgb": True,
    }
