"""Two processes started by torchrun learn what one learns."""

import signal
import time
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file
from torch.testing import assert_close

from diptych.data.mixture import Mixture, Part
from diptych.train.log import read_metrics
from diptych.train.state import newest_state
from pairs import settings, write_pairs
from torchrun import run_with, start

STEPS = 20


@pytest.mark.parametrize("chunk_size", [None, 2])
def test_two_processes_learn_as_one(chunk_size: int | None, tmp_path: Path) -> None:
    table = write_pairs(tmp_path / "pairs")
    (tmp_path / "pairs" / "007.png").write_bytes(b"no image")  # one process has a pair less in that batch
    chunks = {} if chunk_size is None else {"chunk_size": chunk_size}
    changes: dict[str, object] = {
        "train": {"steps": STEPS, "patch_dropout": 0.3, **chunks},
        "log_every_steps": 1,
    }
    for processes in (1, 2):
        config = settings(table, tmp_path / str(processes), **changes)
        config["data"]["bad_sample_limit"] = 0.1
        run_with(processes, tmp_path, config)
    alone, together = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("1", "2"))
    assert [row["step"] for row in alone] == list(range(1, STEPS + 1))
    for name, tolerance in (("loss", 1e-5), ("logit_scale", 1e-4)):
        assert [row[name] for row in together] == pytest.approx([row[name] for row in alone], abs=tolerance)
    assert [row["bad_samples"] for row in together] == [row["bad_samples"] for row in alone]
    left, right = (load_file(tmp_path / name / "model" / "model.safetensors") for name in ("1", "2"))
    for name, tensor in left.items():
        # 20 steps of Adam at 1e-3, whose steps do not shrink with the gradient: rounding may turn the smallest.
        assert_close(right[name], tensor, atol=2e-3, rtol=0, msg=name)


@pytest.mark.parametrize("changes", [{}, {"chunk_size": 1, "loss": "siglip"}], ids=str)
def test_a_process_of_which_all_samples_are_bad_learns_with_the_other(changes: dict[str, Any], tmp_path: Path) -> None:
    table = write_pairs(tmp_path / "pairs")
    draws = Mixture([Part(source=0, size=48, weight=48)], seed=1).draws(0, 4 * 4)
    for bad in (0, 1, 6, 7, 8):  # all of the first process, then of the second, then half of the first
        (tmp_path / "pairs" / f"{draws[bad].index:03d}.png").write_bytes(b"no image")
    train = {"batch_size": 4, "steps": 4, **changes}
    for processes in (1, 2):
        data = settings(table, tmp_path / str(processes), train=train, log_every_steps=1)
        data["data"]["bad_sample_limit"] = 0.5
        run_with(processes, tmp_path, data)
    alone, together = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("1", "2"))
    assert [row["loss"] for row in together] == pytest.approx([row["loss"] for row in alone], abs=1e-5)
    assert [row["bad_samples"] for row in together] == [2, 4, 5, 5]
    logs = [(tmp_path / "2" / f"bad-samples-{rank}.log").read_text().splitlines() for rank in (0, 1)]
    assert [[line.split(":")[0] for line in lines] for lines in logs] == [["step 1"] * 2 + ["step 3"], ["step 2"] * 2]


def test_a_run_goes_on_with_another_number_of_processes(tmp_path: Path) -> None:
    table = write_pairs(tmp_path / "pairs")
    config = settings(table, tmp_path / "whole", train={"steps": STEPS}, log_every_steps=1)
    run_with(1, tmp_path, config)
    broken = {**config, "run": str(tmp_path / "broken")}
    run_with(2, tmp_path, broken)
    for late in ("step-000000020", "step-000000016"):  # as if it had been killed before
        for file in (tmp_path / "broken" / "states" / late).iterdir():
            file.unlink()
        (tmp_path / "broken" / "states" / late).rmdir()
    run_with(1, tmp_path, broken, "--resume")
    whole, resumed = (read_metrics(tmp_path / name / "metrics.jsonl") for name in ("whole", "broken"))
    assert [row["loss"] for row in resumed] == pytest.approx([row["loss"] for row in whole], abs=1e-5)


def test_a_signal_to_torchrun_saves_the_state_of_all(tmp_path: Path) -> None:
    table = write_pairs(tmp_path / "pairs")
    metrics = tmp_path / "run" / "metrics.jsonl"
    changes: dict[str, object] = {"train": {"steps": 100_000}, "save": {"every_steps": 1_000_000}, "log_every_steps": 1}
    config = settings(table, tmp_path / "run", **changes)
    process = start(2, tmp_path, config)
    deadline = time.monotonic() + 120
    while not (metrics.exists() and read_metrics(metrics)):
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=120)
    assert "its state saved: go on with --resume" in errors
    state, faults = newest_state(tmp_path / "run" / "states")
    assert state is not None
    assert faults == []
    assert state.step == read_metrics(metrics)[-1]["step"]
