"""The ModifiedResNet in plain numpy (model/resnet.py has its paper): convolutions as matrix products.

Feature maps are (B, H, W, C) here, channels last: what a kernel sees of each position then lies together.
"""

from typing import NamedTuple

import numpy as np

from diptych.encode.encoder import Array
from diptych.encode.numpy_towers import Weights, attend, linear
from diptych.model.config import ResNetConfig


class Convolution(NamedTuple):
    """A kernel (k, k, C, O) and a bias (O,), with the batch norm that follows it taken into both."""

    kernel: Array
    bias: Array


Convolutions = dict[str, Convolution]


def fold_batch_norms(weights: Weights) -> Convolutions:
    """The convolutions by name: in evaluation a batch norm is a gain and a bias for each channel."""
    convolutions = {}
    for name in weights:
        if not name.endswith(".running_var"):
            continue
        norm = name.removesuffix(".running_var")
        convolution = norm.replace(".bn", ".conv").replace("downsample.1", "downsample.0")
        gain = weights[f"{norm}.weight"] / np.sqrt(weights[f"{norm}.running_var"] + np.float32(1e-5))
        kernel = weights[f"{convolution}.weight"].transpose(2, 3, 1, 0) * gain
        bias = weights[f"{norm}.bias"] - weights[f"{norm}.running_mean"] * gain
        convolutions[convolution] = Convolution(kernel, bias)
    return convolutions


def encode_images(pixels: Array, convolutions: Convolutions, weights: Weights, config: ResNetConfig) -> Array:
    """(B, 3, H, W) normalised pixels to (B, E), not unit length."""
    x = relu(convolve(pixels.transpose(0, 2, 3, 1), convolutions["visual.conv1"], stride=2))
    x = relu(convolve(x, convolutions["visual.conv2"]))
    x = average_pool(relu(convolve(x, convolutions["visual.conv3"])))  # (B, H / 4, W / 4, width)
    for stage, blocks in enumerate(config.layers, start=1):
        for block in range(blocks):
            is_strided = stage > 1 and block == 0
            x = bottleneck(x, convolutions, f"visual.layer{stage}.{block}", is_strided=is_strided)
    return attention_pool(x, weights, "visual.attnpool", config.heads)


def bottleneck(x: Array, convolutions: Convolutions, name: str, *, is_strided: bool) -> Array:
    """1x1, 3x3, 1x1 convolutions around a shortcut; a stride is an average pool."""
    y = relu(convolve(x, convolutions[f"{name}.conv1"]))
    y = relu(convolve(y, convolutions[f"{name}.conv2"]))
    y, x = (average_pool(y), average_pool(x)) if is_strided else (y, x)
    if f"{name}.downsample.0" in convolutions:
        x = convolve(x, convolutions[f"{name}.downsample.0"])
    return relu(x + convolve(y, convolutions[f"{name}.conv3"]))


def attention_pool(x: Array, weights: Weights, name: str, heads: int) -> Array:
    """(B, H, W, C) to (B, E): one attention layer whose only query is the mean of all positions."""
    x = x.reshape(len(x), -1, x.shape[-1])  # (B, H * W, C)
    x = np.concatenate([x.mean(axis=1, keepdims=True), x], axis=1) + weights[f"{name}.positional_embedding"]
    queries = linear(x[:, :1], weights, f"{name}.q_proj")
    keys, values = linear(x, weights, f"{name}.k_proj"), linear(x, weights, f"{name}.v_proj")
    return linear(attend(queries, keys, values, heads, is_causal=False)[:, 0], weights, f"{name}.c_proj")


def convolve(x: Array, convolution: Convolution, *, stride: int = 1) -> Array:
    """(B, H, W, C) to (B, H / stride, W / stride, O), rounded up: zeros are put around it, so that sides are kept."""
    height, width = x.shape[1:3]
    size, _, _, channels = convolution.kernel.shape
    if size > 1:  # beside each position those around it, in the order of the kernel's: (B, H, W, k * k * C)
        edge = size // 2
        padded = np.pad(x, ((0, 0), (edge, edge), (edge, edge), (0, 0)))
        x = np.concatenate(
            [
                padded[:, row : row + height : stride, column : column + width : stride]
                for row in range(size)
                for column in range(size)
            ],
            axis=-1,
        )
    y = x.reshape(-1, x.shape[-1]) @ convolution.kernel.reshape(-1, channels)
    y += convolution.bias
    return y.reshape(*x.shape[:3], channels)


def average_pool(x: Array) -> Array:
    """Means of 2 x 2 positions; of an odd side the last is left out."""
    height, width = x.shape[1] // 2 * 2, x.shape[2] // 2 * 2
    x = x[:, :height, :width]
    return (x[:, ::2, ::2] + x[:, 1::2, ::2] + x[:, ::2, 1::2] + x[:, 1::2, 1::2]) * np.float32(0.25)


def relu(x: Array) -> Array:
    """What is negative becomes 0, in place."""
    return np.maximum(x, 0, out=x)
