"""How weights are drawn before training, as in OpenAI's code."""

import math
from functools import cache

import pytest
import torch

from diptych.model.clip import CLIP
from diptych.model.config import CLIPConfig, ResNetConfig, TextConfig, ViTConfig

WIDTH, LAYERS, EMBED = 256, 3, 128
TEXT = TextConfig(width=WIDTH, layers=LAYERS, heads=4, vocab_size=2_000)
VIT = ViTConfig(image_size=(64, 64), patch_size=8, width=WIDTH, layers=LAYERS, heads=4)
RESNET = ResNetConfig(image_size=(64, 64), layers=(1, 1, 1, 1), width=8, heads=4)


@cache
def weights(kind: str) -> dict[str, torch.Tensor]:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CLIP(CLIPConfig(embed_dim=EMBED, vision=VIT if kind == "vit" else RESNET, text=TEXT)).state_dict()


D = WIDTH**-0.5
BLOCK = "text.transformer.resblocks.1"
DEVIATIONS = {
    "text.token_embedding.weight": 0.02,
    "text.positional_embedding": 0.01,
    "text.text_projection": D,
    f"{BLOCK}.attn.q_proj.weight": D,
    f"{BLOCK}.attn.k_proj.weight": D,
    f"{BLOCK}.attn.v_proj.weight": D,
    f"{BLOCK}.attn.out_proj.weight": D * (2 * LAYERS) ** -0.5,
    f"{BLOCK}.mlp.c_proj.weight": D * (2 * LAYERS) ** -0.5,
    f"{BLOCK}.mlp.c_fc.weight": (2 * WIDTH) ** -0.5,
    "visual.class_embedding": D,
    "visual.positional_embedding": D,
    "visual.proj": D,
    # The image tower's blocks keep torch's defaults: Xavier for packed attention, Kaiming for linear layers, both
    # uniform, of which the deviation is the bound / sqrt(3).
    "visual.transformer.resblocks.1.attn.q_proj.weight": math.sqrt(6 / (4 * WIDTH)) / math.sqrt(3),
    "visual.transformer.resblocks.1.attn.v_proj.weight": math.sqrt(6 / (4 * WIDTH)) / math.sqrt(3),
    "visual.transformer.resblocks.1.attn.out_proj.weight": WIDTH**-0.5 / math.sqrt(3),
    "visual.transformer.resblocks.1.mlp.c_fc.weight": WIDTH**-0.5 / math.sqrt(3),
    "visual.transformer.resblocks.1.mlp.c_proj.weight": (4 * WIDTH) ** -0.5 / math.sqrt(3),
}


@pytest.mark.parametrize(("name", "deviation"), DEVIATIONS.items(), ids=DEVIATIONS)
def test_each_weight_has_its_own_deviation(name: str, deviation: float) -> None:
    tensor = weights("vit")[name]
    # The deviation of n draws is known to 1 / sqrt(2 n); five times that does not happen.
    tolerance = 5 / math.sqrt(2 * tensor.numel())
    assert float(tensor.std()) == pytest.approx(deviation, rel=tolerance)
    assert abs(float(tensor.mean())) < 5 * deviation / math.sqrt(tensor.numel())


@pytest.mark.parametrize("tower", ["text", "visual"])
def test_attention_starts_without_bias_and_norms_as_identity(tower: str) -> None:
    block = f"{tower}.transformer.resblocks.2"
    for name in ("q_proj", "k_proj", "v_proj", "out_proj"):
        assert not weights("vit")[f"{block}.attn.{name}.bias"].any()
    for name in ("ln_1", "ln_2"):
        assert (weights("vit")[f"{block}.{name}.weight"] == 1).all()
        assert not weights("vit")[f"{block}.{name}.bias"].any()


def test_a_resnets_blocks_start_as_identities() -> None:
    thirds = [tensor for name, tensor in weights("resnet").items() if name.endswith("bn3.weight") and "layer" in name]
    assert len(thirds) == 4
    assert not any(tensor.any() for tensor in thirds)
    assert (weights("resnet")["visual.bn3.weight"] == 1).all()  # the stem's is no block's


def test_attention_pooling_is_drawn_by_its_width() -> None:
    for name in ("positional_embedding", "q_proj.weight", "k_proj.weight", "v_proj.weight", "c_proj.weight"):
        tensor = weights("resnet")[f"visual.attnpool.{name}"]
        tolerance = 5 / math.sqrt(2 * tensor.numel())
        assert float(tensor.std()) == pytest.approx(RESNET.output_width**-0.5, rel=tolerance)


def test_the_temperature_starts_at_a_fourteenth() -> None:
    assert float(weights("vit")["logit_scale"]) == pytest.approx(math.log(1 / 0.07))


def test_two_models_are_not_the_same() -> None:
    config = CLIPConfig(embed_dim=EMBED, vision=RESNET, text=TEXT)
    one, two = CLIP(config), CLIP(config)
    assert not torch.equal(one.text.text_projection, two.text.text_projection)
