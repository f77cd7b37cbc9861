"""A run starts from whatever `load` reads: the same weights, in whatever format, learn the same."""

from pathlib import Path
from typing import Any

import pytest
import torch

import formats
from diptych.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from diptych.errors import CheckpointError
from diptych.settings import to_dict
from diptych.train.config import RunConfig
from diptych.train.distributed import World
from diptych.train.setup import check_run, set_up
from pairs import run_config, write_pairs

ALONE = World(rank=0, size=1, device=torch.device("cpu"))
Weights = dict[str, torch.Tensor]


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"), 12)


def after_a_step(config: RunConfig) -> tuple[Weights, Weights]:
    """The weights that a run begins with, and those after its first step."""
    run = set_up(config, ALONE)
    check_run(config, run.sources)
    before = {name: tensor.clone() for name, tensor in run.learner.towers.model.state_dict().items()}
    batches = run.loader.iterate(0)
    run.learner.step(next(batches), 0, 1.0)
    batches.close()
    return before, dict(run.learner.towers.model.state_dict())


def in_our_format(checkpoint: Checkpoint, folder: Path) -> Path:
    save_checkpoint(checkpoint, folder)
    return folder


@pytest.mark.parametrize(
    ("kind", "write"),
    [
        *formats.WRITTEN,
        *((kind, formats.write_torchscript) for kind in formats.OPENAI_KINDS),
        ("vit", formats.write_huggingface),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_run_starts_from_any_format_with_equal_weights(
    kind: str, write: formats.Writer, table: Path, tmp_path: Path
) -> None:
    (tmp_path / "theirs").mkdir()
    path = write(kind, tmp_path / "theirs")
    options = formats.load_options(kind, write)
    told: dict[str, Any] = {"config": to_dict(options["preset"]) if options else None}
    ours = in_our_format(load_checkpoint(path, **options), tmp_path / "ours")

    before, after = after_a_step(run_config(table, tmp_path / "run", model={"start": str(path), **told}))
    same = after_a_step(run_config(table, tmp_path / "run", model={"start": str(ours), "config": None}))
    for got, expected in ((before, same[0]), (after, same[1])):
        assert got.keys() == expected.keys()
        assert all(torch.equal(tensor, expected[name]) for name, tensor in got.items())
    assert not torch.equal(before["visual.conv1.weight"], after["visual.conv1.weight"])


@pytest.mark.parametrize("write", [formats.write_open_clip, formats.write_huggingface, formats.write_custom_text])
def test_formats_that_hold_the_same_weights_start_the_same(write: formats.Writer, table: Path, tmp_path: Path) -> None:
    begun = []
    for number, each in enumerate((formats.write_state_dict, write)):
        folder = tmp_path / str(number)
        folder.mkdir()
        told = {"config": to_dict(formats.clip_config("vit")) if formats.load_options("vit", each) else None}
        model = {"start": str(each("vit", folder)), **told}
        begun.append(set_up(run_config(table, tmp_path / "run", model=model), ALONE).learner.towers.model.state_dict())
    assert begun[0].keys() == begun[1].keys()
    assert all(torch.equal(tensor, begun[1][name]) for name, tensor in begun[0].items())


def test_a_bare_state_dict_must_be_told(table: Path, tmp_path: Path) -> None:
    path = formats.write_state_dict("vit", tmp_path)
    with pytest.raises(ValueError, match="activation goes with start"):
        run_config(table, tmp_path / "run", model={"activation": "gelu"})
    with pytest.raises(CheckpointError, match="is a bare state dict of no known preset"):
        set_up(run_config(table, tmp_path / "run", model={"start": str(path), "config": None}), ALONE)
