"""Small seeded models written to disk in every format that is read."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import safetensors.numpy
import safetensors.torch
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors

import seeded
from diptych.checkpoints import Checkpoint, save_checkpoint
from diptych.checkpoints.save import Format
from diptych.model.config import CLIPConfig, ResNetConfig, TextConfig, ViTConfig
from diptych.model.shapes import tensor_shapes
from diptych.preprocess import Preprocess

OPENAI_KINDS = ("vit", "resnet")


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


# ---- checkpoints of a few thousand numbers, for what does not need a whole vocabulary or a reference

TINY_VIT = ViTConfig(image_size=(32, 32), patch_size=16, width=16, layers=1, heads=2, mlp_ratio=2.0)
TINY = CLIPConfig(
    embed_dim=8,
    vision=TINY_VIT,
    text=TextConfig(width=16, layers=1, heads=2, vocab_size=60, mlp_ratio=2.0),
    activation="quick_gelu",
)
TINY_RESNET = replace(TINY, vision=ResNetConfig(image_size=(32, 32), layers=(1, 1, 1, 1), width=2, heads=1))


def tiny_checkpoint(config: CLIPConfig = TINY, *, preprocess: Preprocess | None = None, seed: int = 0) -> Checkpoint:
    """A checkpoint in memory, float32, every tensor drawn from its name."""
    arrays = seeded.seeded_tensors(tensor_shapes(config), seed)
    return Checkpoint(
        config=config,
        tensors={name: torch.from_numpy(array) for name, array in arrays.items()},
        preprocess=preprocess or Preprocess(size=config.vision.image_size),
        source="a tiny checkpoint",
        format="diptych",
    )


def tiny_folder(folder: Path, format: Format = "diptych", config: CLIPConfig = TINY) -> Path:
    """A tiny checkpoint as a folder of one of the formats that are written."""
    save_checkpoint(tiny_checkpoint(config), folder, format)
    return folder


def tiny_classifier_folder(folder: Path) -> Path:
    """One with CLIP's vocabulary, so that it can be shown words: 800,000 numbers."""
    return tiny_folder(folder, config=replace(TINY, text=replace(TINY.text, vocab_size=seeded.VOCAB_SIZE)))


def stored_tensors(folder: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Name -> dtype, shape and bytes of the tensors in a folder's safetensors, read by the format's own library."""
    (path,) = folder.glob("*.safetensors")
    tensors = safetensors.torch.load_file(path)
    return {
        name: (
            str(tensor.dtype),
            tuple(tensor.shape),
            tensor.reshape(-1).contiguous().view(torch.uint8).numpy().tobytes(),
        )
        for name, tensor in tensors.items()
    }


def edit_json(path: Path, **changes: Any) -> None:  # noqa: ANN401
    """Change values at the top of a JSON file; a value of `...` takes the key out."""
    content = {**json.loads(path.read_text()), **changes}
    path.write_text(json.dumps({key: value for key, value in content.items() if value is not ...}))


def write_word_tokenizer(path: Path) -> Path:
    """A tokenizer.json of sixty words, of which 0 and 1 start and end a text."""
    words = {
        "<s>": 0,
        "</s>": 1,
        "<unk>": 2,
        **{word: 3 + i for i, word in enumerate(("a", "photo", "of", "dog", "cat", "."))},
    }
    words |= {f"word{i}": i for i in range(len(words), 60)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="<s> $A </s>", special_tokens=[("<s>", 0), ("</s>", 1)]
    )
    tokenizer.save(str(path))
    return path
