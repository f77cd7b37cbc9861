"""Going on with a run: the state to go on from, and whether config, data and numbers are those it came from."""

import warnings
from typing import Any

from diptych.errors import DiptychError
from diptych.settings import from_dict, to_dict
from diptych.train.config import RunConfig, changed_keys
from diptych.train.setup import Run
from diptych.train.state import State, newest_state


def find_state(config: RunConfig, *, resume: bool) -> State | None:
    """The newest whole state of the run's folder; None where the run begins."""
    folder = config.run
    if not resume:
        if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise DiptychError(
                f"{folder} exists: --resume goes on with that run, or give another folder with --set run=..."
            )
        return None
    state, faults = newest_state(folder / "states")
    for fault in faults:
        warnings.warn(fault)
    if state is None:
        if folder.is_dir() and any(folder.iterdir()) and not (folder / "metrics.jsonl").exists():
            raise DiptychError(f"{folder} is not the folder of a run: give that of the run to go on with.")
        warnings.warn(f"{folder} holds no state yet: the run begins at its first step.")
        return None
    # Read anew, so that a key which a later version added has its default there, too.
    before = from_dict(RunConfig, state.facts["config"], where=f"the state in {folder}")
    if changed := changed_keys(to_dict(before), to_dict(config)):
        differences = ", ".join(f"{key} was {was!r:.60} and is {now!r:.60}" for key, (was, now) in changed.items())
        raise DiptychError(
            f"The config differs from that of the run in {folder}: {differences}. Put the values back; or begin "
            "another run, with model.start from the model of this one once it has ended."
        )
    return state


def check_goes_on(run: Run, state: State) -> None:
    """Refuse data and numbers other than those that the state came from."""
    found, before = _sizes(run), state.facts.get("sources", {})
    if changed := [name for name in before if found.get(name) != before[name]]:
        name = changed[0]
        raise DiptychError(
            f"The data changed: {name} held {before[name]:,} pairs when the run was saved, and holds "
            f"{found.get(name, 0):,}. Put it back, or start a new run from its model with model.start."
        )
    computed_in = state.facts.get("precision", _precision(run))
    if computed_in != _precision(run):
        raise DiptychError(
            f"The run computed in {computed_in} and would go on in {_precision(run)}: set train.precision, or use a "
            "device that computes the same."
        )


def facts_of(run: Run) -> dict[str, Any]:
    """What a state keeps of its run, so that it is gone on with under the same."""
    return {"config": to_dict(run.config), "sources": _sizes(run), "precision": _precision(run)}


def _sizes(run: Run) -> dict[str, int]:
    return {source.name: len(source) for source in run.sources}


def _precision(run: Run) -> str:
    return str(run.learner.precision).removeprefix("torch.")
