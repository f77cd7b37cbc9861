"""Tensors out of OpenAI's TorchScript archives without running the code that is stored in them.

Such a file is a zip: `NAME/data.pkl` pickles a tree of modules whose tensors name the records `NAME/data/0`, `1`, ...
The unpickler here knows four things (a module to hang tensors on, an ordered dict, a storage type, and how a tensor
views a storage) and refuses all else.
"""

import pickle
import struct
import zipfile
import zlib
from collections import OrderedDict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diptych.checkpoints.checkpoint import Tensors
from diptych.errors import CheckpointError

if TYPE_CHECKING:
    import torch


# What reading a file with wrong bytes in it may raise (RecursionError is a RuntimeError, UnicodeError a ValueError).
DAMAGE = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    OSError,
    RuntimeError,
    TypeError,
    ValueError,
    struct.error,
    zipfile.BadZipFile,
    zlib.error,
)


def is_torchscript(path: Path) -> bool:
    """Whether the file is a zip with the code of a scripted module in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except DAMAGE:
        return False


def read_torchscript(path: Path) -> Tensors:
    """Name -> tensor, mapped from the file; names as in the module's state dict."""
    try:
        with zipfile.ZipFile(path) as archive:
            records = {info.filename: info for info in archive.infolist()}
            pickled = next((name for name in records if name.endswith("/data.pkl")), "data.pkl")
            root = pickled.removesuffix("data.pkl")
            with archive.open(pickled) as stream:
                module = _ModuleUnpickler(stream, path, root, records).load()
        tensors = dict(_named_tensors(module, ""))
    except pickle.UnpicklingError as error:
        raise CheckpointError(f"{path} holds more than tensors and was not loaded: {error}.") from error
    except DAMAGE as error:
        raise CheckpointError(
            f"{path} is not a whole TorchScript archive ({type(error).__name__}: {error}): fetch it again."
        ) from error
    if not tensors:
        raise CheckpointError(f"{path} is a TorchScript archive without tensors.")
    return tensors


class _Module:
    """Stands for a scripted module: whatever the pickle sets on it stays in its `__dict__`, unused but for tensors."""


class _Storage:
    """A type such as HalfStorage, by the name of its dtype."""

    def __init__(self, dtype: str) -> None:
        self.dtype = dtype


_DTYPES = {
    "FloatStorage": "float32",
    "HalfStorage": "float16",
    "BFloat16Storage": "bfloat16",
    "DoubleStorage": "float64",
    "LongStorage": "int64",
    "IntStorage": "int32",
    "ByteStorage": "uint8",
    "BoolStorage": "bool",
}


class _ModuleUnpickler(pickle.Unpickler):
    def __init__(self, stream: Any, path: Path, root: str, records: dict[str, zipfile.ZipInfo]) -> None:  # noqa: ANN401
        super().__init__(stream)
        self.path, self.root, self.records = path, root, records
        self.module = type("Module", (_Module,), {})  # a pickle can set attributes of classes that it is given

    def find_class(self, module: str, name: str) -> Any:  # noqa: ANN401 (what pickle looks up may be anything)
        if module.startswith("__torch__"):
            return self.module
        if module == "torch" and name in _DTYPES:
            return _Storage(_DTYPES[name])
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("torch._utils", "_rebuild_parameter"):
            return _parameter
        if (module, name) == ("collections", "OrderedDict"):
            return OrderedDict
        raise pickle.UnpicklingError(f"it asks for {module}.{name}")

    def persistent_load(self, pid: Any) -> "torch.Tensor":  # noqa: ANN401
        kind, storage, key, _location, count = pid
        if kind != "storage" or not isinstance(storage, _Storage):
            raise pickle.UnpicklingError(f"it asks for {kind!r}")
        return _map_record(self.path, self.records[f"{self.root}data/{key}"], storage.dtype, int(count))


def _map_record(path: Path, record: zipfile.ZipInfo, dtype: str, count: int) -> "torch.Tensor":
    import numpy as np
    import torch

    element = getattr(torch, dtype)
    if record.compress_type != zipfile.ZIP_STORED or count * element.itemsize > record.file_size:
        raise ValueError(f"record {record.filename} is compressed or cut short")
    with path.open("rb") as file:  # the local header's two variable fields lie between it and the data
        file.seek(record.header_offset + 26)
        lengths = file.read(4)
    name_length, extra_length = int.from_bytes(lengths[:2], "little"), int.from_bytes(lengths[2:], "little")
    if count == 0:
        return torch.empty(0, dtype=element)
    offset = record.header_offset + 30 + name_length + extra_length
    # Copy on write: torch wants memory that it may write to, and the file must not change.
    mapped: np.ndarray = np.memmap(path, np.uint8, mode="c", offset=offset, shape=(count * element.itemsize,))
    return torch.from_numpy(mapped).view(element)


def _tensor(storage: Any, offset: int, size: Any, stride: Any, *_: Any) -> "torch.Tensor":  # noqa: ANN401
    tensor: torch.Tensor = storage.as_strided(tuple(size), tuple(stride), offset)
    return tensor


def _parameter(tensor: Any, *_: Any) -> Any:  # noqa: ANN401
    return tensor


def _named_tensors(module: object, prefix: str) -> list[tuple[str, Any]]:
    import torch

    found: list[tuple[str, Any]] = []
    for name, value in vars(module).items() if isinstance(module, _Module) else ():
        if isinstance(value, torch.Tensor):
            found.append((prefix + name, value))
        elif isinstance(value, _Module):
            found += _named_tensors(value, f"{prefix}{name}.")
    return found
