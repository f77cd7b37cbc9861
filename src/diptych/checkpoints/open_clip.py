"""OpenCLIP repositories: open_clip_config.json beside open_clip_model.safetensors (or .bin), OpenAI's tensor names."""

from pathlib import Path
from typing import Any

from diptych.checkpoints.checkpoint import Checkpoint
from diptych.checkpoints.openai import from_openai
from diptych.checkpoints.reading import Framework, read_json, read_weights_of
from diptych.errors import CheckpointError
from diptych.model.config import CLIPConfig, ResNetConfig, TextConfig, ViTConfig
from diptych.preprocess import Preprocess

CONFIG_NAME = "open_clip_config.json"
WEIGHTS_NAME = "open_clip_model.safetensors"

# What a plain CLIP may say in its config, and values of other keys that change nothing.
_VISION_KEYS = {"image_size", "layers", "width", "head_width", "mlp_ratio", "patch_size", "patch_dropout"}
_TEXT_KEYS = {"context_length", "vocab_size", "width", "heads", "layers", "mlp_ratio", "hf_tokenizer_name"}
_HARMLESS: dict[str, tuple[Any, ...]] = {
    "ls_init_value": (None,),
    "attentional_pool": (False,),
    "no_ln_pre": (False,),
    "final_ln_after_pool": (False,),
    "output_tokens": (False,),
    "pos_embed_type": ("learnable",),
    "pool_type": ("tok", "argmax"),
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
    content = read_json(folder / CONFIG_NAME)
    config = _read_config(content.get("model_cfg"), str(folder / CONFIG_NAME))
    return Checkpoint(
        config=config,
        tensors=from_openai(read_weights_of(folder, WEIGHTS_NAME, framework), str(folder)),
        preprocess=_read_preprocess(content.get("preprocess_cfg") or {}, config.vision.image_size, str(folder)),
        source=str(folder),
        format="openclip",
        tokenizer=folder,
    )


def _read_config(model: Any, source: str) -> CLIPConfig:  # noqa: ANN401 (whatever the JSON holds)
    if not isinstance(model, dict) or not {"embed_dim", "vision_cfg", "text_cfg"} <= model.keys():
        raise CheckpointError(f"{source} has no model_cfg with embed_dim, vision_cfg and text_cfg.")
    vision, text = model["vision_cfg"], model["text_cfg"]
    _refuse_unknown(model, _MODEL_KEYS, "model_cfg", source)
    _refuse_unknown(vision, _VISION_KEYS, "vision_cfg", source)
    _refuse_unknown(text, _TEXT_KEYS, "text_cfg", source)
    try:
        return CLIPConfig(
            embed_dim=model["embed_dim"],
            vision=_read_vision(vision),
            text=TextConfig(
                width=text.get("width", 512),
                layers=text.get("layers", 12),
                heads=text.get("heads", 8),
                context_length=text.get("context_length", 77),
                vocab_size=text.get("vocab_size", 49_408),
                mlp_ratio=text.get("mlp_ratio", 4.0),
            ),
            activation="quick_gelu" if model.get("quick_gelu", False) else "gelu",
        )
    except (ValueError, TypeError) as error:
        raise CheckpointError(f"{source} describes no CLIP: {error}") from error


def _refuse_unknown(part: dict[str, Any], known: set[str], where: str, source: str) -> None:
    for key, value in part.items():
        if key not in known and value not in _HARMLESS.get(key, ()):
            raise CheckpointError(
                f"{source} is not a plain CLIP: {where}.{key} is {value!r}, which is outside the family that Diptych "
                "holds (ViT or ModifiedResNet, and a causal text transformer)."
            )


def _read_vision(vision: dict[str, Any]) -> ViTConfig | ResNetConfig:
    size = vision.get("image_size", 224)
    image_size = (size, size) if isinstance(size, int) else (int(size[0]), int(size[1]))
    width, layers, head_width = vision.get("width", 768), vision.get("layers", 12), vision.get("head_width", 64)
    if isinstance(layers, list):
        one, two, three, four = layers
        return ResNetConfig(
            image_size=image_size, layers=(one, two, three, four), width=width, heads=width * 32 // head_width
        )
    return ViTConfig(
        image_size=image_size,
        patch_size=vision.get("patch_size", 16),
        width=width,
        layers=layers,
        heads=width // head_width,
        mlp_ratio=vision.get("mlp_ratio", 4.0),
    )


def _read_preprocess(content: dict[str, Any], image_size: tuple[int, int], source: str) -> Preprocess:
    settings: dict[str, Any] = {
        key: content[key] for key in ("resize_mode", "interpolation", "fill_color") if key in content
    }
    settings |= {key: tuple(content[key]) for key in ("mean", "std") if key in content}
    size = content.get("size", image_size)
    try:
        return Preprocess(size=(size, size) if isinstance(size, int) else (size[0], size[1]), **settings)
    except (ValueError, TypeError, IndexError) as error:
        raise CheckpointError(f"{source}: preprocess_cfg cannot be used: {error}") from error


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
        },
    }
