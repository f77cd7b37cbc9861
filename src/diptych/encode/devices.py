"""Where to compute, and in which dtype."""

from typing import Literal

import torch

DType = Literal["auto", "float32", "bfloat16", "float16"]
_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def resolve_device(device: str) -> torch.device:
    """`auto` is a CUDA device, else Apple's, else the CPU; a device that is not there is a ValueError."""
    if device == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"There is no device {device!r}: give auto, cpu, cuda, cuda:1 or mps.") from error
    if resolved.type not in ("cpu", "cuda", "mps"):
        raise ValueError(f"Diptych computes on cpu, cuda and mps, got device {device!r}.")
    if resolved.type == "cuda" and (resolved.index or 0) >= torch.cuda.device_count():
        raise ValueError(f"Device {device!r} was asked for, but torch sees {torch.cuda.device_count()} CUDA devices.")
    if resolved.type == "mps" and not torch.backends.mps.is_available():
        raise ValueError("Device 'mps' was asked for, but torch does not find it on this machine.")
    return resolved


def resolve_dtype(dtype: DType, device: torch.device) -> torch.dtype:
    """`auto` is the fastest that the device computes natively: bfloat16 or float16 on a GPU, bfloat16 on some CPUs."""
    if dtype == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
        if device.type == "mps":
            return torch.float16
        return torch.bfloat16 if _cpu_computes_bfloat16() else torch.float32
    if dtype not in _DTYPES:
        raise ValueError(f"dtype must be auto, {', '.join(_DTYPES)}, got {dtype!r}.")
    if dtype == "float16" and device.type == "cpu":
        raise ValueError("float16 matrix products are hundreds of times slower on a CPU: use float32 or bfloat16.")
    return _DTYPES[dtype]


def _cpu_computes_bfloat16() -> bool:
    """Whether the processor multiplies bfloat16 in hardware; elsewhere torch emulates it, slower than float32."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, check)() for check in checks if hasattr(torch.cpu, check))
