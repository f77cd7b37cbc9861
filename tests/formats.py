"""Small seeded models written to disk in every format that is read."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import torch

import seeded
from diptych.model.config import CLIPConfig, ResNetConfig, TextConfig, ViTConfig

OPENAI_KINDS = ("vit", "resnet")
VIT_KINDS = ("vit", "open_clip", "huggingface", "huggingface-gelu")


def clip_config(kind: str) -> CLIPConfig:
    """Our config of a seeded family."""
    family = seeded.FAMILIES[kind]
    size = (family.image_size, family.image_size)
    vision: ViTConfig | ResNetConfig
    if isinstance(family.vision, seeded.ResNet):
        one, two, three, four = family.vision.layers
        vision = ResNetConfig(
            image_size=size, layers=(one, two, three, four), width=family.vision.width, heads=family.vision.heads
        )
    else:
        tower = family.vision
        vision = ViTConfig(
            image_size=size,
            patch_size=family.patch_size,
            width=tower.width,
            layers=tower.layers,
            heads=tower.heads,
            mlp_ratio=(tower.hidden + 0.5) / tower.width,
        )
    text = TextConfig(
        width=family.text.width,
        layers=family.text.layers,
        heads=family.text.heads,
        mlp_ratio=(family.text.hidden + 0.5) / family.text.width,
    )
    activation: Any = family.activation
    return CLIPConfig(embed_dim=family.embed_dim, vision=vision, text=text, activation=activation)


def write_torchscript(kind: str, folder: Path) -> Path:
    """OpenAI's archive, its weights in half precision as theirs are."""
    path = folder / "model.pt"
    seeded.openai_torchscript_archive(path, seeded.seeded_model(kind))
    return path


def write_state_dict(kind: str, folder: Path) -> Path:
    """A bare float32 state dict by torch.save."""
    path = folder / "weights.pt"
    torch.save({name: torch.from_numpy(tensor) for name, tensor in seeded.seeded_model(kind).items()}, path)
    return path


def write_training_checkpoint(kind: str, folder: Path) -> Path:
    """What OpenCLIP's trainer saves under DDP: weights under `state_dict`, names under `module.`."""
    path = folder / "epoch_3.pt"
    weights = {f"module.{name}": torch.from_numpy(tensor) for name, tensor in seeded.seeded_model(kind).items()}
    torch.save({"epoch": 3, "name": "run", "state_dict": weights, "optimizer": {"state": {}, "param_groups": []}}, path)
    return path


def write_custom_text(kind: str, folder: Path) -> Path:
    """OpenCLIP's CustomTextCLIP: the text tower's names under `text.`."""
    path = folder / "custom.safetensors"
    tensors = seeded.seeded_model(kind)
    named = {n if n.startswith("visual.") or n == "logit_scale" else f"text.{n}": t for n, t in tensors.items()}
    safetensors.numpy.save_file(named, path)
    return path


def write_open_clip(kind: str, folder: Path) -> Path:
    """A repository of OpenCLIP's."""
    content = {"model_cfg": seeded.open_clip_config(kind), "preprocess_cfg": {"size": seeded.FAMILIES[kind].image_size}}
    (folder / "open_clip_config.json").write_text(json.dumps(content))
    safetensors.numpy.save_file(seeded.seeded_model(kind), folder / "open_clip_model.safetensors")
    return folder


def write_huggingface(kind: str, folder: Path) -> Path:
    """A folder of Hugging Face's CLIPModel in one safetensors file."""
    _write_huggingface_configs(kind, folder)
    tensors = seeded.huggingface_tensors(seeded.seeded_model(kind))
    safetensors.numpy.save_file({n: np.array(t, order="C") for n, t in tensors.items()}, folder / "model.safetensors")
    return folder


def write_huggingface_shards(kind: str, folder: Path) -> Path:
    """The same in two shards with an index."""
    _write_huggingface_configs(kind, folder)
    tensors = seeded.huggingface_tensors(seeded.seeded_model(kind))
    names = sorted(tensors)
    weight_map: dict[str, str] = {}
    for i, part in enumerate((names[::2], names[1::2]), start=1):
        shard = f"model-{i:05d}-of-00002.safetensors"
        safetensors.numpy.save_file({n: np.array(tensors[n], order="C") for n in part}, folder / shard)
        weight_map |= dict.fromkeys(part, shard)
    (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    return folder


def write_huggingface_bin(kind: str, folder: Path) -> Path:
    """The same as pytorch_model.bin, with the position_ids that old files carry."""
    _write_huggingface_configs(kind, folder)
    tensors = seeded.huggingface_tensors(seeded.seeded_model(kind))
    weights = {name: torch.from_numpy(np.array(tensor, order="C")) for name, tensor in tensors.items()}
    weights["text_model.embeddings.position_ids"] = torch.arange(77)[None]
    torch.save(weights, folder / "pytorch_model.bin")
    return folder


def _write_huggingface_configs(kind: str, folder: Path) -> None:
    size = seeded.FAMILIES[kind].image_size
    (folder / "config.json").write_text(json.dumps(seeded.huggingface_config(kind)))
    processor = {"size": {"shortest_edge": size}, "crop_size": {"height": size, "width": size}, "resample": 3}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))


Writer = Callable[[str, Path], Path]

# (family, how it is written): what each family's reference implementation would have written.
WRITTEN: tuple[tuple[str, Writer], ...] = (
    ("vit", write_state_dict),
    ("vit", write_training_checkpoint),
    ("vit", write_custom_text),
    ("vit", write_open_clip),
    ("resnet", write_state_dict),
    ("resnet", write_training_checkpoint),
    ("open_clip", write_open_clip),
    ("open_clip", write_state_dict),
    ("huggingface", write_huggingface),
    ("huggingface", write_huggingface_shards),
    ("huggingface", write_huggingface_bin),
    ("huggingface-gelu", write_huggingface),
)


def load_options(kind: str, writer: Writer) -> dict[str, Any]:
    """What a bare state dict of no preset must be told."""
    told = writer in (write_state_dict, write_training_checkpoint, write_custom_text)
    return {"preset": clip_config(kind)} if told else {}
