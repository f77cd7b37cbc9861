"""Diptych's own folder: config.json (model, preprocessing, training), model.safetensors, a tokenizer if not CLIP's."""

from pathlib import Path
from typing import Any

from diptych import __version__
from diptych.checkpoints.checkpoint import Checkpoint
from diptych.checkpoints.reading import Framework, read_json, read_weights_of
from diptych.errors import CheckpointError
from diptych.model.config import CLIPConfig
from diptych.preprocess import Preprocess
from diptych.settings import from_dict, to_dict

FORMAT_VERSION = 1


def is_native(config: dict[str, Any]) -> bool:
    """Whether this is the content of our config.json."""
    return config.get("format") == "diptych"


def load_native(folder: Path, framework: Framework) -> Checkpoint:
    """A folder that Diptych wrote."""
    path = folder / "config.json"
    content = read_json(path)
    if content.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path} is of format version {content.get('format_version')}, "
            f"and Diptych {__version__} reads version {FORMAT_VERSION}."
        )
    try:
        config = from_dict(CLIPConfig, content["model"], where="model")
        preprocess = from_dict(Preprocess, content["preprocess"], where="preprocess")
    except KeyError as error:
        raise CheckpointError(f"{path} has no {error}.") from error
    except ValueError as error:
        raise CheckpointError(f"{path}: {error}") from error
    return Checkpoint(
        config=config,
        tensors=read_weights_of(folder, "model.safetensors", framework),
        preprocess=preprocess,
        source=str(folder),
        format="diptych",
        tokenizer=folder,
        training=content.get("training"),
    )


def native_config(checkpoint: Checkpoint) -> dict[str, Any]:
    """The content of our config.json."""
    return {
        "format": "diptych",
        "format_version": FORMAT_VERSION,
        "diptych_version": __version__,
        "model": to_dict(checkpoint.config),
        "preprocess": to_dict(checkpoint.preprocess),
        "training": checkpoint.training,
    }
