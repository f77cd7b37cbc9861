"""Learning rates, what is decayed, what is locked, the average of the weights."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from diptych.model.clip import CLIP
from diptych.model.config import CLIPConfig
from diptych.preprocess import Preprocess
from diptych.settings import from_dict
from diptych.train.average import WeightAverage
from diptych.train.config import OptimiserConfig
from diptych.train.optimiser import is_decayed, lock, make_optimiser, pull_to_start, set_learning_rate, set_training
from diptych.train.schedule import learning_rate_share
from diptych.train.towers import Towers
from pairs import RESNET, VIT


def towers(config: object = VIT) -> Towers:
    torch.manual_seed(0)
    return Towers(CLIP(from_dict(CLIPConfig, config, where="test")), Preprocess(size=(32, 32)))


def test_the_rate_warms_up_linearly_and_ends_at_zero() -> None:
    shares = [learning_rate_share(step, steps=110, warmup_steps=10) for step in range(111)]
    assert shares[:10] == pytest.approx([0.1 * (i + 1) for i in range(10)])
    assert shares[10] == 1
    assert shares[60] == pytest.approx(0.5)
    assert shares[110] == pytest.approx(0)


def test_without_warm_up_the_rate_is_half_a_cosine() -> None:
    assert learning_rate_share(25, steps=100, warmup_steps=0) == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))


def test_gains_biases_positions_and_the_scale_are_not_decayed() -> None:
    undecayed = {name for name, tensor in towers().model.named_parameters() if not is_decayed(name, tensor)}
    assert {"logit_scale", "text.positional_embedding", "visual.positional_embedding"} <= undecayed
    assert {"visual.class_embedding", "text.ln_final.weight", "text.ln_final.bias"} <= undecayed
    assert undecayed.isdisjoint({"text.token_embedding.weight", "visual.conv1.weight", "visual.proj"})


@pytest.mark.parametrize(("config", "betas", "eps"), [(VIT, (0.9, 0.98), 1e-6), (RESNET, (0.9, 0.999), 1e-8)])
def test_betas_and_epsilon_are_the_papers_for_the_tower(config: object, betas: tuple[float, float], eps: float) -> None:
    optimiser = make_optimiser(towers(config), OptimiserConfig())
    assert all((group["betas"], group["eps"]) == (betas, eps) for group in optimiser.param_groups)


def test_each_tower_has_its_own_rate() -> None:
    trained = towers()
    optimiser = make_optimiser(trained, OptimiserConfig(lr=1e-3, vision_lr=1e-5, text_lr=1e-4))
    set_learning_rate(optimiser, 0.5)
    rates = {id(p): group["lr"] for group in optimiser.param_groups for p in group["params"]}
    assert rates[id(trained.model.visual.proj)] == 5e-6
    assert rates[id(trained.model.text.text_projection)] == 5e-5
    assert rates[id(trained.model.logit_scale)] == 5e-4


def test_locked_parameters_do_not_learn_and_their_batch_norms_keep_still() -> None:
    trained = towers(RESNET)
    locked = lock(trained.model, ["visual.*"])
    set_training(trained)
    assert set(locked) == {name for name, _ in trained.model.named_parameters() if name.startswith("visual.")}
    assert not trained.model.visual.training
    assert trained.model.text.training
    learning = {id(p) for group in make_optimiser(trained, OptimiserConfig()).param_groups for p in group["params"]}
    assert learning.isdisjoint(id(p) for p in trained.model.visual.parameters())


def test_batch_norms_can_be_locked_alone() -> None:
    trained = towers(RESNET)
    locked = lock(trained.model, [], batch_norms=True)
    set_training(trained)
    norms = [module for module in trained.modules() if isinstance(module, torch.nn.BatchNorm2d)]
    assert norms
    assert not any(norm.training for norm in norms)
    assert len(locked) == 2 * len(norms)
    assert trained.model.visual.conv1.training
    assert trained.model.visual.conv1.weight.requires_grad


def test_a_pattern_that_locks_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match=r"model.locked: 'vision.\*' matches no parameter; the towers are visual"):
        lock(towers().model, ["vision.*"])


def test_decay_to_the_start_pulls_by_rate_times_strength() -> None:
    trained = towers()
    start = {name: tensor.detach().clone() for name, tensor in trained.model.named_parameters()}
    with torch.no_grad():
        trained.model.get_parameter("visual.proj").add_(1)
    optimiser = make_optimiser(trained, OptimiserConfig(lr=0.1))
    pull_to_start(trained.model, start, optimiser, strength=2.0)
    assert_close(trained.model.get_parameter("visual.proj").detach(), start["visual.proj"] + 0.8)


def test_the_average_is_short_at_first_and_long_later() -> None:
    module = nn.Linear(1, 1, bias=False)
    average = WeightAverage(module, decay=0.5)
    before = average.tensors["weight"].clone()
    with torch.no_grad():
        module.weight.fill_(10.0)
    average.update(module, step=0)  # decay 1/10
    assert_close(average.tensors["weight"], before * 0.1 + 9.0)
    average.update(module, step=1_000)  # decay 0.5
    assert_close(average.tensors["weight"], (before * 0.1 + 9.0) / 2 + 5.0)
