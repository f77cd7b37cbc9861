"""OpenCLIP repositories: open_clip_config.json beside open_clip_model.safetensors (or .bin), OpenAI's tensor names."""

from pathlib import Path
from typing import Any

from diptych.checkpoints.checkpoint import Checkpoint
from diptych.checkpoints.openai import from_openai
from diptych.checkpoints.reading import Framework, read_json, read_weights_of
from diptych.errors import CheckpointError
from diptych.model.config import CLIPConfig, ResNetConfig
from diptych.preprocess import Preprocess
from diptych.settings import from_dict

CONFIG_NAME = "open_clip_config.json"
WEIGHTS_NAME = "open_clip_model.safetensors"

# What a plain CLIP may say in its config, and values of other keys that change nothing.
_VISION_KEYS = {"image_size", "layers", "width", "head_width", "mlp_ratio", "patch_size", "patch_dropout"}
_TEXT_SIZES = {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio"}
_TEXT_KEYS = {*_TEXT_SIZES, "hf_tokenizer_name"}
_POOLING = {"vision_cfg": "tok", "text_cfg": "argmax"}
_HARMLESS: dict[str, tuple[Any, ...]] = {
    "ls_init_value": (None,),
    "attentional_pool": (False,),
    "no_ln_pre": (False,),
    "final_ln_after_pool": (False,),
    "output_tokens": (False,),
    "pos_embed_type": ("learnable",),
    "proj_bias": (False,),
    "proj_type": ("linear",),
    "embed_cls": (False,),
    "no_causal_mask": (False,),
    "pad_id": (0,),
    "timm_model_name": (None, ""),
    "hf_model_name": (None, ""),
}
_MODEL_KEYS = {"embed_dim", "quick_gelu", "vision_cfg", "text_cfg", "custom_text"}


def load_open_clip(folder: Path, framework: Framework) -> Checkpoint:
    """A folder with OpenCLIP's config and weights."""
    source = str(folder / CONFIG_NAME)
    content = read_json(folder / CONFIG_NAME)
    config = _read_config(content.get("model_cfg"), source)
    return Checkpoint(
        config=config,
        tensors=from_openai(read_weights_of(folder, WEIGHTS_NAME, framework), str(folder)),
        preprocess=_read_preprocess(content.get("preprocess_cfg") or {}, config.vision.image_size, source),
        source=str(folder),
        format="openclip",
        tokenizer=folder,
    )


def _read_config(model: Any, source: str) -> CLIPConfig:  # noqa: ANN401 (whatever the JSON holds)
    model = model if isinstance(model, dict) else {}
    vision, text = model.get("vision_cfg"), model.get("text_cfg")
    if not (isinstance(vision, dict) and isinstance(text, dict) and "embed_dim" in model):
        raise CheckpointError(f"{source} has no model_cfg with embed_dim, vision_cfg and text_cfg.")
    _refuse_unknown(model, _MODEL_KEYS, "model_cfg", source)
    _refuse_unknown(vision, _VISION_KEYS, "vision_cfg", source)
    _refuse_unknown(text, _TEXT_KEYS, "text_cfg", source)
    settings = {
        "embed_dim": model["embed_dim"],
        "vision": _vision_settings(vision),
        "text": {"width": 512, "layers": 12, "heads": 8} | {key: text[key] for key in text if key in _TEXT_SIZES},
        "activation": "quick_gelu" if model.get("quick_gelu", False) else "gelu",
    }
    try:
        return from_dict(CLIPConfig, settings, where="model_cfg")
    except ValueError as error:
        raise CheckpointError(f"{source} describes no CLIP: {error}") from error


def _refuse_unknown(part: dict[str, Any], known: set[str], where: str, source: str) -> None:
    for key, value in part.items():
        if key == "pool_type" and value == _POOLING.get(where):
            continue
        if key not in known and value not in _HARMLESS.get(key, ()):
            raise CheckpointError(
                f"{source} is not a plain CLIP: {where}.{key} is {value!r}, which is outside the family that Diptych "
                "holds (ViT or ModifiedResNet, and a causal text transformer)."
            )


def _vision_settings(vision: dict[str, Any]) -> dict[str, Any]:
    """The plain data of a ViTConfig or a ResNetConfig, with OpenCLIP's defaults; not checked yet."""
    size, width, layers = vision.get("image_size", 224), vision.get("width", 768), vision.get("layers", 12)
    is_resnet = isinstance(layers, list)
    try:
        heads = (width * 32 if is_resnet else width) // vision.get("head_width", 64)
    except (TypeError, ZeroDivisionError):
        heads = 0  # no number of heads: refused by the config, unless the width is
    settings = {"image_size": [size, size] if isinstance(size, int) else size, "width": width, "layers": layers}
    if not is_resnet:
        settings |= {"patch_size": vision.get("patch_size", 16), "mlp_ratio": vision.get("mlp_ratio", 4.0)}
    return settings | {"heads": heads}


def _read_preprocess(content: Any, image_size: tuple[int, int], source: str) -> Preprocess:  # noqa: ANN401
    if not isinstance(content, dict):
        raise CheckpointError(f"{source}: preprocess_cfg should be a JSON object, got a {type(content).__name__}.")
    known = ("mean", "std", "resize_mode", "interpolation", "fill_color")
    settings = {key: content[key] for key in known if key in content}
    size = content.get("size", image_size)
    settings["size"] = [size, size] if isinstance(size, int) else size
    try:
        return from_dict(Preprocess, settings, where="preprocess_cfg")
    except ValueError as error:
        raise CheckpointError(f"{source} cannot be used: {error}") from error


def open_clip_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """The JSON content of open_clip_config.json."""
    config, vision, text = checkpoint.config, checkpoint.config.vision, checkpoint.config.text
    if text.end_token is not None:
        raise CheckpointError("OpenCLIP pools text at the highest id; this model's end token is another.")
    height, width = vision.image_size
    image_size = height if height == width else [height, width]
    if isinstance(vision, ResNetConfig):
        tower: dict[str, Any] = {
            "image_size": image_size,
            "layers": list(vision.layers),
            "width": vision.width,
            "head_width": vision.output_width // vision.heads,
            "patch_size": None,
        }
    else:
        tower = {
            "image_size": image_size,
            "layers": vision.layers,
            "width": vision.width,
            "head_width": vision.width // vision.heads,
            "mlp_ratio": vision.mlp_ratio,
            "patch_size": vision.patch_size,
        }
    preprocess = checkpoint.preprocess
    return {
        "model_cfg": {
            "embed_dim": config.embed_dim,
            "quick_gelu": config.activation == "quick_gelu",
            "vision_cfg": tower,
            "text_cfg": {
                "context_length": text.context_length,
                "vocab_size": text.vocab_size,
                "width": text.width,
                "heads": text.heads,
                "layers": text.layers,
                "mlp_ratio": text.mlp_ratio,
            },
        },
        "preprocess_cfg": {
            "mean": list(preprocess.mean),
            "std": list(preprocess.std),
            "interpolation": preprocess.interpolation,
            "resize_mode": preprocess.resize_mode,
            "fill_color": preprocess.fill_color,
        },
    }
