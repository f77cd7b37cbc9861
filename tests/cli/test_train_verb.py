"""`diptych train` and `diptych plot` as a user runs them."""

import json
import re
import resource
import subprocess
import sys
from pathlib import Path

import pytest
import tomlkit
from command import diptych, environment
from PIL import Image

import diptych as package
from diptych.data.config import SourceConfig
from diptych.data.open import open_source
from diptych.settings import from_dict
from diptych.train.config import RunConfig, read_config
from pairs import settings, write_pairs


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A config whose run was made."""
    folder = tmp_path_factory.mktemp("work")
    table = write_pairs(folder / "pairs")
    data = settings(table, folder / "run")
    data["evaluate"] = [{"task": "retrieval", "source": {"path": str(table), "name": "shown"}, "every_steps": 5}]
    path = folder / "run.toml"
    path.write_text(tomlkit.dumps(data), encoding="utf-8")
    done = diptych("train", path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(folder / "run" / "model")
    assert "step 10/10" in done.stderr
    assert "shown/text_to_image_r1" in done.stderr
    return path


def test_the_model_loads_classifies_and_has_a_card(config: Path) -> None:
    folder = config.parent / "run" / "model"
    labels = diptych(
        "classify", config.parent / "pairs" / "000.png", "--labels", "red,blue", "--model", folder, "--json"
    )
    assert {label["name"] for label in json.loads(labels.stdout)[0]["labels"]} == {"red", "blue"}
    card = (folder / "README.md").read_text()
    assert all(part in card for part in ("| shapes | 48 | 100.0% |", "10 steps of 12 pairs", "shown/text_to_image_r10"))
    assert "## Limits\n\nIt knows what its pairs showed it, in their words, and repeats their mistakes" in card
    written = card.split("## Configuration\n\n```json\n")[1].split("```")[0]
    assert from_dict(RunConfig, json.loads(written), where="the card") == read_config(config)
    training = package.load(folder).checkpoint.training
    assert training is not None
    assert training["train"]["batch_size"] == 12
    with Image.open(folder / "curves.png") as curves:
        assert curves.format == "PNG"


def test_the_log_has_what_a_plot_needs(config: Path) -> None:
    run = config.parent / "run"
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert {"step", "loss", "loss/shapes", "logit_scale", "lr", "grad_norm", "pairs_per_second"} <= rows[0].keys()
    assert [row["step"] for row in rows if "shown/text_to_image_r1" in row] == [5, 10]
    assert list((run / "tensorboard").iterdir())
    assert diptych("plot", run, "-o", run / "again.png").stdout.strip() == str(run / "again.png")
    with Image.open(run / "again.png") as image:
        assert min(image.size) > 500


def test_a_dry_run_estimates_and_writes_nothing(config: Path) -> None:
    done = diptych("train", config, "--dry-run", "--set", "run=nowhere")
    assert done.returncode == 0, done.stderr
    for line in ("parameters", "a step", "data wait", "text padding", "peak memory", "the whole run  10 steps"):
        assert line in done.stdout
    assert not Path("nowhere").exists()


TERABYTES = ["--set", "model.config.text.width=65536", "--set", "model.config.text.vocab_size=10000000"]


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["missing.toml"], 2, "missing.toml: cannot be read (no such file or directory)"),
        (["CONFIG"], 1, "exists: --resume goes on with that run, or give another folder with --set run=..."),
        (["CONFIG", "--resume", "--set", "optimiser.lr=1"], 1, "The config differs from that of the run in"),
        (["CONFIG", "--set", "run=new", "--set", "data.sources.0.path=nowhere.csv"], 1, "nowhere.csv"),
        (["CONFIG", "--set", "run=new", "--set", "data.sources.0.caption_column=words"], 1, "words"),
        (["CONFIG", "--set", "run=new", "--set", "train.batch_size=400"], 1, "larger than the data, 48 samples"),
        (["CONFIG", "--set", "run=new", "--set", "model.image_size=4"], 2, "must hold at least one patch of 8"),
        (["CONFIG", "--set", "run=new", "--set", f"seed={'[' * 9_000}"], 2, "seed must be a whole number"),
        (["CONFIG", "--set", "run=new", "--set", "evaluate.0.task=zero-shot"], 1, "is it a set for retrieval?"),
        (["CONFIG", "--set", "run=new", "--set", f"model.image_size={10**30}"], 2, "must be at most 16,384, got 1000"),
        (["CONFIG", "--set", "run=new", "--set", "model.image_size=33"], 2, "that fit are 32 x 32 and 40 x 40."),
        (["CONFIG", "--set", "run=new", *TERABYTES], 1, "There is not enough memory"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(config: Path, arguments: list[str], status: int, message: str) -> None:
    done = diptych("train", *[str(config) if each == "CONFIG" else each for each in arguments])
    assert (done.returncode, done.stderr.count("\n")) == (status, 1), done.stderr
    assert message in done.stderr
    assert not Path("new").exists()


def test_a_plot_of_no_run_is_refused(tmp_path: Path) -> None:
    done = diptych("plot", tmp_path)
    assert done.returncode == 1
    assert "is not the folder of a run: it has no metrics.jsonl" in done.stderr


def test_a_plot_below_a_file_is_refused_by_the_name_that_was_given(config: Path) -> None:
    done = diptych("plot", config.parent / "run", "-o", "pyproject.toml/x.png")
    assert (done.returncode, done.stderr) == (
        1,
        "diptych: pyproject.toml/x.png cannot be written: there is no folder pyproject.toml.\n",
    )


def train_on_a_full_disk(config: Path, room: int, *settings: str) -> subprocess.CompletedProcess[str]:
    """A run none of whose files may grow larger than `room` bytes."""

    def limit_files() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))

    command = [sys.executable, "-m", "diptych", "train", str(config)]
    command += [each for setting in settings for each in ("--set", setting)]
    done = subprocess.run(
        command, capture_output=True, text=True, env=environment(), preexec_fn=limit_files, timeout=120, check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    return done


def test_a_full_disk_ends_the_run_in_one_line_and_leaves_nothing_half_written(config: Path, tmp_path: Path) -> None:
    done = train_on_a_full_disk(config, 100_000, f"run={tmp_path / 'run'}")  # less than a state needs
    assert "step-000000004 could not be written" in done.stderr
    assert "Free some space and go on with --resume." in done.stderr
    assert list((tmp_path / "run" / "states").iterdir()) == []


def test_a_disk_too_full_for_a_log_is_said_in_one_line(config: Path, tmp_path: Path) -> None:
    done = train_on_a_full_disk(config, 1024, f"run={tmp_path / 'run'}", "log_every_steps=1", "save.every_steps=1000")
    metrics = tmp_path / "run" / "metrics.jsonl"
    assert done.stderr.splitlines()[-1] == (
        f"diptych: {metrics} could not be written (File too large); there is no earlier state. Free some space and go "
        "on with --resume."
    )
    assert metrics.stat().st_size <= 1024


def test_a_disk_too_full_for_anything_is_said_in_a_line_each(config: Path, tmp_path: Path) -> None:
    done = train_on_a_full_disk(config, 30, f"run={tmp_path / 'run'}")
    first, last = done.stderr.splitlines()
    assert first == "TensorBoard's log could not be written (File too large): the run goes on without it."
    assert f"{tmp_path / 'run' / 'metrics.jsonl'} could not be written (File too large);" in last


def test_a_disk_too_full_for_the_log_of_bad_samples_is_said_in_one_line(tmp_path: Path) -> None:
    table = write_pairs(tmp_path / "pairs")
    for path in (tmp_path / "pairs").glob("*.png"):
        path.write_bytes(b"no image")
    open_source(SourceConfig(path=str(table)))  # so that its index is there, which has to be written once
    path = tmp_path / "run.toml"
    path.write_text(tomlkit.dumps(settings(table, tmp_path / "run")), encoding="utf-8")
    done = train_on_a_full_disk(path, 500)
    assert f"{tmp_path / 'run'}/bad-samples-*.log could not be written (File too large);" in done.stderr


def test_a_disk_too_full_for_the_index_of_the_data_is_said_in_one_line(tmp_path: Path) -> None:
    table = write_pairs(tmp_path / "pairs")
    path = tmp_path / "run.toml"
    path.write_text(tomlkit.dumps(settings(table, tmp_path / "run")), encoding="utf-8")
    done = train_on_a_full_disk(path, 500)
    said = r"diptych: .* cannot be written to \(.*File too large.*\); free space, or set DIPTYCH_CACHE .*\n"
    assert re.fullmatch(said, done.stderr)
