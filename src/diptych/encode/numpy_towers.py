"""CLIP in plain numpy: both transformer towers, from pixels and token ids to vectors. The page to read first.

It needs no torch, so a command line answers before torch would have been imported; and it is a second, independent
forward pass that the torch model is checked against.
"""

from typing import Any

import numpy as np

from diptych.encode.encoder import Array
from diptych.model.config import TextConfig, ViTConfig

Tokens = np.ndarray[Any, np.dtype[np.int64]]
Weights = dict[str, Array]


def encode_images(pixels: Array, weights: Weights, config: ViTConfig, activation: str) -> Array:
    """(B, 3, H, W) normalised pixels to (B, E), not unit length."""
    patch, (rows, columns) = config.patch_size, config.grid
    pixels = pixels[:, :, : rows * patch, : columns * patch].reshape(-1, 3, rows, patch, columns, patch)
    patches = pixels.transpose(0, 2, 4, 1, 3, 5).reshape(-1, rows * columns, 3 * patch * patch)
    x = patches @ weights["visual.conv1.weight"].reshape(config.width, -1).T  # (B, rows * columns, D)
    class_token = np.broadcast_to(weights["visual.class_embedding"], (len(x), 1, config.width))
    x = np.concatenate([class_token, x], axis=1) + weights["visual.positional_embedding"]
    x = layer_norm(x, weights, "visual.ln_pre")
    x = transformer(x, weights, "visual.transformer", config, activation, is_causal=False)
    return layer_norm(x[:, 0], weights, "visual.ln_post") @ weights["visual.proj"]


def encode_texts(tokens: Tokens, ends: Tokens, weights: Weights, config: TextConfig, activation: str) -> Array:
    """(B, L) token ids and the (B,) positions of their end tokens, to (B, E), not unit length."""
    x = weights["text.token_embedding.weight"][tokens] + weights["text.positional_embedding"][: tokens.shape[1]]
    x = transformer(x, weights, "text.transformer", config, activation, is_causal=True)
    return layer_norm(x[np.arange(len(x)), ends], weights, "text.ln_final") @ weights["text.text_projection"]


def transformer(
    x: Array, weights: Weights, name: str, config: ViTConfig | TextConfig, activation: str, *, is_causal: bool
) -> Array:
    """(B, L, D) to (B, L, D): layers of attention and an MLP, each normalised before and added to what came in."""
    for layer in range(config.layers):
        block = f"{name}.resblocks.{layer}"
        x = x + attention(layer_norm(x, weights, f"{block}.ln_1"), weights, f"{block}.attn", config.heads, is_causal)
        hidden = linear(layer_norm(x, weights, f"{block}.ln_2"), weights, f"{block}.mlp.c_fc")
        x = x + linear(activate(hidden, activation), weights, f"{block}.mlp.c_proj")
    return x


def attention(x: Array, weights: Weights, name: str, heads: int, is_causal: bool) -> Array:
    """(B, L, D) to (B, L, D): each token gathers the values of those whose keys its query matches, head by head."""
    queries, keys, values = (
        linear(x, weights, f"{name}.{projection}") for projection in ("q_proj", "k_proj", "v_proj")
    )
    return linear(attend(queries, keys, values, heads, is_causal), weights, f"{name}.out_proj")


def attend(queries: Array, keys: Array, values: Array, heads: int, is_causal: bool) -> Array:
    """Scaled dot-product attention of (B, L, D) rows, the heads side by side in D."""
    q, k, v = (  # each (B, H, L, D/H)
        rows.reshape(*rows.shape[:2], heads, -1).transpose(0, 2, 1, 3) for rows in (queries, keys, values)
    )
    scores = q @ k.transpose(0, 1, 3, 2) * np.float32(q.shape[-1] ** -0.5)  # (B, H, L, L)
    if is_causal:
        scores += np.triu(np.full(scores.shape[-2:], -np.inf, dtype=np.float32), k=1)
    return (softmax(scores) @ v).transpose(0, 2, 1, 3).reshape(queries.shape)


def linear(x: Array, weights: Weights, name: str) -> Array:
    """x W^T + b, for all leading axes in one product."""
    y = x.reshape(-1, x.shape[-1]) @ weights[f"{name}.weight"].T + weights[f"{name}.bias"]
    return y.reshape(*x.shape[:-1], -1)


def layer_norm(x: Array, weights: Weights, name: str) -> Array:
    """Mean 0 and variance 1 along the last axis, then a gain and a bias."""
    x = x - x.mean(axis=-1, keepdims=True)
    x = x / np.sqrt((x * x).mean(axis=-1, keepdims=True) + np.float32(1e-5))
    return x * weights[f"{name}.weight"] + weights[f"{name}.bias"]


def softmax(scores: Array) -> Array:
    """Positive, and 1 in sum along the last axis."""
    e = np.exp(scores - scores.max(axis=-1, keepdims=True))
    return e / e.sum(axis=-1, keepdims=True)


def activate(x: Array, activation: str) -> Array:
    """QuickGELU x sigmoid(1.702 x), or GELU x Phi(x)."""
    if activation == "quick_gelu":
        with np.errstate(over="ignore"):  # exp(large) is inf and x / inf is the 0 that is wanted
            return x / (1 + np.exp(np.float32(-1.702) * x))
    return x * np.float32(0.5) * (1 + erf(x * np.float32(0.5**0.5)))


def erf(x: Array) -> Array:
    """The error function to 1.5e-7 (Abramowitz and Stegun 7.1.26); numpy has none."""
    t = 1 / (1 + np.float32(0.3275911) * np.abs(x))
    series = np.zeros_like(t)
    for coefficient in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(coefficient)) * t
    return np.sign(x) * (1 - series * np.exp(-x * x))
