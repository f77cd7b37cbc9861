"""What this machine's matrix products reach at best, in GFLOP/s, on all cores: the yardstick of all shares of peak.

Requests: {}, or {"device": "cuda"} for what its GPU reaches.
"""

import time
from collections.abc import Callable
from typing import Any

import torch

from serve import serve

SIZE, SIZE_ON_GPU, TRIES = 2048, 8192, 12


def best_gflops(product: Callable[[], object], size: int = SIZE) -> float:
    product()
    seconds = []
    for _ in range(TRIES):
        start = time.perf_counter()
        product()
        seconds.append(time.perf_counter() - start)
    return 2 * size**3 / min(seconds) / 1e9


@torch.inference_mode()
def measure(request: dict[str, Any]) -> dict[str, Any]:
    return measure_gpu() if request.get("device") == "cuda" else measure_cpu()


def measure_gpu() -> dict[str, Any]:
    """float32 with and without TF32, which open_clip trains with, and bfloat16."""
    a = torch.randn(SIZE_ON_GPU, SIZE_ON_GPU, device="cuda")
    a16 = a.bfloat16()
    found = {"bfloat16 torch.mm": _on_gpu(a16)}
    for name, is_allowed in (("float32 torch.mm", False), ("float32 torch.mm in TF32", True)):
        torch.backends.cuda.matmul.allow_tf32 = is_allowed
        found[name] = _on_gpu(a)
    return found


def _on_gpu(a: torch.Tensor) -> float:
    def product() -> None:
        torch.mm(a, a)
        torch.cuda.synchronize()

    return best_gflops(product, SIZE_ON_GPU)


def measure_cpu() -> dict[str, Any]:
    """float32 by what torch.mm calls (MKL, where torch was built with it) and by oneDNN, bfloat16 by torch.mm."""
    a, b = torch.randn(SIZE, SIZE), torch.randn(SIZE, SIZE)
    a16, b16 = a.bfloat16(), b.bfloat16()
    onednn = torch.ops.mkldnn._linear_pointwise
    return {
        "float32 torch.mm": best_gflops(lambda: torch.mm(a, b)),
        "float32 oneDNN": best_gflops(lambda: onednn(a, b, None, "none", [], "")),
        "bfloat16 torch.mm": best_gflops(lambda: torch.mm(a16, b16)),
        "bfloat16 oneDNN": best_gflops(lambda: onednn(a16, b16, None, "none", [], "")),
    }


if __name__ == "__main__":
    serve(measure)
