"""Configs: what is refused, in one line that names the key; --set; which keys a resumed run may change."""

from pathlib import Path

import pytest
import tomlkit

from diptych.data.sample import DataError
from diptych.settings import to_dict
from diptych.train.config import changed_keys, read_config
from diptych.train.distributed import World, join_world
from diptych.train.setup import set_up
from pairs import RESNET, run_config, settings, write_pairs


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "run.toml"
    path.write_text(tomlkit.dumps(settings(tmp_path / "pairs.csv", tmp_path / "run")), encoding="utf-8")
    return path


@pytest.fixture
def world() -> World:
    with join_world("cpu") as world:
        return world


def test_what_is_written_is_read_back(path: Path, tmp_path: Path) -> None:
    assert read_config(path) == run_config(tmp_path / "pairs.csv", tmp_path / "run")


@pytest.mark.parametrize(
    ("overrides", "key", "value"),
    [
        (["optimiser.lr=3e-4"], ("optimiser", "lr"), 3e-4),
        (["train.batch_size = 6"], ("train", "batch_size"), 6),
        (["train.precision=bf16"], ("train", "precision"), "bf16"),
        (["data.sources.0.name=other"], ("data", "sources", 0, "name"), "other"),
        (['model.locked=["visual.*"]'], ("model", "locked"), ["visual.*"]),
        (["seed=3", "seed=4"], ("seed",), 4),
    ],
)
def test_set_gives_one_key_another_value(
    path: Path, overrides: list[str], key: tuple[object, ...], value: object
) -> None:
    got: object = to_dict(read_config(path, overrides))
    for part in key:
        got = got[part]  # type: ignore[index]
    assert got == value


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("train.batchsize=4", r"unknown key 'train\.batchsize'; did you mean 'train\.batch_size'\?"),
        ("optimizer.lr=1", r"unknown key 'optimizer'; did you mean 'optimiser'\?"),
        ("train.batch_size=big", r"train\.batch_size must be a whole number, got 'big'"),
        ("train.batch_size=0", r"train is not valid: batch_size must be 1 or more, got 0"),
        ("train.precision=fp8", r"train\.precision must be 'auto', 'fp32', 'bf16' or 'fp16', got 'fp8'"),
        ("train.ema_decay=1.0", r"ema_decay must be from 0 to below 1, got 1\.0"),
        ("optimiser.decay_to_start=0.1", r"decay_to_start takes the place of weight_decay: set weight_decay = 0"),
        ("model.preset=ViT-B-32", r"give one of preset, start and config, got preset and config"),
        ("train.batch_size", r"--set train\.batch_size: write it as key=value, for example"),
        ("data.sources.3.name=x", r"--set .*: 3 is not a place in a list of 1; the first is 0"),
        ("seed.more=1", r"--set seed\.more=1: seed is a value, not a table of settings"),
        ("save.keep=0", r"keep must be 1 or more, got 0"),
    ],
)
def test_a_wrong_key_or_value_is_refused_by_name(path: Path, override: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_config(path, [override])


@pytest.mark.parametrize(("text", "message"), [("run = ", "not TOML"), (None, "cannot be read"), ("", "missing 'run'")])
def test_a_file_that_is_no_config_is_refused(text: str | None, message: str, tmp_path: Path) -> None:
    path = tmp_path / "run.toml"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ValueError, match=message):
        read_config(path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": {"patch_dropout": 0.5}, "model": {"config": RESNET}}, "patch_dropout drops a ViT's patches"),
        ({"train": {"chunk_size": 4}, "model": {"config": RESNET}}, "exact only without batch norm"),
        ({"train": {"average_with_start": 0.5}}, r"average_with_start needs model\.start"),
        ({"train": {"precision": "fp16"}}, "precision = 'fp16' needs a CUDA device, got cpu"),
        ({"model": {"config": None, "preset": "ViT-B-23"}}, r"there is no preset 'ViT-B-23'"),
        ({"model": {"locked": ["vision.*"]}}, r"'vision\.\*' matches no parameter"),
        ({"model": {"locked": ["*"]}}, "locks every parameter: nothing is left to learn"),
        ({"train": {"batch_size": 4_000}}, r"A batch of 4,000 is larger than the data, 48 samples"),
    ],
)
def test_what_cannot_be_trained_is_refused_before_the_first_step(
    changes: dict[str, object], message: str, tmp_path: Path, world: World
) -> None:
    table = write_pairs(tmp_path / "pairs")
    config = run_config(table, tmp_path / "run", **changes)
    with pytest.raises((ValueError, DataError), match=message):
        set_up(config, world)


def test_a_warm_up_longer_than_the_run_is_warned_of(tmp_path: Path, world: World) -> None:
    config = run_config(write_pairs(tmp_path / "pairs"), tmp_path / "run", optimiser={"warmup_steps": 50})
    with pytest.warns(UserWarning, match=r"warmup_steps is 50 and the run has 10 steps: .* Set it to 1, a tenth"):
        set_up(config, world)


def test_only_what_enters_the_weights_must_stay_the_same(tmp_path: Path) -> None:
    before = to_dict(run_config(tmp_path, tmp_path / "a"))
    after = to_dict(run_config(tmp_path, tmp_path / "b", data={"workers": 3}, save={"keep": 9}, device="auto"))
    assert changed_keys(before, after) == {}
    after["train"]["batch_size"] = 2
    after["data"]["augment"]["flip"] = True
    after["data"]["sources"][0]["weight"] = 0.5
    assert changed_keys(before, after) == {
        "data.augment.flip": (False, True),
        "data.sources.0.weight": (None, 0.5),
        "train.batch_size": (12, 2),
    }


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(ValueError, match="torch sees 0 CUDA devices"), join_world("cuda:7"):
        pass
