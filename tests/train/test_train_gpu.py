"""Losses and steps on a CUDA device, where there is one: `pytest -m gpu`, and `pytest -m two_gpus` with two."""

from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.testing import assert_close

from diptych.losses import clip_loss, siglip_loss
from diptych.train.distributed import World
from diptych.train.log import read_metrics
from diptych.train.setup import set_up
from diptych.train.step import StepResult
from pairs import run_config, settings, write_pairs
from torchrun import run_with

Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # of image and text features, scale and bias


def plain_clip_loss(image: Tensor, text: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    logits, own = scale * image @ text.T, torch.arange(len(image), device=image.device)
    return (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2 + 0 * bias


def plain_siglip_loss(image: Tensor, text: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    signs = 2 * torch.eye(len(image), device=image.device) - 1
    return -F.logsigmoid(signs * (scale * image @ text.T + bias)).sum() / len(image)


def tiled_clip_loss(image: Tensor, text: Tensor, scale: Tensor, bias: Tensor) -> Tensor:
    return clip_loss(image, text, scale, tile_size=32) + 0 * bias


tiled_siglip_loss = partial(siglip_loss, tile_size=32)


def with_gradients(loss: Loss) -> list[Tensor]:
    random = torch.Generator().manual_seed(0)
    image, text = F.normalize(torch.randn(2, 100, 32, generator=random), dim=-1).cuda()
    inputs = [image, text, *torch.tensor([14.0, -3.0]).cuda()]
    leaves = [each.clone().requires_grad_() for each in inputs]
    value = loss(*leaves)
    return [value.detach(), *torch.autograd.grad(value, leaves)]


@pytest.mark.gpu
@pytest.mark.parametrize(
    ("tiled", "plain"),
    [(tiled_clip_loss, plain_clip_loss), (tiled_siglip_loss, plain_siglip_loss)],
    ids=["clip", "siglip"],
)
def test_a_loss_in_tiles_is_the_plain_formula_on_a_gpu(tiled: Loss, plain: Loss) -> None:
    for got, expected in zip(with_gradients(tiled), with_gradients(plain), strict=True):
        assert_close(got, expected, atol=1e-5, rtol=1e-5)  # both sum in float32, in another order


def first_step(folder: Path, device: str, precision: str) -> tuple[StepResult, Tensor]:
    """What it tells, and the image projection after it."""
    table = write_pairs(folder / "pairs")
    config = run_config(table, folder / "run", device=device, train={"precision": precision, "share_positives": False})
    run = set_up(config, World(rank=0, size=1, device=torch.device(device)))
    result = run.learner.step(next(run.loader.iterate(0)), 0, 1.0)
    return result, run.learner.towers.model.get_parameter("visual.proj").detach().cpu()


@pytest.mark.gpu
@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-4), ("bf16", 0.05), ("fp16", 0.01)])
def test_a_step_on_a_gpu_is_that_of_a_cpu_in_its_precision(precision: str, tolerance: float, tmp_path: Path) -> None:
    # Of eight and eleven bits; logits of a scale of 14 multiply what rounding does to the features.
    expected, expected_weight = first_step(tmp_path / "cpu", "cpu", "fp32")
    got, weight = first_step(tmp_path / "gpu", "cuda:0", precision)
    assert float(got.loss) == pytest.approx(float(expected.loss), abs=tolerance)
    assert float(got.grad_norm) == pytest.approx(float(expected.grad_norm), rel=max(1e-3, 2 * tolerance))
    assert weight.dtype == torch.float32
    assert_close(weight, expected_weight, atol=2.1e-3, rtol=0)  # twice the rate: a gradient near zero may turn its sign


@pytest.mark.two_gpus
def test_two_gpus_learn_as_one(tmp_path: Path) -> None:
    table = write_pairs(tmp_path / "pairs")
    for processes in (1, 2):
        config = settings(table, tmp_path / str(processes), device="cuda", train={"steps": 20}, log_every_steps=1)
        run_with(processes, tmp_path, config)
    alone, together = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("1", "2"))
    assert [row["loss"] for row in together] == pytest.approx([row["loss"] for row in alone], abs=1e-4)
