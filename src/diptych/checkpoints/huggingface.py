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
from diptych.model.config import Activation, CLIPConfig, ResNetConfig, TextConfig, ViTConfig
from diptych.preprocess import Preprocess

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

_ACTIVATIONS: dict[str, Activation] = {"quick_gelu": "quick_gelu", "gelu": "gelu"}
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
        ours[key] = tensor.T if key in _TRANSPOSED else tensor
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
    # What equals the library's defaults is often left out of the file, in whole or in part.
    text = {**_TEXT_DEFAULTS, **(content.get("text_config_dict") or {}), **(content.get("text_config") or {})}
    vision = {**_VISION_DEFAULTS, **(content.get("vision_config_dict") or {}), **(content.get("vision_config") or {})}
    for tower, part in (("text_config", text), ("vision_config", vision)):
        if abs(part["layer_norm_eps"] - 1e-5) > 1e-9:
            raise CheckpointError(f"{source}: {tower}.layer_norm_eps is {part['layer_norm_eps']}; CLIP's is 1e-5.")
    if text["hidden_act"] != vision["hidden_act"] or text["hidden_act"] not in _ACTIVATIONS:
        raise CheckpointError(
            f"{source}: hidden_act is {text['hidden_act']!r} for text and {vision['hidden_act']!r} for images; "
            f"Diptych needs one for both, {' or '.join(_ACTIVATIONS)}."
        )
    try:
        return CLIPConfig(
            embed_dim=content.get("projection_dim", 512),
            vision=ViTConfig(
                image_size=(vision["image_size"], vision["image_size"]),
                patch_size=vision["patch_size"],
                width=vision["hidden_size"],
                layers=vision["num_hidden_layers"],
                heads=vision["num_attention_heads"],
                mlp_ratio=_ratio(vision["intermediate_size"], vision["hidden_size"]),
            ),
            text=TextConfig(
                width=text["hidden_size"],
                layers=text["num_hidden_layers"],
                heads=text["num_attention_heads"],
                context_length=text["max_position_embeddings"],
                vocab_size=text["vocab_size"],
                mlp_ratio=_ratio(text["intermediate_size"], text["hidden_size"]),
                # 2 is what old configs say, wrongly, of a vocabulary that ends in its end token.
                end_token=None if text["eos_token_id"] in (2, None, text["vocab_size"] - 1) else text["eos_token_id"],
            ),
            activation=_ACTIVATIONS[text["hidden_act"]],
        )
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{source}: config.json describes no CLIP: {error}") from error


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
    content: dict[str, Any] = {}
    if (folder / "preprocessor_config.json").is_file():
        content = read_json(folder / "preprocessor_config.json")
    elif (folder / "processor_config.json").is_file():
        content = read_json(folder / "processor_config.json").get("image_processor", {})
    resize = content.get("size", image_size[0])
    squash = isinstance(resize, dict) and "height" in resize and not content.get("do_center_crop", False)
    crop = content.get("crop_size", resize)
    size = _square(resize) if squash else _square(crop)
    if not squash and content.get("do_resize", True) and min(_square(resize)) != min(size):
        raise CheckpointError(
            f"{folder}: images are resized to {resize} and cropped to {crop}; Diptych crops what it resized to."
        )
    colours: dict[str, Any] = {ours: tuple(content[theirs]) for ours, theirs in _COLOURS.items() if theirs in content}
    try:
        return Preprocess(
            size=size,
            **colours,
            resize_mode="squash" if squash else "shortest",
            interpolation=_RESAMPLE[content.get("resample", 3)],  # type: ignore[arg-type]
        )
    except (ValueError, KeyError, TypeError) as error:
        raise CheckpointError(f"{folder}: the image processor's settings cannot be used: {error}.") from error


def _square(size: Any) -> tuple[int, int]:  # noqa: ANN401 (an integer, {"shortest_edge"} or {"height", "width"})
    if isinstance(size, dict):
        if "shortest_edge" in size:
            return int(size["shortest_edge"]), int(size["shortest_edge"])
        return int(size["height"]), int(size["width"])
    return int(size), int(size)


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
