"""The transformer that both towers share: pre-norm blocks of attention and an MLP (Vaswani et al. 2017)."""

import functools
from collections.abc import Iterable
from typing import cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diptych.model.config import Activation
from diptych.model.recompute import run


class Linear(nn.Linear):
    """`nn.Linear`; without gradients on a CPU, oneDNN computes it, and an activation that follows in the same pass.

    Torch's default for float32 there is MKL, which on an AMD processor runs at half of that speed (docs/benchmarks.md).
    """

    def forward(self, x: Tensor) -> Tensor:
        """(..., in_features) to (..., out_features)."""
        return linear(x, self.weight, self.bias)


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """x W^T + b: (..., in_features) to (..., out_features)."""
    return _onednn_linear(x, weight, bias) if _onednn_applies(x, weight) else F.linear(x, weight, bias)


def activated_linear(layer: nn.Module, x: Tensor, activation: Activation) -> Tensor:
    """`activate(layer(x))`, in one pass where it can be: for a `Linear` itself, not for what was put in its place."""
    if (
        type(layer) is not Linear
        or layer._forward_hooks
        or layer._forward_pre_hooks
        or not _onednn_applies(x, layer.weight)
    ):
        return activate(layer(x), activation)
    if activation == "gelu":
        return _onednn_linear(x, layer.weight, layer.bias, "gelu")
    # QuickGELU(z) is swish(1.702 z) / 1.702, and swish is what oneDNN has.
    return _onednn_linear(1.702 * x, layer.weight, 1.702 * layer.bias, "swish").mul_(1 / 1.702)


def _onednn_linear(x: Tensor, weight: Tensor, bias: Tensor | None, activation: str = "none") -> Tensor:
    return torch.ops.mkldnn._linear_pointwise(x, weight, bias, activation, [], "none" if activation == "gelu" else "")


def _onednn_applies(x: Tensor, weight: Tensor) -> bool:
    """The operator has no backward pass and knows no autocast; a compiler that traces the model chooses by itself."""
    return (
        x.device.type == "cpu"
        and x.dtype == weight.dtype
        and _onednn_computes(x.dtype)
        and not torch.is_grad_enabled()
        and not torch.is_autocast_enabled("cpu")
        and bool(torch.backends.mkldnn.enabled)
        and not torch.compiler.is_compiling()
        and not torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]
    )


@functools.cache
def _onednn_computes(dtype: torch.dtype) -> bool:
    """Whether this torch has the operator, on this processor, for this dtype."""
    if not torch.backends.mkldnn.is_available() or not hasattr(torch.ops.mkldnn, "_linear_pointwise"):  # type: ignore[no-untyped-call]
        return False
    return dtype == torch.float32 or (dtype == torch.bfloat16 and torch.ops.mkldnn._is_mkldnn_bf16_supported())


class LayerNorm(nn.LayerNorm):
    """Layer normalisation computed in fp32 whatever the dtype of its input, which it keeps (as OpenAI's does)."""

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) to (..., D)."""
        y = F.layer_norm(x.float(), self.normalized_shape, self.weight.float(), self.bias.float(), self.eps)
        return y.to(x.dtype)


def activate(x: Tensor, activation: Activation) -> Tensor:
    """GELU, or QuickGELU x * sigmoid(1.702 x), which all of OpenAI's weights were trained with."""
    if activation == "gelu":
        return F.gelu(x)
    return x * torch.sigmoid(1.702 * x)


class Attention(nn.Module):
    """Multi-head self-attention with separate query, key and value layers, so that adapters can be put on each."""

    def __init__(self, width: int, heads: int, *, is_causal: bool) -> None:
        super().__init__()
        self.heads = heads
        self.is_causal = is_causal
        self.q_proj = Linear(width, width)
        self.k_proj = Linear(width, width)
        self.v_proj = Linear(width, width)
        self.out_proj = Linear(width, width)

    def mix(self, x: Tensor) -> Tensor:
        """What each token gathers from those it may see, heads side by side, before `out_proj`: (B, L, D)."""
        queries, keys, values = self.q_proj(x), self.k_proj(x), self.v_proj(x)
        return attend(queries, keys, values, heads=self.heads, is_causal=self.is_causal)

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) to (B, L, D)."""
        return self.out_proj(self.mix(x))


def attend(queries: Tensor, keys: Tensor, values: Tensor, *, heads: int, is_causal: bool) -> Tensor:
    """Scaled dot-product attention of (B, L, D) rows, `heads` side by side in D. Causal: no token sees a later one."""
    q, k, v = (  # each (B, H, L, D/H)
        rows.view(*rows.shape[:2], heads, -1).transpose(1, 2) for rows in (queries, keys, values)
    )
    mixed = F.scaled_dot_product_attention(q, k, v, is_causal=is_causal)
    return mixed.transpose(1, 2).flatten(2)


class MLP(nn.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, width: int, hidden: int, activation: Activation) -> None:
        super().__init__()
        self.activation: Activation = activation
        self.c_fc = Linear(width, hidden)
        self.c_proj = Linear(hidden, width)

    def forward(self, x: Tensor) -> Tensor:
        """(..., D) to (..., D)."""
        return self.c_proj(activated_linear(self.c_fc, x, self.activation))


class Block(nn.Module):
    """One layer: attention, then an MLP, each added to what comes in."""

    is_recomputed = False  # see model/recompute.py

    def __init__(self, width: int, heads: int, hidden: int, activation: Activation, *, is_causal: bool) -> None:
        super().__init__()
        self.ln_1 = LayerNorm(width)
        self.attn = Attention(width, heads, is_causal=is_causal)
        self.ln_2 = LayerNorm(width)
        self.mlp = MLP(width, hidden, activation)

    def forward(self, x: Tensor, only: Tensor | None = None) -> Tensor:
        """(B, L, D) to (B, L, D); or to (B, D), the tokens at positions `only` (B,), the rest being attended to."""
        mixed = self.attn.mix(self.ln_1(x))
        if only is not None:
            rows = torch.arange(len(x), device=x.device)
            x, mixed = x[rows, only], mixed[rows, only]
        x = x + self.attn.out_proj(mixed)
        return x + self.mlp(self.ln_2(x))


class Transformer(nn.Module):
    """A stack of blocks."""

    def __init__(
        self, width: int, layers: int, heads: int, *, mlp_ratio: float, activation: Activation, is_causal: bool
    ) -> None:
        super().__init__()
        hidden = int(width * mlp_ratio)
        self.resblocks = nn.ModuleList(
            Block(width, heads, hidden, activation, is_causal=is_causal) for _ in range(layers)
        )

    def forward(self, x: Tensor) -> Tensor:
        """(B, L, D) to (B, L, D): every token."""
        for block in self.blocks:
            x = run(block, x)
        return x

    def pooled(self, x: Tensor, positions: Tensor) -> Tensor:
        """(B, L, D) to (B, D): the tokens at `positions` (B,) only, so the last block need not compute the others."""
        *blocks, last = self.blocks
        for block in blocks:
            x = run(block, x)
        return run(last, x, positions)

    @property
    def blocks(self) -> list[Block]:
        """The layers in order."""
        return list(cast("Iterable[Block]", self.resblocks))
