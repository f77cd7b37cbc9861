"""What every format is read into, and written from."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from diptych.errors import CheckpointError
from diptych.model.config import CLIPConfig
from diptych.model.presets import OPENAI_PRESETS, PRESETS
from diptych.model.shapes import Shapes, tensor_shapes
from diptych.preprocess import Preprocess
from diptych.settings import to_dict

# A torch.Tensor or a numpy array: what both can do (shape, dtype, T, slicing) is all that the key tables need.
Array = Any
Tensors = dict[str, Array]
_MOST_LOGIT_SCALE = 88.0  # its exponential still is a float32; training clamps it at ln 100


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """Weights with all that is needed to use them. `tensors` bear the names of `diptych.model.clip.CLIP`'s state dict.

    `tokenizer` is a folder whose tokenizer files are honoured if there are any, or None for CLIP's own; `source` says
    what was read, `training` is the resolved config of the run that made it.
    """

    config: CLIPConfig
    tensors: Tensors
    preprocess: Preprocess
    source: str
    format: str
    tokenizer: Path | None = None
    training: Mapping[str, Any] | None = None

    def __post_init__(self) -> None:
        check_fit(self.tensors, tensor_shapes(self.config), self.source)
        scale = float(self.tensors["logit_scale"].item())
        if not abs(scale) < _MOST_LOGIT_SCALE:
            raise CheckpointError(f"{self.source} has a logit_scale of {scale}: damaged, or its training diverged.")
        if self.preprocess.size != self.config.vision.image_size:
            raise CheckpointError(
                f"{self.source} makes images of {self.preprocess.size} pixels (height, width) for an image tower that "
                f"takes {self.config.vision.image_size}: correct the size in its preprocessing's config."
            )


def canonical(config: CLIPConfig) -> dict[str, Any]:
    """The config as plain data, equal for equal models: MLPs by their width, not a ratio that each format rounds."""
    data = to_dict(config)
    for tower in ("vision", "text"):
        if (ratio := data[tower].pop("mlp_ratio", None)) is not None:
            data[tower]["mlp_width"] = int(data[tower]["width"] * ratio)
    return data


def check_fit(tensors: Tensors, expected: Shapes, source: str) -> None:
    """Raise CheckpointError, naming the keys, where names or shapes are not those expected."""
    got: Shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    faults = [
        *_some("missing", [name for name in expected if name not in got]),
        *_some("unknown", [name for name in got if name not in expected]),
        *_some(
            "misshapen",
            [
                f"{name} {list(shape)} (expected {list(expected[name])})"
                for name, shape in got.items()
                if name in expected and shape != expected[name]
            ],
        ),
    ]
    if faults:
        presets = matching_presets(got)
        hint = (
            f"Its shapes are those of {', '.join(presets)}." if presets else f"Closest preset: {closest_preset(got)}."
        )
        raise CheckpointError(f"{source} does not fit its configuration: {'; '.join(faults)}. {hint}")


def _some(fault: str, names: list[str]) -> list[str]:
    if not names:
        return []
    shown = ", ".join(names[:4])
    rest = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return [f"{fault} {shown}{rest}"]


def all_presets() -> dict[str, CLIPConfig]:
    """Every preset by name, OpenCLIP's names and OpenAI's; where both have a name (RN50), OpenCLIP's GELU."""
    return {**OPENAI_PRESETS, **PRESETS}


def matching_presets(shapes: Shapes) -> list[str]:
    """Names of the presets whose tensors have just these names and shapes."""
    return [name for name, config in PRESETS.items() if tensor_shapes(config) == shapes]


def closest_preset(shapes: Shapes) -> str:
    """The preset that shares the most tensors, name and shape, with these."""

    def shared(name: str) -> float:
        expected = tensor_shapes(PRESETS[name])
        same = sum(shapes.get(key) == shape for key, shape in expected.items())
        return same / max(len(expected), len(shapes))

    return max(PRESETS, key=shared)


def resized(checkpoint: Checkpoint, image_size: tuple[int, int]) -> Checkpoint:
    """The same model for images of another (height, width): position embeddings interpolated."""
    if image_size == checkpoint.config.vision.image_size:
        return checkpoint
    import torch  # only where weights are changed

    from diptych.model.vision import resize_positions

    vision = replace(checkpoint.config.vision, image_size=image_size)
    tensors = dict(checkpoint.tensors)
    key = next(name for name in tensors if name.startswith("visual.") and name.endswith("positional_embedding"))
    tensors[key] = resize_positions(torch.as_tensor(tensors[key]), checkpoint.config.vision.grid, vision.grid)
    return replace(
        checkpoint,
        config=replace(checkpoint.config, vision=vision),
        tensors=tensors,
        preprocess=replace(checkpoint.preprocess, size=image_size),
    )
