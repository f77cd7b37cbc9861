"""What a run writes down: TensorBoard's numbers, the loss source by source, bad samples, the live line."""

import os
import pty
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import tomlkit
import torch
import torch.nn.functional as F
from tensorboard.backend.event_processing.event_file_loader import EventFileLoader  # type: ignore[import-untyped]

from diptych.data.loader import Batch
from diptych.data.sample import DataError
from diptych.train.distributed import World
from diptych.train.log import read_metrics
from diptych.train.loop import train
from diptych.train.sources import losses_by_source
from diptych.train.state import newest_state
from diptych.train.towers import Features
from memory_source import MemorySource
from pairs import run_config, settings, write_pairs

ALONE = World(rank=0, size=1, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"))


@pytest.fixture
def table_with_bad_files(tmp_path: Path) -> Path:
    """Forty of the forty-eight pictures are none."""
    table = write_pairs(tmp_path / "pairs")
    for i in range(40):
        (tmp_path / "pairs" / f"{i:03d}.png").write_bytes(b"no image")
    return table


def drop_last_state(run: Path) -> None:
    """As if the run had been killed before."""
    shutil.rmtree(max((run / "states").iterdir()))


def scalars(run: Path, name: str) -> dict[int, float]:
    events = [event for path in sorted(run.glob("tensorboard/*")) for event in EventFileLoader(str(path)).Load()]
    return {
        event.step: value.tensor.float_val[0] for event in events for value in event.summary.value if value.tag == name
    }


def test_tensorboard_reads_back_what_metrics_hold_after_a_resume_too(table: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    train(run_config(table, run))
    drop_last_state(run)
    train(run_config(table, run), resume=True)
    assert len(list(run.glob("tensorboard/events.out.tfevents.*"))) == 2
    for name in ("loss", "logit_scale"):
        logged = {row["step"]: row[name] for row in read_metrics(run / "metrics.jsonl")}
        assert scalars(run, name) == pytest.approx(logged, rel=1e-5)


def test_a_run_goes_on_without_tensorboard_where_its_log_cannot_be_written(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    train(run_config(table, run))
    drop_last_state(run)
    shutil.rmtree(run / "tensorboard")
    (run / "tensorboard").write_text("a file stands where the folder was")
    capsys.readouterr()
    assert train(run_config(table, run), resume=True) == run / "model"
    said = "TensorBoard's log could not be written (File exists): the run goes on without it."
    assert capsys.readouterr().err.count(said) == 1


def test_the_loss_of_each_source_is_that_of_its_images_among_all_texts() -> None:
    # Images and texts are unit vectors of two dimensions, logits their cosines times 2.
    #            text 0 (1, 0)  text 1 (0, 1)  text 2 (0, 1)
    # image 0 (1, 0)       2              0              0      its own text 0:  ln(e^2 + 2) - 2
    # image 1 (0, 1)       0              2              2      its own text 1:  ln(2 e^2 + 1) - 2
    # image 2 (1, 0)       2              0              0      its own text 2:  ln(e^2 + 2) - 0
    a, b = [1.0, 0.0], [0.0, 1.0]
    features = Features(torch.tensor([a, b, a]), torch.tensor([a, b, b]), torch.tensor(2.0), None)
    batch = Batch(
        step=0,
        images=torch.zeros((3, 3, 1, 1), dtype=torch.uint8),
        tokens=[[1]] * 3,
        image_ids=torch.tensor([0, 1, 2]),
        text_ids=torch.tensor([0, 1, 0]),
        sources=torch.tensor([0, 0, 2]),
        keys=["a/0", "a/1", "c/0"],
        seeds=torch.zeros(3, dtype=torch.int64),
        bad=[],
    )
    sources = [MemorySource(name=name, samples=[]) for name in ("a", "b", "c")]
    losses = losses_by_source(features, batch, sources, ALONE, share_positives=False)
    # ln(e^2 + 2) = 2.239545, ln(2 e^2 + 1) = 2.758624
    assert losses == pytest.approx({"loss/a": (0.239545 + 0.758624) / 2, "loss/c": 2.239545}, abs=1e-5)
    # Texts 0 and 2, of one id, are equally right for images 0 and 2: the mean of their logits, 2 and 0, is 1.
    shared = losses_by_source(features, batch, sources, ALONE, share_positives=True)
    assert shared == pytest.approx({"loss/a": (1.239545 + 0.758624) / 2, "loss/c": 1.239545}, abs=1e-5)
    plain = F.cross_entropy(2 * features.image @ features.text.T, torch.arange(3), reduction="none")
    assert losses["loss/a"] == pytest.approx(float(plain[:2].mean()))


def test_a_resumed_run_logs_each_bad_sample_once(tmp_path: Path) -> None:
    table = write_pairs(tmp_path / "pairs")
    for i in range(6):
        (tmp_path / "pairs" / f"{i:03d}.png").write_bytes(b"no image")
    run, log = tmp_path / "run", tmp_path / "run" / "bad-samples-0.log"
    config = run_config(table, run, data={"bad_sample_limit": 0.3})
    train(config)
    whole = log.read_text()
    assert whole.count("\n") == read_metrics(run / "metrics.jsonl")[-1]["bad_samples"] > 6
    drop_last_state(run)  # steps 9 and 10 come again
    with log.open("a") as file:
        file.write("step 10: shapes/0")  # cut off by a kill
    (run / "bad-samples-3.log").write_text("step 1: of a process that is no more\nstep 9: the same\n")
    train(config, resume=True)
    assert log.read_text() == whole
    assert (run / "bad-samples-3.log").read_text() == "step 1: of a process that is no more\n"


def test_a_short_run_of_mostly_bad_samples_ends_with_an_error_and_its_state(table_with_bad_files: Path) -> None:
    run = table_with_bad_files.parent / "run"
    train_settings = {"steps": 4, "batch_size": 20}
    config = run_config(table_with_bad_files, run, train=train_settings)
    with pytest.raises(DataError) as caught:
        train(config)
    assert re.match(
        r"\d\d of the 80 samples so far could not be used \(8\d\.\d%; bad_sample_limit is 1", str(caught.value)
    )
    assert f"All are in {run}/bad-samples-*.log. The last state is kept." in str(caught.value)
    assert "raise data.bad_sample_limit and go on with --resume" in str(caught.value)
    assert not (run / "model").exists()
    state, _ = newest_state(run / "states")
    assert state is not None
    assert state.step == 4
    generous = run_config(table_with_bad_files, run, train=train_settings, data={"bad_sample_limit": 0.9})
    assert train(generous, resume=True) == run / "model"


def test_a_terminal_shows_one_live_line(table: Path, tmp_path: Path) -> None:
    config = tmp_path / "config.toml"
    config.write_text(tomlkit.dumps(settings(table, tmp_path / "run", log_every_steps=1)), encoding="utf-8")
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "diptych", "train", str(config)], stdout=subprocess.DEVNULL, stderr=theirs
    )
    os.close(theirs)
    shown = b""
    while chunk := read_terminal(ours):
        shown += chunk
    assert process.wait(timeout=60) == 0
    lines = shown.decode().replace("\r\n", "\n").split("\r\x1b[2K")
    pattern = r"step \d+/10  loss \d+\.\d{4}  scale \d+\.\d  [\d,]+ pairs/s  data wait \d+%  ETA \d+:\d\d:\d\d"
    assert all(re.fullmatch(pattern, line.rstrip("\n")) for line in lines[1:]), lines
    assert [line.split()[1] for line in lines[1:]] == [f"{step}/10" for step in range(1, 11)]
    assert ["\n" in line for line in lines] == [False] * 10 + [True]  # each takes the place of the one before


def read_terminal(descriptor: int) -> bytes:
    try:
        return os.read(descriptor, 65536)
    except OSError:  # the other side has been closed
        return b""
