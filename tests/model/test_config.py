"""Nonsense is refused when a config is made, in one line that names the field."""

from dataclasses import replace
from typing import Any

import pytest

import formats
from diptych.model.config import CLIPConfig, ResNetConfig, TextConfig, ViTConfig, check_whole_patches
from diptych.model.presets import PRESETS

TEXT = formats.TINY.text
RESNET = ResNetConfig(image_size=(64, 64), layers=(1, 1, 1, 1), width=8, heads=4)


@pytest.mark.parametrize(
    ("config", "changes", "message"),
    [
        (formats.TINY_VIT, {"patch_size": 0}, r"vision.patch_size must be a whole number from 1 to [\d,]+, got 0."),
        (formats.TINY_VIT, {"width": -8}, r"vision.width must be a whole number from 1 to [\d,]+, got -8."),
        (formats.TINY_VIT, {"layers": 0}, r"vision.layers must be a whole number from 1 to [\d,]+, got 0."),
        (formats.TINY_VIT, {"heads": 0}, r"vision.heads must be a whole number from 1 to [\d,]+, got 0."),
        (formats.TINY_VIT, {"heads": 3}, "vision.width must be a multiple of vision.heads, got 16 and 3."),
        (formats.TINY_VIT, {"image_size": (32, 15)}, "vision.image_size must hold at least one patch of 16"),
        (RESNET, {"width": 7}, "vision.width must be even, got 7."),
        (RESNET, {"layers": (1, 0, 1, 1)}, r"vision.layers must be a whole number from 1 to [\d,]+, got 0."),
        (RESNET, {"heads": 5}, r"vision.width \* 32 must be a multiple of vision.heads, got 256 and 5."),
        (RESNET, {"image_size": (64, 16)}, "vision.image_size must be at least 32"),
        (formats.TINY_VIT, {"image_size": (32, 10**30)}, r"vision.image_size must be at most 16,384, got 10000"),
        (formats.TINY_VIT, {"patch_size": 10_000}, "vision.patch_size must be a whole number from 1 to 4,096"),
        (formats.TINY_VIT, {"width": 10**6}, "vision.width must be a whole number from 1 to 65,536"),
        (RESNET, {"image_size": (10**30, 64)}, r"vision.image_size must be at most 16,384, got 10000"),
        (RESNET, {"width": 10**6}, "vision.width must be a whole number from 1 to 65,536"),
        (TEXT, {"context_length": 10**30}, "text.context_length must be a whole number from 1 to 65,536, got 1000"),
        (TEXT, {"vocab_size": 10**9}, "text.vocab_size must be a whole number from 1 to 10,000,000"),
        (formats.TINY, {"embed_dim": 10**6}, "model.embed_dim must be a whole number from 1 to 65,536"),
        (TEXT, {"width": 0}, r"text.width must be a whole number from 1 to [\d,]+, got 0."),
        (TEXT, {"heads": 3}, "text.width must be a multiple of text.heads, got 16 and 3."),
        (TEXT, {"context_length": 1}, "text.context_length must be at least 2, got 1."),
        (TEXT, {"vocab_size": 0}, r"text.vocab_size must be a whole number from 1 to [\d,]+, got 0."),
        (formats.TINY, {"embed_dim": 0}, r"model.embed_dim must be a whole number from 1 to [\d,]+, got 0."),
        (formats.TINY, {"activation": "relu"}, "activation must be one of gelu, quick_gelu, got 'relu'."),
    ],
)
def test_nonsense_is_refused(
    config: CLIPConfig | ViTConfig | ResNetConfig | TextConfig, changes: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message) as raised:
        replace(config, **changes)
    assert len(str(raised.value)) < 200
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("image_size", "nearest"),
    [((33, 33), "32 x 32 and 48 x 48"), ((32, 47), "32 x 32 and 32 x 48"), ((50, 16), "48 x 16 and 64 x 16")],
)
def test_what_patches_would_leave_over_is_refused_with_the_nearest_that_fit(
    image_size: tuple[int, int], nearest: str
) -> None:
    config = replace(formats.TINY, vision=replace(formats.TINY_VIT, image_size=image_size))
    with pytest.raises(ValueError, match=rf"is no multiple of vision\.patch_size 16, .* fit are {nearest}\."):
        check_whole_patches(config)


def test_whole_patches_and_all_sizes_of_a_resnet_are_let_pass() -> None:
    for vision in (replace(formats.TINY_VIT, image_size=(48, 160)), replace(RESNET, image_size=(80, 33))):
        check_whole_patches(replace(formats.TINY, vision=vision))
    for preset in PRESETS.values():
        check_whole_patches(preset)


@pytest.mark.parametrize(
    ("image_size", "grid"), [((32, 32), (2, 2)), ((32, 83), (2, 5)), ((47, 31), (2, 1)), ((224, 96), (14, 6))]
)
def test_a_vits_grid_is_of_whole_patches(image_size: tuple[int, int], grid: tuple[int, int]) -> None:
    assert replace(formats.TINY_VIT, image_size=image_size).grid == grid


def test_a_resnets_grid_is_what_is_left_after_five_halvings() -> None:
    assert replace(RESNET, image_size=(224, 288)).grid == (7, 9)
    assert RESNET.output_width == 256


@pytest.mark.parametrize(
    "change",
    [
        {"mlp_ratio": 0.0},
        {"mlp_ratio": float("nan")},
        {"mlp_ratio": float("inf")},
        {"width": 64.0},
        {"width": "64"},
        {"layers": 10**9},
        {"end_token": 400_000},
        {"end_token": -1},
    ],
    ids=str,
)
def test_sizes_that_no_model_has_are_refused_in_one_line(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"^text\.\w+ must be") as raised:
        replace(TEXT, **change)
    assert "\n" not in str(raised.value)
