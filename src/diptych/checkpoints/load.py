"""A name, a path or a hub id to a Checkpoint: the one way in, for Python and for every verb."""

import os
import re
import warnings
from dataclasses import replace
from pathlib import Path

from diptych.checkpoints import hub, huggingface, native, open_clip, openai
from diptych.checkpoints.checkpoint import (
    Checkpoint,
    Tensors,
    all_presets,
    canonical,
    closest_preset,
    matching_presets,
    resized,
)
from diptych.checkpoints.open_clip_tags import OPEN_CLIP_TAGS
from diptych.checkpoints.postcard import POSTCARD, load_postcard
from diptych.checkpoints.reading import Framework, find_weights, read_json, read_tensors
from diptych.errors import CheckpointError
from diptych.model.config import ACTIVATIONS, Activation, CLIPConfig
from diptych.model.presets import OPENAI_PRESETS, PRESETS
from diptych.preprocess import Preprocess

_WEIGHT_SUFFIXES = (".pt", ".pth", ".bin", ".safetensors", ".ckpt")
# Where a folder has both, OpenCLIP's comes first: `model.safetensors` may then be one tower for another library.
_WEIGHTS_BESIDE = {open_clip.CONFIG_NAME: open_clip.WEIGHTS_NAME, "config.json": "model.safetensors"}


def load_checkpoint(
    name: str | Path | None,
    *,
    revision: str | None = None,
    preset: str | CLIPConfig | None = None,
    activation: Activation | None = None,
    image_size: int | tuple[int, int] | None = None,
    framework: Framework = "torch",
) -> Checkpoint:
    """Find and read weights: a path, "postcard", one of OpenAI's names, OpenCLIP's `preset:tag`, a hub id `org/repo`.

    None is postcard, the model in the package, whatever the working folder has under that name.

    `preset` (a name or a config) and `activation` say what a bare state dict leaves open. `image_size`, in pixels,
    (height, width) or one number for both, resizes the position embeddings. `framework="numpy"` reads safetensors
    without torch. Raises CheckpointError in one line for whatever cannot be found, read or fitted.
    """
    if activation is not None and activation not in ACTIVATIONS:
        raise ValueError(f"activation must be one of {', '.join(ACTIVATIONS)}, got {activation!r}.")
    size = None if image_size is None else _height_and_width(image_size)
    config = _preset_config(preset, activation)
    if name is None and revision is not None:
        raise ValueError(f"revision goes with a hub id; {POSTCARD} has none.")
    checkpoint = load_postcard(framework) if name is None else _find(str(name), revision, config, activation, framework)
    if config is not None and canonical(checkpoint.config) != canonical(config):
        given = preset if isinstance(preset, str) else "given"
        raise CheckpointError(
            f"{checkpoint.source} says of itself that it is another model than preset {given}: leave preset out."
        )
    if activation is not None and activation != checkpoint.config.activation:
        checkpoint = _override_activation(checkpoint, activation)
    if size is None:
        return checkpoint
    try:
        return resized(checkpoint, size)
    except ValueError as error:
        raise CheckpointError(f"image_size {image_size} does not suit {checkpoint.source}: {error}") from error


def _height_and_width(image_size: int | tuple[int, int]) -> tuple[int, int]:
    size = tuple(image_size) if isinstance(image_size, tuple | list) else (image_size, image_size)
    if len(size) != 2 or not all(isinstance(side, int) for side in size):
        raise ValueError(f"image_size must be a number of pixels, or (height, width), got {image_size!r}.")
    return size


def _preset_config(preset: str | CLIPConfig | None, activation: Activation | None) -> CLIPConfig | None:
    if preset is None or isinstance(preset, CLIPConfig):
        return preset
    presets = all_presets()
    if preset not in presets:
        raise CheckpointError(f"There is no preset {preset!r}; presets: {', '.join(presets)}.")
    if preset in PRESETS and preset in OPENAI_PRESETS and activation is None:
        raise CheckpointError(
            f"Preset {preset} is OpenAI's with QuickGELU and OpenCLIP's with GELU: "
            f"say preset='{preset}-quickgelu', or add activation='gelu'."
        )
    return replace(presets[preset], activation=activation) if activation else presets[preset]


def _find(
    name: str, revision: str | None, config: CLIPConfig | None, activation: Activation | None, framework: Framework
) -> Checkpoint:
    if not name:
        raise CheckpointError("The model's name is empty: is a variable unset?")
    name = name.removeprefix("hf-hub:")  # OpenCLIP's spelling
    path = Path(os.path.expanduser(name))  # noqa: PTH111 (the method raises where "~x" is a file and no user)
    has_none = _exists(path) or name == POSTCARD or name in OPENAI_PRESETS or _split_tag(name)
    if revision is not None and has_none:
        raise ValueError(f"revision goes with a hub id; {name} has none.")
    if _exists(path):
        if path.is_file() and hub.is_altered_openai_file(path):
            raise CheckpointError(
                f"{path} has the name of OpenAI's file but not its SHA-256: it is damaged or not theirs. "
                "Fetch it again, or rename it if it is meant to differ."
            )
        return load_path(path, config=config, activation=activation, framework=framework)
    if name == POSTCARD:
        return load_postcard(framework)
    if name in OPENAI_PRESETS:
        return replace(load_path(hub.openai_file(name), framework=framework), source=name)
    if tagged := _split_tag(name):
        return _load_tag(*tagged, framework)
    if name in PRESETS:
        tags = ", ".join(f"{name}:{tag}" for tag in OPEN_CLIP_TAGS.get(name.removesuffix("-quickgelu"), {}))
        raise CheckpointError(f"{name} is an architecture without weights; published weights: {tags or 'none'}.")
    if (
        name.endswith(_WEIGHT_SUFFIXES)
        or name.startswith(("/", ".", "~"))
        or not re.fullmatch(r"[^/\s]+/[^/\s]+", name)
    ):
        raise CheckpointError(
            f"There is no file or folder {name!r}, and it names no model: give a path, {POSTCARD}, one of OpenAI's "
            f"({', '.join(OPENAI_PRESETS)}), OpenCLIP's preset:tag (ViT-B-32:laion2b_s34b_b79k), or a hub id org/repo."
        )
    folder = hub.hub_files(name, revision=revision)
    return replace(load_path(folder, config=config, activation=activation, framework=framework), source=name)


def _exists(path: Path) -> bool:
    try:
        return path.exists()
    except OSError as error:  # a name too long, a folder that may not be entered
        raise CheckpointError(f"{str(path)[:80]!r} cannot be opened: {error.strerror}.") from error


def _split_tag(name: str) -> tuple[str, str] | None:
    """`preset:tag`, or `preset/tag` where the left side is a preset."""
    named, _, tag = name.partition(":") if ":" in name else name.partition("/")
    preset = named.removesuffix("-quickgelu")
    if not tag or preset not in OPEN_CLIP_TAGS:
        return None
    if tag not in OPEN_CLIP_TAGS[preset]:
        raise CheckpointError(f"{preset} has no tag {tag!r}; it has {', '.join(OPEN_CLIP_TAGS[preset])}.")
    if named != preset and not OPEN_CLIP_TAGS[preset][tag].quick_gelu:
        raise CheckpointError(f"{preset}:{tag} was trained with gelu, not quick_gelu: ask for {preset}:{tag}.")
    return preset, tag


def _load_tag(preset: str, tag: str, framework: Framework) -> Checkpoint:
    """OpenCLIP's published weights; the table knows their activation and preprocessing, which bare files do not."""
    pretrained = OPEN_CLIP_TAGS[preset][tag]
    config = replace(PRESETS[preset], activation="quick_gelu" if pretrained.quick_gelu else "gelu")
    path = hub.tag_files(pretrained)
    preprocess = Preprocess(
        size=config.vision.image_size,
        mean=pretrained.mean,
        std=pretrained.std,
        interpolation=pretrained.interpolation,
        resize_mode=pretrained.resize_mode,
    )
    if path.is_dir():
        checkpoint = load_path(path, framework=framework)
        checkpoint = replace(checkpoint, config=replace(checkpoint.config, activation=config.activation))
    else:
        checkpoint = load_path(path, config=config, framework=framework)
    return replace(checkpoint, source=f"{preset}:{tag}", preprocess=preprocess)


def load_path(
    path: Path,
    *,
    config: CLIPConfig | None = None,
    activation: Activation | None = None,
    framework: Framework = "torch",
) -> Checkpoint:
    """A file or a folder on disk; `config` and `activation` matter for bare state dicts only."""
    if path.is_dir():
        return _load_folder(path, framework)
    for config_name, weights_name in _WEIGHTS_BESIDE.items():  # the file of a folder that says what it holds
        if (path.parent / config_name).is_file() and find_weights(path.parent, weights_name) == path:
            return _load_described(path.parent, config_name, framework)
    return _load_file(path, config, activation, framework)


def _load_folder(folder: Path, framework: Framework) -> Checkpoint:
    described = [name for name in _WEIGHTS_BESIDE if (folder / name).is_file()]
    with_weights = [name for name in described if find_weights(folder, _WEIGHTS_BESIDE[name]) is not None]
    for config_name in with_weights or described:
        return _load_described(folder, config_name, framework)
    raise CheckpointError(
        f"{folder} is not a model folder: it has neither config.json (Diptych, Hugging Face) nor "
        f"{open_clip.CONFIG_NAME} (OpenCLIP). For a bare weights file, give the file itself and preset=."
    )


def _load_described(folder: Path, config_name: str, framework: Framework) -> Checkpoint:
    if config_name == open_clip.CONFIG_NAME:
        return open_clip.load_open_clip(folder, framework)
    if native.is_native(read_json(folder / config_name)):
        return native.load_native(folder, framework)
    return huggingface.load_huggingface(folder, framework)


def _load_file(
    path: Path, config: CLIPConfig | None, activation: Activation | None, framework: Framework
) -> Checkpoint:
    tensors = read_tensors(path, framework)
    source = str(path)
    is_openai_file = "input_resolution" in tensors  # which no other writer puts beside the weights
    if huggingface.is_huggingface(tensors):
        ours = huggingface.from_huggingface(tensors, source)
    else:
        ours = openai.from_openai(tensors, source)
    if is_openai_file:
        config = openai.config_from_shapes(ours, source)  # and not as told: heads and activation are known
    elif config is None:
        config = _told_config(ours, source, activation)
    return Checkpoint(
        config=config,
        tensors=ours,
        preprocess=Preprocess(size=config.vision.image_size),
        source=source,
        format="openai" if is_openai_file else "state dict",
    )


def _told_config(tensors: Tensors, source: str, activation: Activation | None) -> CLIPConfig:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    matches = matching_presets(shapes)
    if not matches:
        raise CheckpointError(
            f"{source} is a bare state dict of no known preset, so its heads and activation must be told: give preset= "
            f"a preset's name or a CLIPConfig. Closest preset: {closest_preset(shapes)}."
        )
    chosen = [name for name in matches if PRESETS[name].activation == activation]
    if not chosen:
        raise CheckpointError(
            f"{source} is a bare state dict that fits {' and '.join(matches)}, and cannot say which activation it was "
            f"trained with: give preset='{matches[0]}' (GELU) or preset='{matches[-1]}' (all of OpenAI's weights)."
        )
    return PRESETS[chosen[0]]


def _override_activation(checkpoint: Checkpoint, activation: Activation) -> Checkpoint:
    trained = checkpoint.config.activation
    if checkpoint.format == "openai" or checkpoint.source.partition(":")[0] in OPEN_CLIP_TAGS:
        raise CheckpointError(
            f"{checkpoint.source} was trained with {trained}, not {activation}: leave activation out."
        )
    warnings.warn(
        f"{checkpoint.source} says it was trained with {trained}; with {activation}, as asked for, features change "
        "and accuracy drops unless its config is wrong.",
        stacklevel=4,
    )
    return replace(checkpoint, config=replace(checkpoint.config, activation=activation))
