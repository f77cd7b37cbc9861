"""A Checkpoint to a folder in one of three formats; every tensor keeps its bytes."""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Literal

from diptych.checkpoints import huggingface, native, open_clip, openai
from diptych.checkpoints.checkpoint import Checkpoint, Tensors
from diptych.errors import CheckpointError
from diptych.files import atomic_folder
from diptych.tokenizer import TOKENIZER_FILES, ClipTokenizer, huggingface_files, load_tokenizer

Format = Literal["diptych", "huggingface", "openclip"]
FORMATS: tuple[Format, ...] = ("diptych", "huggingface", "openclip")


def save_checkpoint(
    checkpoint: Checkpoint,
    folder: Path,
    format: Format = "diptych",
    *,
    overwrite: bool = False,
    documents: Mapping[str, bytes] = MappingProxyType({}),
) -> None:
    """Write a model folder, whole or not at all. `checkpoint.tensors` must be torch tensors.

    `documents` are further files by name: a model card and its pictures.
    """
    if format not in FORMATS:
        raise ValueError(f"format must be one of {', '.join(FORMATS)}, got {format!r}.")
    texts, weights, tensors = _CONTENT[format](checkpoint)
    with atomic_folder(folder, overwrite=overwrite) as building:
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        for name, text in texts.items():
            (building / name).write_text(text, encoding="utf-8")
        for name, content in documents.items():
            (building / name).write_bytes(content)
        for file in _foreign_tokenizer_files(checkpoint):
            shutil.copyfile(file, building / file.name)
        whole = {name: tensor.contiguous() for name, tensor in tensors.items()}
        try:
            save_file(whole, building / weights, metadata={"format": "pt"})
        except SafetensorError as error:  # which a full disk is, too
            raise CheckpointError(f"{folder} could not be written: {error}.") from error
        shutil.copymode(building / next(iter(texts)), building / weights)  # safetensors lets only the owner read


Content = tuple[dict[str, str], str, Tensors]


def _diptych(checkpoint: Checkpoint) -> Content:
    return {"config.json": _json(native.native_config(checkpoint))}, "model.safetensors", checkpoint.tensors


def _huggingface(checkpoint: Checkpoint) -> Content:
    texts = {name: _json(content) for name, content in huggingface.huggingface_configs(checkpoint).items()}
    if not _foreign_tokenizer_files(checkpoint):
        texts |= huggingface_files(context_length=checkpoint.config.text.context_length)
    return texts, "model.safetensors", huggingface.to_huggingface(checkpoint.tensors)


def _open_clip(checkpoint: Checkpoint) -> Content:
    texts = {open_clip.CONFIG_NAME: _json(open_clip.open_clip_config(checkpoint))}
    return texts, open_clip.WEIGHTS_NAME, openai.to_openai(checkpoint.tensors)


_CONTENT = {"diptych": _diptych, "huggingface": _huggingface, "openclip": _open_clip}


def _foreign_tokenizer_files(checkpoint: Checkpoint) -> list[Path]:
    """The files of a tokenizer that is not CLIP's, to go with the weights."""
    folder = checkpoint.tokenizer
    if folder is None or isinstance(load_tokenizer(folder), ClipTokenizer):
        return []
    return [folder / name for name in TOKENIZER_FILES if (folder / name).is_file()]


def _json(content: dict[str, Any]) -> str:
    return json.dumps(content, indent=2) + "\n"
