"""Named tensors out of a file of any kind, and nothing else: no code of a file is ever run."""

import json
import mmap
import pickle
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from diptych.checkpoints.checkpoint import Tensors
from diptych.checkpoints.torchscript import DAMAGE, is_torchscript, read_torchscript
from diptych.errors import CheckpointError, TorchNeededError

if TYPE_CHECKING:
    import numpy as np

Framework = Literal["torch", "numpy"]

_AS_BIN = {"model.safetensors": "pytorch_model.bin", "open_clip_model.safetensors": "open_clip_pytorch_model.bin"}

# Where training scripts put the weights inside a saved checkpoint.
_NESTS = ("state_dict", "model_state_dict", "model")


def read_tensors(path: Path, framework: Framework = "torch") -> Tensors:
    """Name -> tensor of a safetensors file, a `torch.save` file or a TorchScript archive, mapped where it can be.

    `framework="numpy"` needs no torch and reads safetensors only, bfloat16 as float32.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file.")
    if path.suffix == ".safetensors":
        return _read_safetensors_numpy(path) if framework == "numpy" else _read_safetensors(path)
    if framework == "numpy":
        raise TorchNeededError(f"{path} is not a safetensors file, and without torch no other kind can be read.")
    return read_torchscript(path) if is_torchscript(path) else _read_torch(path)


def read_weights_of(folder: Path, name: str, framework: Framework) -> Tensors:
    """The weights `name` of a folder, in one file or in shards (`name`.index.json), as safetensors or else as .bin."""
    path = find_weights(folder, name)
    if path is None:
        raise CheckpointError(f"{folder} has no weights: neither {name} nor {_AS_BIN[name]} is there.")
    return _read_shards(folder, path.name, framework) if path.suffix == ".json" else read_tensors(path, framework)


def find_weights(folder: Path, name: str) -> Path | None:
    """The file, or the index of shards, that `read_weights_of` reads."""
    names = (f"{stem}{end}" for stem in (name, _AS_BIN[name]) for end in ("", ".index.json"))
    return next((folder / each for each in names if (folder / each).is_file()), None)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file; CheckpointError if it is anything else."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} should hold a JSON object, got a {type(content).__name__}.")
    return content


def _read_shards(folder: Path, index: str, framework: Framework) -> Tensors:
    shard_of = read_json(folder / index).get("weight_map")
    if not isinstance(shard_of, dict):
        raise CheckpointError(f"{folder / index} has no weight_map.")
    tensors: Tensors = {}
    for shard in sorted({str(name) for name in shard_of.values()}):
        if Path(shard).name != shard:
            raise CheckpointError(f"{folder / index} names a shard outside its folder: {shard}.")
        if not (folder / shard).is_file():
            raise CheckpointError(f"{folder / shard} is missing: {index} names it. Fetch the shard and load again.")
        tensors |= read_tensors(folder / shard, framework)
    return tensors


def _read_safetensors(path: Path) -> Tensors:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        return dict(load_file(path))
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is not a whole safetensors file: {error}.") from error


def _read_safetensors_numpy(path: Path) -> Tensors:
    """As the safetensors package does, but mapped and not copied (0.25 s less for ViT-B/32), and with bfloat16."""
    with path.open("rb") as file:
        try:
            mapped = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_COPY)
            start = 8 + int.from_bytes(mapped[:8], "little")
            header = json.loads(mapped[8:start])
            header.pop("__metadata__", None)
            return {name: _numpy_array(mapped, start, entry) for name, entry in header.items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, OverflowError, RecursionError) as error:
            raise CheckpointError(f"{path} is not a whole safetensors file: {error}.") from error


def _numpy_array(mapped: mmap.mmap, start: int, entry: dict[str, Any]) -> "np.ndarray":
    import numpy as np

    dtypes = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "BF16": "<u2", "I64": "<i8", "I32": "<i4", "U8": "u1"}
    begin, end = entry["data_offsets"]
    if entry["dtype"] not in dtypes:
        raise TorchNeededError(f"numpy has no type for a tensor of {entry['dtype']}.")
    dtype = np.dtype(dtypes[entry["dtype"]])
    if not 0 <= begin <= end <= len(mapped) - start or (end - begin) % dtype.itemsize:
        raise ValueError("a tensor lies outside the file")
    array = np.frombuffer(mapped, dtype, count=(end - begin) // dtype.itemsize, offset=start + begin)
    if entry["dtype"] == "BF16":  # the upper half of a float32
        array = (array.astype(np.uint32) << 16).view(np.float32)
    return array.reshape(entry["shape"])


def _can_be_mapped(path: Path) -> bool:
    """Whether the records lie in the file as they are: torch would take compressed ones for tensors."""
    if not zipfile.is_zipfile(path):
        return False
    with zipfile.ZipFile(path) as archive:
        return all(record.compress_type == zipfile.ZIP_STORED for record in archive.infolist())


def _read_torch(path: Path) -> Tensors:
    import torch

    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=_can_be_mapped(path))
    except pickle.UnpicklingError as error:
        # Torch's own text is long and advises to load it all the same.
        if wanted := re.search(r"GLOBAL (\S+)", str(error)):
            raise CheckpointError(
                f"{path} was not loaded: it holds more than tensors, a {wanted[1]}, and loading that could run code. "
                "Save the state dict alone, with torch.save or as safetensors."
            ) from error
        raise CheckpointError(f"{path} is damaged, or is no checkpoint of torch's: fetch or save it again.") from error
    except DAMAGE as error:
        # Of torch's text the first sentence is for users; what stands in brackets before it is not.
        reason = re.sub(r"^\[.*?\]\W*", "", str(error)).split("\n")[0].split(". ")[0][:160]
        what = f"{type(error).__name__}: {reason}".removesuffix(": ")
        raise CheckpointError(
            f"{path} is not a whole checkpoint of torch's ({what}): fetch or save it again."
        ) from error
    return _state_dict(content, path)


def _state_dict(content: object, path: Path) -> Tensors:
    import torch

    for _ in range(len(_NESTS)):
        nest = next((n for n in _NESTS if isinstance(content, dict) and isinstance(content.get(n), dict)), None)
        content = content[nest] if isinstance(content, dict) and nest else content
    if not isinstance(content, dict):
        raise CheckpointError(f"{path} holds a {type(content).__name__}, not named tensors.")
    tensors = {str(name): value for name, value in content.items() if isinstance(value, torch.Tensor)}
    if not tensors:
        raise CheckpointError(f"{path} holds no named tensors; its keys are {', '.join(map(str, content))[:120]}.")
    return tensors
