"""The small model that ships in the package: what is used when no other is named."""

from dataclasses import replace
from pathlib import Path

from diptych.checkpoints.checkpoint import Checkpoint
from diptych.checkpoints.native import load_native
from diptych.checkpoints.reading import Framework
from diptych.errors import CheckpointError

POSTCARD = "postcard"


def postcard_folder() -> Path:
    """Where it lies: a Diptych folder among the package's own files."""
    return Path(__file__).parents[1] / POSTCARD


def has_postcard() -> bool:
    """Whether this installation has it; a packager may have left it out."""
    return all((postcard_folder() / name).is_file() for name in ("config.json", "model.safetensors"))


def load_postcard(framework: Framework = "torch") -> Checkpoint:
    """The bundled model; CheckpointError where the installation lacks it."""
    if not has_postcard():
        raise CheckpointError(
            f"This installation of Diptych lacks its own model ({postcard_folder()} is not whole): install it again, "
            "or name another model (see `diptych models`)."
        )
    return replace(load_native(postcard_folder(), framework), source=POSTCARD)
