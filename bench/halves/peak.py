"""What this machine's matrix products reach at best, in GFLOP/s, on all cores: the yardstick of all shares of peak."""

import time
from collections.abc import Callable
from typing import Any

import torch
from serve import serve

SIZE, TRIES = 2048, 12


def best_gflops(product: Callable[[], object]) -> float:
    product()
    seconds = []
    for _ in range(TRIES):
        start = time.perf_counter()
        product()
        seconds.append(time.perf_counter() - start)
    return 2 * SIZE**3 / min(seconds) / 1e9


@torch.inference_mode()
def measure(_: dict[str, Any]) -> dict[str, Any]:
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
