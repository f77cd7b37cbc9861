"""A loss that is no number, explodes or stays where guessing leaves it: what stops, what is kept, what is said."""

import json
import math
import os
import signal
from pathlib import Path

import pytest

from diptych.encode.torch_encoder import TorchEncoder
from diptych.train.config import RunConfig
from diptych.train.log import read_metrics
from diptych.train.loop import DivergedError, Evaluator, train
from diptych.train.loss_watch import LossWatch
from diptych.train.state import newest_state
from pairs import run_config, write_pairs


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"))


# The bias of all logits takes a step of a thousand, which is then the loss; the towers stay as they are.
EXPLOSIVE = {"lr": 1e3, "vision_lr": 0.0, "text_lr": 0.0, "warmup_steps": 0}


def siglip(table: Path, run: Path, **changes: object) -> RunConfig:
    return run_config(table, run, **{"train": {"steps": 40, "loss": "siglip"}, "log_every_steps": 1, **changes})


def stopping_after(step: int) -> list[Evaluator]:
    """What sends this process a Ctrl-C when it has learnt so many steps."""

    def measure(_: TorchEncoder) -> dict[str, float]:
        os.kill(os.getpid(), signal.SIGINT)
        return {}

    return [Evaluator(name="set", every_steps=step, measure=measure)]


def steps_saved(run: Path) -> list[int]:
    return sorted(int(path.name.removeprefix("step-")) for path in (run / "states").glob("*"))


def losses(run: Path) -> list[float]:
    return [row["loss"] for row in read_metrics(run / "metrics.jsonl") if "loss" in row]


@pytest.fixture
def healthy(table: Path, tmp_path: Path) -> Path:
    """A run stopped after its fourth step, whose rate explodes from there."""
    run = tmp_path / "run"
    config = siglip(table, run, save={"every_steps": 2})
    assert train(config, evaluators=stopping_after(4)) is None
    facts = run / "states" / "step-000000004" / "state.json"
    described = json.loads(facts.read_text())
    described["config"]["optimiser"] |= EXPLOSIVE
    facts.write_text(json.dumps(described))
    return run


def test_a_loss_that_is_no_number_stops_the_run_and_names_samples_and_state(table: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    # Each step takes the weights 99 times over to the other side of zero, until their products overflow.
    optimiser = {"lr": 1, "weight_decay": 100, "warmup_steps": 0}
    config = run_config(table, run, optimiser=optimiser, save={"every_steps": 1}, log_every_steps=1)
    with pytest.raises(DivergedError) as caught:
        train(config)
    step = len(losses(run))
    assert math.isnan(losses(run)[-1])
    message = str(caught.value)
    assert f"The loss is nan at step {step}" in message
    assert "and 11 others, listed in" in message
    assert "lower optimiser.lr" in message
    # The state of the step before has the weights of which the loss is no number.
    assert f"The last good state is that of step {step - 2}:" in message
    report = json.loads((run / f"diverged-step-{step}-rank-0.json").read_text())
    assert (report["step"], len(report["samples"])) == (step, 12)
    state, _ = newest_state(run / "states")
    assert state is not None
    assert state.step == step - 2
    assert all(tensor.isfinite().all() for tensor in state.tensors.values())


@pytest.mark.parametrize("save", [{"every_steps": 1, "keep": 1}, {"every_steps": 2}, {"every_minutes": 1e-6}], ids=str)
def test_no_state_is_of_an_exploded_loss(save: dict[str, float], table: Path, healthy: Path) -> None:
    config = siglip(table, healthy, optimiser=EXPLOSIVE, save=save)
    for _ in range(2):  # to go on without a change leads there again
        with pytest.raises(
            DivergedError, match=r"The last good state is that of step 4: lower optimiser\.lr"
        ) as caught:
            train(config, resume=True)
        assert losses(healthy)[4] < 10
        assert min(losses(healthy)[5:]) > 5 * losses(healthy)[0]
        assert "at step 15" in str(caught.value)  # the tenth of them
        assert steps_saved(healthy)[-1] == 4


def test_a_signal_while_the_loss_is_exploded_leaves_the_last_good_state(
    table: Path, healthy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = siglip(table, healthy, optimiser=EXPLOSIVE, save={"every_steps": 1})
    assert train(config, resume=True, evaluators=stopping_after(8)) is None
    said = capsys.readouterr().err
    assert "Stopped after step 8, its state not saved, since the loss exploded at step 6." in said
    assert "The last good state is that of step 4: --resume goes on from there." in said
    assert steps_saved(healthy)[-1] == 4


def test_a_run_that_ends_exploded_leaves_no_model(table: Path, healthy: Path) -> None:
    config = siglip(table, healthy, optimiser=EXPLOSIVE, train={"steps": 9, "loss": "siglip"})
    facts = healthy / "states" / "step-000000004" / "state.json"
    facts.write_text(facts.read_text().replace('"steps": 40', '"steps": 9'))
    with pytest.raises(DivergedError, match=r"at step 9 .* The last good state is that of step 4"):
        train(config, resume=True)
    assert not (healthy / "model").exists()


def test_a_loss_that_comes_back_has_not_exploded() -> None:
    watch = LossWatch(12)
    for step, loss in enumerate([3.0, *[16.0] * 9, 3.0, *[16.0] * 9], start=1):
        watch.see(step, loss)
        assert not watch.has_exploded(step, is_last=False)
    assert watch.exploding_since == 12
    watch.see(21, 16.0)
    assert watch.has_exploded(21, is_last=False)


@pytest.mark.parametrize(("loss", "lr"), [("clip", 0.3), ("clip", 1), ("siglip", 0.3)], ids=lambda value: str(value))
def test_a_collapsed_model_is_said_to_have_learnt_nothing(
    loss: str, lr: float, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = siglip(table, tmp_path / "run", optimiser={"lr": lr}, train={"steps": 30, "loss": loss})
    assert train(config) is not None
    said = [line for line in capsys.readouterr().err.splitlines() if "learnt nothing" in line]
    assert len(said) == 2  # half-way, and at the end
    assert "with a loss of 2.48" in said[-1]
    assert "guessing gives 2.485. Lower optimiser.lr" in said[-1]


@pytest.mark.parametrize("loss", ["clip", "siglip"])
def test_a_healthy_run_is_not(loss: str, table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    train(siglip(table, tmp_path / "run", train={"steps": 60, "loss": loss}, optimiser={"lr": 3e-3}))
    assert "learnt nothing" not in capsys.readouterr().err


def test_a_start_that_guesses_is_not_judged() -> None:
    watch = LossWatch(12)
    for _ in range(9):
        watch.see_row(math.log(12), 12)
        assert watch.found_nothing_learnt(is_last=False) is None
    assert watch.found_nothing_learnt(is_last=True) is not None
