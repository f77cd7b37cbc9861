"""A run that is killed and resumed ends with the same bits as one that was not; what is damaged is passed over."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import tomlkit
import torch
from safetensors.torch import load_file

from diptych.errors import DiptychError
from diptych.train.log import read_metrics
from diptych.train.loop import train
from diptych.train.state import StateError, newest_state
from pairs import RESNET, run_config, settings, write_pairs

STEPS = 40


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"))


def long_run(table: Path, run: Path, kind: str) -> dict[str, object]:
    """Forty steps, three epochs and a half, with all that has a state of its own."""
    changes: dict[str, object] = {
        "train": {"steps": STEPS, "batch_size": 4, "ema_decay": 0.9, "precision": "bf16"},
        "save": {"every_steps": 3, "keep": 2},
        "log_every_steps": 1,
    }
    if kind == "resnet":
        changes["model"] = {"config": RESNET}
    else:
        changes["train"] = {**changes["train"], "patch_dropout": 0.4, "precision": "fp32"}  # type: ignore[dict-item]
    return settings(table, run, **changes)


def start(folder: Path, config: dict[str, object], *options: str) -> subprocess.Popen[str]:
    path = folder / "config.toml"
    path.write_text(tomlkit.dumps(config), encoding="utf-8")
    command = [sys.executable, "-m", "diptych", "train", str(path), *options]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_step(run: Path, step: int, process: subprocess.Popen[str]) -> None:
    metrics = run / "metrics.jsonl"
    deadline = time.monotonic() + 120
    while not (metrics.exists() and any(row["step"] >= step for row in read_metrics(metrics))):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.005)


def finish(process: subprocess.Popen[str]) -> None:
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors


def weights(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model" / "model.safetensors")


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_killed_and_resumed_runs_end_with_the_bits_of_an_unbroken_one(kind: str, table: Path, tmp_path: Path) -> None:
    unbroken, broken = tmp_path / "unbroken", tmp_path / "broken"
    finish(start(tmp_path, long_run(table, unbroken, kind)))
    config = long_run(table, broken, kind)
    for i, step in enumerate((4, 17, 29)):  # none a multiple of the steps between states: what came after one is lost
        process = start(tmp_path, config, *(["--resume"] if i else []))
        wait_for_step(broken, step, process)
        time.sleep(random.uniform(0, 0.1))  # anywhere in a step, or in a save
        process.send_signal(signal.SIGKILL)
        process.communicate()
    finish(start(tmp_path, config, "--resume"))
    expected, got = weights(unbroken), weights(broken)
    assert expected.keys() == got.keys()
    assert [name for name in got if not torch.equal(got[name], expected[name])] == []
    assert list((broken / "states").glob(".*.tmp")) == []
    losses = [[row["loss"] for row in read_metrics(run / "metrics.jsonl")] for run in (unbroken, broken)]
    assert losses[0] == losses[1]
    assert len(losses[0]) == STEPS


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_saves_the_state_and_says_how_to_go_on(number: signal.Signals, table: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    # So many steps that the signal comes before the last, however late it is.
    train = {"steps": 100_000, "batch_size": 4}
    config = settings(table, run, train=train, save={"every_steps": 1_000_000}, log_every_steps=1)
    process = start(tmp_path, config)
    wait_for_step(run, 2, process)
    process.send_signal(number)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Stopping after this step and saving" in errors
    assert "its state saved: go on with --resume" in errors
    assert "Traceback" not in errors
    state, faults = newest_state(run / "states")
    assert state is not None
    assert state.step == read_metrics(run / "metrics.jsonl")[-1]["step"]
    assert faults == []


@pytest.fixture
def stopped(table: Path, tmp_path: Path) -> Path:
    """The folder of a run of which the states of steps 8 and 10 are left."""
    run = tmp_path / "run"
    train(run_config(table, run, save={"every_steps": 2, "keep": 2}))
    return run


def test_the_last_states_are_kept(stopped: Path) -> None:
    assert sorted(path.name for path in (stopped / "states").iterdir()) == ["step-000000008", "step-000000010"]


@pytest.mark.parametrize("damage", ["cut off", "other bytes", "no facts", "empty facts", "a list", "no config"])
def test_a_damaged_state_is_passed_over_with_a_warning(damage: str, stopped: Path, table: Path) -> None:
    last = stopped / "states" / "step-000000010"
    tensors, facts = last / "state.safetensors", last / "state.json"
    if damage == "cut off":
        os.truncate(tensors, tensors.stat().st_size // 2)
    elif damage == "other bytes":
        content = bytearray(tensors.read_bytes())
        content[-1] ^= 1
        tensors.write_bytes(content)
    elif damage == "no facts":
        facts.unlink()
    else:
        facts.write_text({"empty facts": "", "a list": "[1]", "no config": '{"version": 1, "step": 10}'}[damage])
    expected = weights(stopped)
    with pytest.warns(UserWarning, match=r"step-000000010 is damaged \(.*\): passed over"):
        train(run_config(table, stopped, save={"every_steps": 2, "keep": 2}), resume=True)
    assert all(torch.equal(tensor, expected[name]) for name, tensor in weights(stopped).items())


@pytest.mark.parametrize(("minutes", "steps"), [(1e-6, [8, 9, 10]), (60, [10])])
def test_states_are_written_every_so_many_minutes(
    minutes: float, steps: list[int], table: Path, tmp_path: Path
) -> None:
    # A step takes longer than the 60 us of the first; the run shorter than the hour of the second.
    train(run_config(table, tmp_path / "run", save={"every_steps": None, "every_minutes": minutes, "keep": 3}))
    names = sorted(path.name for path in (tmp_path / "run" / "states").iterdir())
    assert names == [f"step-{step:09d}" for step in steps]


def test_copies_of_states_are_left_alone(stopped: Path, table: Path) -> None:
    shutil.copytree(stopped / "states" / "step-000000008", stopped / "states" / "step-000000002-good")
    shutil.rmtree(stopped / "states" / "step-000000010")
    train(run_config(table, stopped, save={"every_steps": 2, "keep": 1}), resume=True)
    assert {path.name for path in (stopped / "states").iterdir()} == {"step-000000010", "step-000000002-good"}


def test_a_damaged_log_does_not_stop_a_resume(stopped: Path, table: Path) -> None:
    with (stopped / "metrics.jsonl").open("ab") as file:
        file.write(b'[]\n{"loss": 1}\n{"step": "x"}\n\xff\xfe\n{"step": 10, "lo')
    train(run_config(table, stopped, save={"every_steps": 2, "keep": 2}), resume=True)
    assert read_metrics(stopped / "metrics.jsonl")[-1]["step"] == 10


def test_a_folder_that_is_no_run_is_not_gone_on_with(table: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(DiptychError, match="is not the folder of a run"):
        train(run_config(table, tmp_path), resume=True)


def test_where_all_states_are_damaged_the_run_says_so(stopped: Path, table: Path) -> None:
    for facts in stopped.glob("states/*/state.json"):
        facts.write_text("{")
    with pytest.raises(StateError, match=r"No state under .* can be read: .*Delete the run's folder to start anew"):
        train(run_config(table, stopped), resume=True)


def test_a_changed_config_is_refused_by_its_keys(stopped: Path, table: Path) -> None:
    changed = run_config(table, stopped, optimiser={"lr": 5e-4}, train={"batch_size": 6})
    message = r"differs from that .*: optimiser\.lr was 0\.001 and is 0\.0005, train\.batch_size was 12 and is 6\. Put"
    with pytest.raises(DiptychError, match=message):
        train(changed, resume=True)


def test_data_that_changed_is_refused(stopped: Path, table: Path, tmp_path: Path) -> None:
    more = tmp_path / "more" / table.name
    shutil.copytree(table.parent, more.parent)
    more.write_text(more.read_text() + "000.png,one caption more\n047.png,and another\n999.png,of a new picture\n")
    facts = stopped / "states" / "step-000000010" / "state.json"
    facts.write_text(facts.read_text().replace(str(table), str(more)))
    with pytest.raises(DiptychError, match=r"The data changed: shapes held 48 pairs .* and holds 49"):
        train(run_config(more, stopped), resume=True)


def test_a_state_from_before_a_key_was_known_goes_on(stopped: Path, table: Path) -> None:
    path = stopped / "states" / "step-000000010" / "state.json"
    facts = json.loads(path.read_text())
    del facts["config"]["train"]["share_positives"], facts["sources"], facts["precision"]
    path.write_text(json.dumps(facts))
    assert train(run_config(table, stopped, save={"keep": 1}), resume=True) == stopped / "model"


def test_what_does_not_enter_the_weights_may_change(stopped: Path, table: Path) -> None:
    shutil.rmtree(stopped / "model")
    assert train(run_config(table, stopped, data={"workers": 1}, log_every_steps=5), resume=True) == stopped / "model"


def test_an_existing_run_is_not_overwritten(stopped: Path, table: Path) -> None:
    with pytest.raises(DiptychError, match=r"exists: --resume goes on with that run"):
        train(run_config(table, stopped))


def test_a_state_that_cannot_be_written_leaves_the_last_one(stopped: Path, table: Path) -> None:
    states = stopped / "states"
    shutil.rmtree(states / "step-000000010")
    (states / "step-000000010").write_text("a file stands where the folder is to be")
    with pytest.raises(DiptychError, match="step-000000010"), pytest.warns(UserWarning, match="passed over"):
        train(run_config(table, stopped, save={"every_steps": 2, "keep": 2}), resume=True)
    assert (states / "step-000000008" / "state.json").exists()
