"""Two processes started by torchrun learn what one learns."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import tomlkit
from safetensors.torch import load_file
from torch.testing import assert_close

from diptych.train.log import read_metrics
from pairs import settings, write_pairs

STEPS = 20


def run_with(processes: int, folder: Path, config: dict[str, object], *options: str) -> None:
    path = folder / f"{processes}.toml"
    path.write_text(tomlkit.dumps(config), encoding="utf-8")
    torchrun = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes), "-m", "diptych"]
    command = [sys.executable, *(torchrun if processes > 1 else ["-m", "diptych"]), "train", str(path), *options]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment, check=False)
    assert done.returncode == 0, done.stderr


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
