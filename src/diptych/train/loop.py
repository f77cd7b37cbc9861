"""The run: batch after batch, its state saved on the way, stopped cleanly, gone on with exactly."""

import json
import math
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean

from diptych.data.loader import BadSamples, Batch
from diptych.data.sample import DataError
from diptych.encode.torch_encoder import TorchEncoder
from diptych.errors import DiptychError
from diptych.train.config import RunConfig
from diptych.train.distributed import LateSums, World, is_agreed, join_world, sum_of
from diptych.train.log import RunLog, cut_bad_samples, log_bad_samples, progress_line
from diptych.train.loss_watch import LossWatch
from diptych.train.plot import check_can_plot
from diptych.train.result import write_result
from diptych.train.resume import check_goes_on, facts_of, find_state
from diptych.train.schedule import learning_rate_share
from diptych.train.setup import Run, set_up
from diptych.train.sources import losses_by_source
from diptych.train.state import State, drop_states, keep_last_states, newest_state, restore, save_state, writing
from diptych.train.step import StepResult
from diptych.train.stopping import stop_on_signals

Measure = Callable[[TorchEncoder], Mapping[str, float]]


class DivergedError(DiptychError):
    """A loss that is no number any more, or far above that of guessing."""


@dataclass(frozen=True, kw_only=True)
class Evaluator:
    """Measures the model while it learns: every so many steps (None: each epoch), and at the end."""

    name: str
    every_steps: int | None
    measure: Measure


@dataclass(kw_only=True)
class _Window:
    """What happened since the last row of the log."""

    started: float = field(default_factory=time.monotonic)
    pairs: int = 0
    waited: float = 0.0


def train(config: RunConfig, *, resume: bool = False, evaluators: Sequence[Evaluator] = ()) -> Path | None:
    """Train a model to the end and return its folder; None if a signal stopped the run, its state saved.

    With `resume` a run in the same folder goes on where its last whole state stands, whatever the number of processes.
    Raises DiptychError or ValueError, in one line, for data, configs and states that cannot be used.
    """
    with join_world(config.device) as world:
        return _train(config, world, resume, evaluators)


def _train(config: RunConfig, world: World, resume: bool, evaluators: Sequence[Evaluator]) -> Path | None:
    state = find_state(config, resume=resume)
    if not is_agreed(state.step if state else -1, world):
        raise DiptychError(f"The processes find different states in {config.run}: give a folder that all share.")
    check_can_plot()  # now, not when the run is over
    run = set_up(config, world)
    if state is not None:
        check_goes_on(run, state)
        restore(run.learner, state)
    return _Loop(run, state, evaluators).to_the_end()


class _Loop:
    def __init__(self, run: Run, state: State | None, evaluators: Sequence[Evaluator]) -> None:
        self.run, self.config, self.world = run, run.config, run.world
        self.evaluators = evaluators
        facts = state.facts if state else {}
        self.step = self.first_step = state.step if state else 0
        self.seconds_before = float(facts.get("seconds", 0.0))
        before = facts.get("bad_samples", {}) if self.world.is_first else {}  # that of all processes, counted once
        self.bad = BadSamples(self.config.data.bad_sample_limit, **before)
        self.started = self.saved_at = time.monotonic()
        self.unchecked: tuple[int, StepResult, Batch] | None = None
        self.watch = LossWatch(self.config.train.batch_size, first_loss=float(facts.get("first_loss", 0.0)))
        self.is_first_half = True  # what it has learnt is judged once half-way, and at the end
        self.saved_step = self.step if state else -1
        self.is_state_unproven = True  # until the loss after it is sound, older states are kept beside the last
        self.sums = LateSums(self.world)
        self.stop = threading.Event()
        self.states = self.config.run / "states"
        self.log: RunLog | None = None
        self.config.run.mkdir(parents=True, exist_ok=True)
        with writing(self._logs_of_bad_samples, self.states):
            cut_bad_samples(self.config.run, self.step, rank=self.world.rank, processes=self.world.size)
        if self.world.is_first:
            with writing(self.config.run / "metrics.jsonl", self.states):
                self.log = RunLog(self.config.run, step=self.step)

    def to_the_end(self) -> Path | None:
        """All steps that are left."""
        batches = self.run.loader.iterate(self.step)
        window = _Window()
        try:
            with stop_on_signals(self.stop, is_first=self.world.is_first):
                while self.step < self.run.steps:
                    asked = time.monotonic()
                    batch = next(batches)
                    window.waited += time.monotonic() - asked
                    window = self._learn(batch, window)
                    if self._is_asked_to_stop():
                        self.sums.close()
                        return None
            self.sums.close()
            if self.first_step == self.run.steps:  # it was stopped between its last state and its last evaluation
                self._evaluate(is_last=True)
            return self._finished()
        finally:
            batches.close()
            if self.log is not None:
                self.log.close()

    def _learn(self, batch: Batch, window: _Window) -> _Window:
        """One step and whatever is due after it; the window that goes on."""
        self._count_bad(batch)
        share = learning_rate_share(self.step, steps=self.run.steps, warmup_steps=self.config.optimiser.warmup_steps)
        result = self.run.learner.step(batch, self.step, share)
        self._check_last_loss()  # while the device is busy with this step
        self.step += 1
        self.unchecked = (self.step, result, batch)
        window.pairs += len(batch.keys)
        is_last = self.step == self.run.steps
        if self.step % self.config.log_every_steps == 0 or is_last:
            self._log(batch, result, share, window)
            window = _Window()
        if is_last or (self.config.save.every_steps and self.step % self.config.save.every_steps == 0):
            self._save(is_last=is_last)
        self._evaluate(is_last=is_last)
        return window

    def _count_bad(self, batch: Batch) -> None:
        if batch.bad:
            with writing(self._logs_of_bad_samples, self.states):
                log_bad_samples(self.config.run, self.step + 1, batch.bad, rank=self.world.rank)
        self.bad.count(batch)

    def _check_last_loss(self, *, is_last: bool = False) -> None:
        """Stop a run whose loss is lost. A step late, so that no step waits for the one before to be read."""
        if self.unchecked is None:
            return
        step, result, batch = self.unchecked
        self.unchecked = None
        loss, norm = float(result.loss), float(result.grad_norm)
        self.watch.see(step, loss)
        # A gradient that is no number has spoilt the weights; only loss scaling leaves such a step out.
        is_sound = math.isfinite(loss) and (math.isfinite(norm) or self.run.learner.scaler.is_enabled())
        if not is_sound or self.watch.has_exploded(step, is_last=is_last):
            raise self._diverged(step, loss, norm, batch)
        if self.world.is_first and self.is_state_unproven and self.watch.exploding_since is None:
            self.is_state_unproven = False
            keep_last_states(self.states, self.config.save.keep)

    def _diverged(self, step: int, loss: float, norm: float, batch: Batch) -> DivergedError:
        report = self.config.run / f"diverged-step-{step}-rank-{self.world.rank}.json"
        listed = f", listed in {report}"
        try:
            report.write_text(json.dumps({"step": step, "loss": str(loss), "samples": batch.keys}, indent=1))
        except OSError:  # the disk is full, too
            listed = ""
        # The state of a step has the weights that gave the loss of the next.
        first_lost = self.watch.exploding_since or (step + 1 if math.isfinite(loss) else step)
        guessing = f"(guessing gives {self.watch.guessing:.2f})"
        what = f"The loss is {loss:.4g} at step {step:,} {guessing}, its gradient {norm:.4g} long"
        first = batch.keys[0] if batch.keys else "no sample of this process"
        where = f"on {first} and {max(0, len(batch.keys) - 1)} others{listed}"
        return DivergedError(
            f"{what}, {where}. {self._last_good_state(first_lost - 2)}: lower optimiser.lr, lengthen the warm-up, or "
            "look at those samples."
        )

    def _last_good_state(self, up_to_step: int) -> str:
        """Which it is; a later one is deleted, so that no run goes on from it."""
        if self.world.is_first:
            drop_states(self.states, after_step=up_to_step)
        state, _ = newest_state(self.states, up_to_step=up_to_step)
        return f"The last good state is that of step {state.step:,}" if state else "No state was saved before"

    def _log(self, batch: Batch, result: StepResult, lr_share: float, window: _Window) -> None:
        pairs, waited, bad = sum_of([window.pairs, window.waited / self.world.size, self.bad.bad], self.world)
        share = self.config.train.share_positives
        by_source = losses_by_source(result.features, batch, self.run.sources, self.world, share_positives=share)
        seconds = time.monotonic() - window.started
        if self.log is None:
            return
        numbers = {
            "epoch": self.step / self.run.steps_per_epoch,
            "loss": float(result.loss),
            "logit_scale": float(result.features.logit_scale),
            "lr": self.config.optimiser.lr * lr_share,
            "grad_norm": float(result.grad_norm),
            "pairs_per_second": pairs / seconds,
            "data_wait_share": waited / seconds,
            "bad_samples": int(bad),
            "seconds": self._seconds(),
            **by_source,
        }
        self._write(numbers)
        rate = (self.step - self.first_step) / (time.monotonic() - self.started)
        left = (self.run.steps - self.step) / rate
        is_last = self.step == self.run.steps
        self.log.show(progress_line(self.step, self.run.steps, numbers, left), is_last=is_last)
        if by_source and batch.keys:
            self.watch.see_row(fmean(by_source.values()), len(batch.keys))
        if is_last or (self.is_first_half and 2 * self.step >= self.run.steps):
            self.is_first_half = False
            if (line := self.watch.found_nothing_learnt(is_last=is_last)) is not None:
                self.log.say(line)

    def _write(self, numbers: Mapping[str, float]) -> None:
        assert self.log is not None
        with writing(self.log.path, self.states):
            self.log.write(self.step, numbers)

    def _save(self, *, is_last: bool = False) -> None:
        """The state, so that the next step would be the same after a kill; none while the loss is exploded."""
        self._check_last_loss(is_last=is_last)  # never save what is lost
        if self.saved_step == self.step or self.watch.exploding_since is not None:
            return
        self.saved_step = self.step
        bad, seen = sum_of([self.bad.bad, self.bad.seen], self.world)
        if self.world.is_first:
            facts = {
                **facts_of(self.run),
                "bad_samples": {"bad": int(bad), "seen": int(seen)},
                "first_loss": self.watch.first_loss,
                "seconds": self._seconds(),
            }
            save_state(self.states, self.step, self.run.learner, facts)
            self.is_state_unproven = True
            if is_last:
                keep_last_states(self.states, self.config.save.keep)
            self.saved_at = time.monotonic()

    def _evaluate(self, *, is_last: bool) -> None:
        if self.log is None:
            return
        epochs = math.floor(self.step / self.run.steps_per_epoch)
        is_epoch = epochs > math.floor((self.step - 1) / self.run.steps_per_epoch)
        due = [
            evaluator
            for evaluator in self.evaluators
            if is_last or (self.step % evaluator.every_steps == 0 if evaluator.every_steps else is_epoch)
        ]
        if not due:
            return
        encoder = TorchEncoder(self.run.checkpoint(), device=str(self.world.device), preprocess="fast")
        numbers: dict[str, float] = {}
        for each in due:
            try:
                numbers |= {f"{each.name}/{name}": value for name, value in each.measure(encoder).items()}
            except (DiptychError, OSError) as error:  # what was learnt is worth more than one measure of it
                self.log.say(f"{each.name} could not be measured: {error}")
        self._write(numbers)
        self.log.say(f"step {self.step:,}: " + "  ".join(f"{name} {value:.4g}" for name, value in numbers.items()))

    def _is_asked_to_stop(self) -> bool:
        """What concerns all processes in the same step: too many bad samples, a state due by the clock, a signal."""
        minutes = self.config.save.every_minutes
        is_late = self.world.is_first and minutes is not None and time.monotonic() - self.saved_at >= 60 * minutes
        if is_late:
            self.saved_at = time.monotonic()  # the state that this asks for is on its way
        bad, seen, late, stop = self.sums.exchange([self.bad.bad, self.bad.seen, is_late, self.stop.is_set()])
        self._check_bad(bad, seen)
        if late or stop:
            self._save()
        if stop and self.log is not None:
            self.log.say(f"Stopped after step {self.step:,}, {self._how_to_go_on()}")
        return bool(stop)

    def _how_to_go_on(self) -> str:
        if (since := self.watch.exploding_since) is None:
            return "its state saved: go on with --resume."
        good = self._last_good_state(since - 2)
        return f"its state not saved, since the loss exploded at step {since:,}. {good}: --resume goes on from there."

    def _check_bad(self, bad: float, seen: float, *, is_last: bool = False) -> None:
        try:
            self.bad.check(bad, seen, is_last=is_last)
        except DataError as error:
            last = " The last state is kept." if is_last else ""
            raise DataError(
                f"{error} All are in {self._logs_of_bad_samples}.{last} Mend them and start anew, or raise "
                "data.bad_sample_limit and go on with --resume."
            ) from error

    def _finished(self) -> Path | None:
        bad, seen = sum_of([self.bad.bad, self.bad.seen], self.world)
        self._check_bad(bad, seen, is_last=True)
        if self.log is None:
            return None
        if bad:
            logs = self._logs_of_bad_samples
            self.log.say(f"{int(bad):,} of {int(seen):,} samples could not be used and were left out: see {logs}.")
        with writing(self.config.run / "model", self.states):
            return write_result(self.run)

    @property
    def _logs_of_bad_samples(self) -> Path:
        return self.config.run / "bad-samples-*.log"

    def _seconds(self) -> float:
        return self.seconds_before + time.monotonic() - self.started
