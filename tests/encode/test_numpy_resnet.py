"""The ModifiedResNet in numpy beside the torch module, at sizes that no stored reference has."""

import numpy as np
import pytest
import torch
from numpy.testing import assert_allclose

import formats
import seeded
from diptych.encode.numpy_resnet import Convolution, average_pool, convolve, encode_images, fold_batch_norms
from diptych.encode.torch_encoder import build_model
from diptych.model.config import CLIPConfig, ResNetConfig, TextConfig

TEXT = TextConfig(width=16, layers=1, heads=2, vocab_size=60)
DEEP = ResNetConfig(image_size=(64, 64), layers=(2, 3, 2, 2), width=8, heads=4)
SIZES = [(32, 32), (64, 64), (64, 96), (95, 67), (33, 50)]


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_features_equal_torchs(size: tuple[int, int]) -> None:
    vision = ResNetConfig(image_size=size, layers=DEEP.layers, width=DEEP.width, heads=DEEP.heads)
    config = CLIPConfig(embed_dim=24, vision=vision, text=TEXT)
    checkpoint = formats.tiny_checkpoint(config)
    pixels = seeded.seeded_pixels(2, *size)
    with torch.no_grad():
        expected = build_model(checkpoint, torch.device("cpu"), torch.float32).encode_image(torch.from_numpy(pixels))
    weights = {name: tensor.numpy() for name, tensor in checkpoint.tensors.items()}
    given = encode_images(pixels, fold_batch_norms(weights), weights, vision)
    assert given.dtype == np.float32
    # Both round to float32 along thirty layers, each in an order of its own.
    assert_allclose(unit(given), unit(expected.numpy()), atol=1e-5, rtol=0)


def unit(features: np.ndarray) -> np.ndarray:
    return features / np.linalg.norm(features, axis=1, keepdims=True)


# A stride is the stem's alone: elsewhere it is a pool.
@pytest.mark.parametrize(("kernel", "stride"), [(1, 1), (3, 1), (3, 2)])
@pytest.mark.parametrize("size", [(1, 1), (4, 4), (5, 7)], ids=str)
def test_a_convolution_as_a_matrix_product_is_a_convolution(size: tuple[int, int], kernel: int, stride: int) -> None:
    drawn = seeded.seeded_tensors({"x": (2, 6, *size), "weight": (5, 6, kernel, kernel), "bias": (5,)})
    x, weight, bias = drawn["x"], drawn["weight"], drawn["bias"]
    tensors = (torch.from_numpy(x), torch.from_numpy(weight), torch.from_numpy(bias))
    expected = torch.nn.functional.conv2d(*tensors, stride=stride, padding=kernel // 2)
    given = convolve(x.transpose(0, 2, 3, 1), Convolution(weight.transpose(2, 3, 1, 0), bias), stride=stride)
    assert_allclose(given.transpose(0, 3, 1, 2), expected.numpy(), atol=1e-5, rtol=1e-5)


def test_pools_are_means_and_leave_out_the_last_of_an_odd_side() -> None:
    x = np.arange(15, dtype=np.float32).reshape(1, 3, 5, 1)
    assert average_pool(x)[0, :, :, 0].tolist() == [[(0 + 1 + 5 + 6) / 4, (2 + 3 + 7 + 8) / 4]]


def test_a_batch_norm_is_taken_into_its_convolution() -> None:
    weights = {
        "visual.conv1.weight": np.ones((2, 1, 1, 1), np.float32),
        "visual.bn1.weight": np.array([3, 1], np.float32),
        "visual.bn1.bias": np.array([0.5, -1], np.float32),
        "visual.bn1.running_mean": np.array([2, 0], np.float32),
        "visual.bn1.running_var": np.array([9, 4], np.float32),
    }
    (name, folded), *others = fold_batch_norms(weights).items()
    assert (name, others) == ("visual.conv1", [])
    assert_allclose(folded.kernel[0, 0, 0], [1, 0.5], rtol=1e-5)  # gain / deviation
    assert_allclose(folded.bias, [0.5 - 2, -1], rtol=1e-5)
