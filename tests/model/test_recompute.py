"""Activation checkpointing: the same numbers from less memory."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

import formats
import seeded
from diptych.model.attention import Block
from diptych.model.clip import CLIP
from diptych.model.config import CLIPConfig
from diptych.model.resnet import Bottleneck

DEEP = replace(formats.TINY, vision=replace(formats.TINY_VIT, layers=3), text=replace(formats.TINY.text, layers=3))
TOKENS = torch.tensor([[1, 2, 3, 59], [4, 59, 0, 0], [5, 6, 59, 0]])
both_towers = pytest.mark.parametrize("config", [DEEP, formats.TINY_RESNET], ids=["vit", "resnet"])


def trained(config: CLIPConfig, *, is_recomputed: bool, steps: int = 2) -> CLIP:
    """A model after a few steps, with the gradients of the last."""
    torch.manual_seed(0)
    clip = CLIP(config).train()
    clip.set_activation_checkpointing(is_recomputed)
    optimiser = torch.optim.SGD(clip.parameters(), lr=0.01)
    images = torch.from_numpy(seeded.seeded_pixels(3, 32, 32))
    for _ in range(steps):
        optimiser.zero_grad()
        image_features, text_features, scale = clip(images, TOKENS)
        F.cross_entropy(scale * image_features @ text_features.T, torch.arange(3)).backward()  # type: ignore[no-untyped-call]
        optimiser.step()
    return clip


@both_towers
def test_weights_gradients_and_running_statistics_are_the_same_to_the_bit(config: CLIPConfig) -> None:
    plain, recomputed = trained(config, is_recomputed=False), trained(config, is_recomputed=True)
    for (name, expected), given in zip(plain.state_dict().items(), recomputed.state_dict().values(), strict=True):
        assert torch.equal(given, expected), name
    for (name, expected), given in zip(plain.named_parameters(), recomputed.parameters(), strict=True):
        assert given.grad is not None
        assert expected.grad is not None
        assert torch.equal(given.grad, expected.grad), name


def test_a_batch_counts_once_in_batch_norm() -> None:
    clip = trained(formats.TINY_RESNET, is_recomputed=True, steps=3)
    counts = {name: int(b) for name, b in clip.named_buffers() if name.endswith("num_batches_tracked")}
    assert set(counts.values()) == {3}


@both_towers
def test_every_layer_is_computed_twice_with_gradients_and_once_without(config: CLIPConfig) -> None:
    clip = CLIP(config).train()
    layers = [module for module in clip.modules() if isinstance(module, Block | Bottleneck)]
    calls = counted(layers)
    clip.set_activation_checkpointing(True)
    images = torch.from_numpy(seeded.seeded_pixels(3, 32, 32))
    with torch.no_grad():
        clip(images, TOKENS)
    assert calls() == [1] * len(layers)
    image_features, text_features, _ = clip(images, TOKENS)
    (image_features @ text_features.T).sum().backward()
    assert calls() == [3] * len(layers)
    clip.set_activation_checkpointing(False)
    image_features, text_features, _ = clip(images, TOKENS)
    (image_features @ text_features.T).sum().backward()
    assert calls() == [4] * len(layers)


def counted(layers: Sequence[nn.Module]) -> Callable[[], list[int]]:
    """How often each layer has begun to compute (one that is recomputed may stop when it has what it needs)."""
    calls: dict[nn.Module, int] = dict.fromkeys(layers, 0)

    def count(layer: nn.Module, _: object) -> None:
        calls[layer] += 1

    for layer in layers:
        layer.register_forward_pre_hook(count)
    return lambda: list(calls.values())


def test_less_is_kept_for_the_backward_pass() -> None:
    clip = CLIP(DEEP).train()
    kept: list[int] = []

    def pack(tensor: Tensor) -> Tensor:
        kept.append(tensor.numel())
        return tensor

    def numbers_kept() -> int:
        kept.clear()
        with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
            clip(torch.from_numpy(seeded.seeded_pixels(8, 32, 32)), TOKENS)
        return sum(kept)

    plain = numbers_kept()
    clip.set_activation_checkpointing(True)
    assert numbers_kept() < plain / 2


def test_a_layer_that_draws_random_numbers_draws_them_again() -> None:
    def gradients(is_recomputed: bool) -> Tensor:
        torch.manual_seed(0)
        clip = CLIP(formats.TINY).train()
        clip.text.transformer.blocks[0].mlp.c_proj = nn.Sequential(nn.Dropout(0.5), nn.Linear(32, 16))  # type: ignore[assignment]
        clip.set_activation_checkpointing(is_recomputed)
        torch.manual_seed(1)
        clip.encode_text(TOKENS).sum().backward()  # type: ignore[no-untyped-call]
        grad = clip.text.positional_embedding.grad
        assert grad is not None
        return grad

    assert torch.equal(gradients(is_recomputed=True), gradients(is_recomputed=False))
