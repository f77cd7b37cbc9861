"""The published architectures: names and shapes of their tensors, parameters and FLOPs, from the config alone."""

import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

import formats
from diptych.model.clip import CLIP
from diptych.model.config import CLIPConfig
from diptych.model.flops import image_flops, text_flops
from diptych.model.presets import OPENAI_PRESETS, PRESETS
from diptych.model.shapes import parameter_count, tensor_shapes
from diptych.model.vision import VisionTransformer

# What torch counts in the reference implementations (open_clip's CLIP of these names).
PARAMETERS = {
    "RN50": 102_007_137,
    "RN101": 119_688_033,
    "RN50x4": 178_300_601,
    "RN50x16": 290_979_217,
    "RN50x64": 623_258_305,
    "ViT-B-32": 151_277_313,
    "ViT-B-32-256": 151_288_833,
    "ViT-B-16": 149_620_737,
    "ViT-B-16-plus-240": 208_377_345,
    "ViT-L-14": 427_616_513,
    "ViT-L-14-336": 427_944_193,
    "ViT-H-14": 986_109_441,
    "ViT-H-14-378": 986_714_881,
    "ViT-g-14": 1_366_678_273,
    "ViT-bigG-14": 2_539_567_105,
}
OPENAIS = {"ViT-B/32": "ViT-B-32", "ViT-B/16": "ViT-B-16", "ViT-L/14": "ViT-L-14", "ViT-L/14@336px": "ViT-L-14-336"}

SHAPED = {name: config for name, config in PRESETS.items() if config.activation == "gelu"}


def on_meta(config: CLIPConfig) -> CLIP:
    """The model without memory for its weights."""
    with torch.device("meta"):
        return CLIP(config)


@pytest.mark.parametrize("name", SHAPED)
def test_shapes_from_the_config_are_the_models(name: str) -> None:
    state = {key: tuple(tensor.shape) for key, tensor in on_meta(SHAPED[name]).state_dict().items()}
    assert tensor_shapes(SHAPED[name]) == state


@pytest.mark.parametrize("name", SHAPED)
def test_parameters_are_as_many_as_in_the_reference(name: str) -> None:
    assert parameter_count(tensor_shapes(SHAPED[name])) == PARAMETERS[name]
    assert PARAMETERS.keys() == SHAPED.keys()


def test_openais_nine_are_the_same_shapes_with_quickgelu() -> None:
    assert len(OPENAI_PRESETS) == 9
    for name, config in OPENAI_PRESETS.items():
        assert config == PRESETS[f"{OPENAIS.get(name, name)}-quickgelu"]
        assert config.activation == "quick_gelu"


def test_every_gelu_preset_has_a_quickgelu_one_that_differs_in_nothing_else() -> None:
    for name, config in SHAPED.items():
        assert replace(config, activation="quick_gelu") == PRESETS[f"{name}-quickgelu"]
    assert len(PRESETS) == 2 * len(SHAPED)


@pytest.mark.parametrize(("name", "heads"), [("ViT-H-14", 16), ("ViT-g-14", 16), ("ViT-bigG-14", 16), ("ViT-L-14", 16)])
def test_heads_are_not_always_64_wide(name: str, heads: int) -> None:
    visual = on_meta(PRESETS[name]).visual
    assert isinstance(visual, VisionTransformer)
    assert {block.attn.heads for block in visual.transformer.blocks} == {heads}


# ---- FLOPs, beside torch's own counter


def counted(config: CLIPConfig, part: str) -> int:
    """What torch counts for a whole tower: every token through every layer, and the projection."""
    model = on_meta(config)
    with torch.device("meta"), FlopCounterMode(display=False) as counter:
        images = torch.empty(1, 3, *config.vision.image_size)
        if part == "text":
            model.text.transformer(torch.empty(1, config.text.context_length, config.text.width))
        elif isinstance(model.visual, VisionTransformer):
            model.visual.patch_tokens(images)
        else:
            return counted_in_resnet(model, images)
    width = config.text.width if part == "text" else config.vision.width
    return int(counter.get_total_flops()) + 2 * width * config.embed_dim


def counted_in_resnet(model: CLIP, images: torch.Tensor) -> int:
    with FlopCounterMode(display=False) as counter:
        model.visual(images)
    return int(counter.get_total_flops())


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-L-14-336", "ViT-g-14", "RN50", "RN50x4"])
def test_image_flops_are_torchs(name: str) -> None:
    assert image_flops(PRESETS[name]) == counted(PRESETS[name], "image")


@pytest.mark.parametrize("name", ["ViT-B-32", "ViT-bigG-14"])
def test_text_flops_are_torchs(name: str) -> None:
    assert text_flops(PRESETS[name]) == counted(PRESETS[name], "text")


def test_flops_of_oblong_images_and_of_odd_sizes_are_torchs() -> None:
    vit = replace(formats.TINY, vision=replace(formats.TINY_VIT, image_size=(32, 83)))
    assert image_flops(vit) == counted(vit, "image")
    resnet = replace(formats.TINY_RESNET, vision=replace(formats.TINY_RESNET.vision, image_size=(96, 161)))
    assert image_flops(resnet) == counted(resnet, "image")


def test_a_short_text_costs_less_than_its_share() -> None:
    config = PRESETS["ViT-B-32"]
    assert text_flops(config, 10) < text_flops(config) * 10 / 77


def test_configs_shapes_and_flops_need_no_torch() -> None:
    modules = ("config", "presets", "shapes", "flops")
    script = "import sys; " + "; ".join(f"import diptych.model.{name}" for name in modules)
    shown = subprocess.run([sys.executable, "-c", f"{script}; print('torch' in sys.modules)"], capture_output=True)
    assert shown.stdout.strip() == b"False", shown.stderr
