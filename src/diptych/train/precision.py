"""In which numbers the towers compute; weights, gradients and the loss are float32 whatever it is."""

import torch

from diptych.encode.devices import resolve_dtype
from diptych.train.config import Precision

_DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}


def resolve_precision(precision: Precision, device: torch.device) -> torch.dtype:
    """`auto`: bfloat16 where the device computes it, else float16 on a CUDA device, else float32."""
    if precision == "auto":
        return torch.float32 if device.type == "mps" else resolve_dtype("auto", device)
    if precision == "fp16" and device.type != "cuda":
        raise ValueError(f"train.precision = 'fp16' needs a CUDA device, got {device.type}: use bf16 or fp32.")
    return _DTYPES[precision]


def autocast(precision: torch.dtype, device: torch.device) -> torch.autocast:
    """A block whose matrix products are in `precision`."""
    return torch.autocast(device.type, dtype=precision, enabled=precision != torch.float32)


def make_scaler(precision: torch.dtype, device: torch.device) -> torch.amp.GradScaler:
    """Scales the loss so that float16 gradients do not vanish; does nothing in any other precision."""
    return torch.amp.GradScaler(device.type, enabled=precision == torch.float16)
