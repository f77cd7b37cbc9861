"""The state of a run on disk: all that its next step depends on, written whole or not at all, the last few kept."""

import json
import math
import re
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from diptych.errors import DiptychError
from diptych.files import atomic_folder, sha256_file
from diptych.train.step import Learner

_TENSORS, _FACTS = "state.safetensors", "state.json"
_VERSION = 1


class StateError(DiptychError):
    """A state that cannot be written, or none that can be read."""


@dataclass(frozen=True, kw_only=True)
class State:
    """After `step` steps. `facts` is plain data: the run's config, its counters, the loss scaler."""

    step: int
    tensors: dict[str, Tensor]
    facts: dict[str, Any]


@contextmanager
def writing(path: Path, states: Path) -> Iterator[None]:
    """StateError where `path` cannot be written in this block: what to do, and the last of the run's states."""
    from safetensors import SafetensorError

    try:
        yield
    except (OSError, SafetensorError) as error:
        kept = _newest_first(states)
        last = f"the last state is {kept[0]}" if kept else "there is no earlier state"
        is_blocked = isinstance(error, FileExistsError | NotADirectoryError | PermissionError)
        mend = f"Make {path.parent} a folder that can be written to" if is_blocked else "Free some space"
        reason = error.strerror if isinstance(error, OSError) and error.strerror else error
        raise StateError(f"{path} could not be written ({reason}); {last}. {mend} and go on with --resume.") from error


def save_state(folder: Path, step: int, learner: Learner, facts: Mapping[str, Any]) -> Path:
    """Write the state after `step` steps under `folder`.

    Raises StateError, the earlier states untouched, where it cannot be written.
    """
    from safetensors.torch import save_file

    path = folder / f"step-{step:09d}"
    for left in folder.glob(".step-*.tmp"):  # by a kill while it was written
        shutil.rmtree(left, ignore_errors=True)
    with writing(path, folder), atomic_folder(path) as building:
        save_file({name: t.contiguous() for name, t in _tensors(learner)}, building / _TENSORS)
        described = {
            "version": _VERSION,
            "step": step,
            "sha256": sha256_file(building / _TENSORS),
            "scaler": learner.scaler.state_dict(),
            **facts,
        }
        (building / _FACTS).write_text(json.dumps(described, indent=2) + "\n", encoding="utf-8")
    return path


def keep_last_states(folder: Path, keep: int) -> None:
    """Delete all but the last `keep`."""
    for old in _newest_first(folder)[keep:]:
        shutil.rmtree(old, ignore_errors=True)


def drop_states(folder: Path, *, after_step: int) -> None:
    """Delete those of later steps."""
    for late in _newest_first(folder):
        if _step_of(late) > after_step:
            shutil.rmtree(late, ignore_errors=True)


def newest_state(folder: Path, *, up_to_step: float = math.inf) -> tuple[State | None, list[str]]:
    """The last state that is whole, or None where there is none at all; and a line on each damaged one passed over.

    Raises StateError where there are states and all are damaged.
    """
    faults: list[str] = []
    for path in _newest_first(folder):
        if _step_of(path) > up_to_step:
            continue
        try:
            return _read(path), faults
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            faults.append(f"{path} is damaged ({reason}): passed over.")
    if faults:
        raise StateError(
            f"No state under {folder} can be read: {' '.join(faults)} Delete the run's folder to start anew."
        )
    return None, faults


@torch.no_grad()
def restore(learner: Learner, state: State) -> None:
    """Put the learner where the state was written, to the bit."""
    for name, tensor in _tensors(learner, fresh=True):
        if name not in state.tensors or state.tensors[name].shape != tensor.shape:
            raise StateError(f"The run's state does not fit its model: {name} is missing or of another shape.")
        tensor.copy_(state.tensors[name])
    if learner.scaler.is_enabled():
        learner.scaler.load_state_dict(state.facts["scaler"])


def _tensors(learner: Learner, *, fresh: bool = False) -> Iterator[tuple[str, Tensor]]:
    """All that changes from step to step, by name. `fresh` makes the optimiser's moments before its first step."""
    yield from learner.towers.state_dict().items()
    yield from ((f"start.{name}", tensor) for name, tensor in learner.start.items())
    if learner.average is not None:
        yield from ((f"average.{name}", tensor) for name, tensor in learner.average.tensors.items())
    for name, parameter in learner.towers.named_parameters():
        if parameter.requires_grad:
            moments = learner.optimiser.state[parameter]
            if fresh and not moments:
                moments |= {"step": torch.zeros((), device=parameter.device)}
                moments |= {moment: torch.zeros_like(parameter) for moment in ("exp_avg", "exp_avg_sq")}
            yield from ((f"adam.{moment}.{name}", tensor) for moment, tensor in sorted(moments.items()))


def _read(path: Path) -> State:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    facts = json.loads((path / _FACTS).read_text(encoding="utf-8"))
    if not (isinstance(facts["config"], dict) and isinstance(facts["step"], int)):
        raise ValueError("it does not say which step of which run it is")
    if facts["version"] != _VERSION:
        raise ValueError(f"its version is {facts['version']}, this Diptych reads {_VERSION}")
    if sha256_file(path / _TENSORS) != facts["sha256"]:
        raise ValueError("its tensors are not those that were written")
    try:
        return State(step=facts["step"], tensors=load_file(path / _TENSORS), facts=facts)
    except SafetensorError as error:
        raise ValueError(str(error)) from error


def _newest_first(folder: Path) -> list[Path]:
    """The states, by our names alone: a copy that someone keeps beside them is not ours to count or delete."""
    ours = (path for path in folder.glob("step-*") if re.fullmatch(r"step-\d{9,}", path.name))
    return sorted(ours, reverse=True) if folder.is_dir() else []


def _step_of(path: Path) -> int:
    return int(path.name.removeprefix("step-"))
