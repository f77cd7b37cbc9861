"""OpenAI's names for the tensors, which OpenCLIP uses too, and what their shapes say of the model.

They differ from ours in two things: the text tower's names stand at the root (`token_embedding.weight`, not
`text.token_embedding.weight`), and attention's three input layers are packed into `in_proj_weight` and `in_proj_bias`.
"""

import re
from typing import Any

from diptych.checkpoints.checkpoint import Tensors
from diptych.errors import CheckpointError
from diptych.model.config import CLIPConfig, ResNetConfig, TextConfig, ViTConfig

# Scalars and masks that some files carry beside the weights.
_NOT_WEIGHTS = {"input_resolution", "context_length", "vocab_size", "attn_mask", "text.attn_mask"}

# Key -> what it shows the model to be, when it is not of this family.
_OTHER_FAMILIES = {
    "visual.trunk.": "its image tower is a timm model",
    "text.transformer.embeddings.": "its text tower is a Hugging Face text model",
    "text.transformer.encoder.": "its text tower is a Hugging Face text model",
    "text_decoder.": "it is a CoCa captioner",
    "logit_bias": "it has a logit_bias and was trained with SigLIP's loss",
    "visual.attn_pool.": "its image tower ends in an attentional pooler",
    "vision_model.head.": "it is a SigLIP model",
    "text.cls_emb": "its text tower is pooled at a class token",
}

_PACKED = re.compile(r"(.*\.attn\.)in_proj_(weight|bias)")
_UNPACKED = re.compile(r"(.*\.attn\.)q_proj\.(weight|bias)")


def from_openai(tensors: Tensors, source: str) -> Tensors:
    """Our names and packing from OpenAI's; prefixes that training adds are dropped, other families refused."""
    tensors = {name.removeprefix("module."): tensor for name, tensor in tensors.items()}
    refuse_other_families(tensors, source)
    ours: Tensors = {}
    for name, tensor in tensors.items():
        if name in _NOT_WEIGHTS:
            continue
        name = name if name.startswith(("visual.", "text.")) or name == "logit_scale" else f"text.{name}"
        if packed := _PACKED.fullmatch(name):
            if not tensor.ndim or tensor.shape[0] % 3:
                raise CheckpointError(f"{source}: {name} has shape {list(tensor.shape)}; its rows should be 3 x width.")
            width = tensor.shape[0] // 3
            for i, projection in enumerate(("q_proj", "k_proj", "v_proj")):
                ours[f"{packed[1]}{projection}.{packed[2]}"] = tensor[i * width : (i + 1) * width]
        else:
            ours[name] = tensor
    if "logit_scale" in ours and ours["logit_scale"].shape == (1,):
        ours["logit_scale"] = ours["logit_scale"][0]
    return ours


def to_openai(tensors: Tensors) -> Tensors:
    """OpenAI's names and packing from ours (torch tensors): the inverse of `from_openai`."""
    import torch

    theirs: Tensors = {}
    for name, tensor in tensors.items():
        key = name.removeprefix("text.")
        if unpacked := _UNPACKED.fullmatch(key):
            parts = [tensors[name.replace("q_proj", projection)] for projection in ("q_proj", "k_proj", "v_proj")]
            theirs[f"{unpacked[1]}in_proj_{unpacked[2]}"] = torch.cat(parts)
        elif not re.search(r"\.attn\.[kv]_proj\.", key):
            theirs[key] = tensor
    return theirs


def refuse_other_families(tensors: Tensors, source: str) -> None:
    """Raise CheckpointError in one line for weights that are not a plain CLIP's."""
    for prefix, reason in _OTHER_FAMILIES.items():
        if any(name.startswith(prefix) for name in tensors):
            raise CheckpointError(
                f"{source} is not of the CLIP family that Diptych holds: {reason}. "
                "It takes OpenAI's, OpenCLIP's and Hugging Face's CLIP with ViT or ModifiedResNet towers."
            )


def config_from_shapes(tensors: Tensors, source: str) -> CLIPConfig:
    """The config of OpenAI's own files, by OpenAI's own rule: square images, heads 64 wide, QuickGELU.

    Only right for files known to be theirs; elsewhere heads and activation must be told.
    """
    shape: dict[str, Any] = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    try:
        text_width = shape["text.ln_final.weight"][0]
        text = TextConfig(
            width=text_width,
            layers=_count(shape, r"text\.transformer\.resblocks\.(\d+)\."),
            heads=max(1, text_width // 64),
            context_length=shape["text.positional_embedding"][0],
            vocab_size=shape["text.token_embedding.weight"][0],
        )
        vision = _vit(shape) if "visual.proj" in shape else _resnet(shape)
        return CLIPConfig(embed_dim=shape["text.text_projection"][1], vision=vision, text=text, activation="quick_gelu")
    except (KeyError, IndexError, ValueError) as error:
        raise CheckpointError(f"{source} lacks a tensor that every CLIP has, or its shape is odd: {error}.") from error


def _vit(shape: dict[str, Any]) -> ViTConfig:
    width, _, _, patch_size = shape["visual.conv1.weight"]
    side = round((shape["visual.positional_embedding"][0] - 1) ** 0.5) * patch_size
    return ViTConfig(
        image_size=(side, side),
        patch_size=patch_size,
        width=width,
        layers=_count(shape, r"visual\.transformer\.resblocks\.(\d+)\."),
        heads=max(1, width // 64),
    )


def _resnet(shape: dict[str, Any]) -> ResNetConfig:
    width = shape["visual.layer1.0.conv1.weight"][0]
    side = round((shape["visual.attnpool.positional_embedding"][0] - 1) ** 0.5) * 32
    one, two, three, four = (_count(shape, rf"visual\.layer{stage}\.(\d+)\.") for stage in (1, 2, 3, 4))
    return ResNetConfig(
        image_size=(side, side), layers=(one, two, three, four), width=width, heads=max(1, width * 32 // 64)
    )


def _count(shape: dict[str, Any], pattern: str) -> int:
    return len({match[1] for name in shape if (match := re.match(pattern, name))})
