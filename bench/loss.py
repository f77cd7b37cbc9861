"""CLIP's loss forward and backward in float32: Diptych's tiles beside the plain formula and open_clip's ClipLoss.

The three at 8,192 pairs x 512, by turns, each time in a new process, with one thread and with torch's default, a thread
a core; the first tells of the work even where the cores have other work, too. Then, with the default, Diptych's alone
at sizes whose logits would not fit: memory is compared with what the others need at 8,192, scaled with the square of
the pairs.
"""

import json
from typing import Any

from processes import HALVES, run_command
from setting import Row, Setting, summary

PAIRS, ROUNDS, STEPS = 8_192, 3, 2
MANY = (32_768, 65_536, 131_072)
SLOWEST, MOST_MEMORY = 1.3, 1 / 10
ONE_THREAD = "one thread"
THREADS = {ONE_THREAD: 1, "default threads": 0}
PEERS = {"plain": "the plain formula", "open_clip": "open_clip's ClipLoss"}


def run(setting: Setting) -> dict[str, Any]:
    pairs, rounds, many = (1_024, 1, (4_096,)) if setting.is_quick else (PAIRS, ROUNDS, MANY)
    pythons = {"diptych": setting.python, "plain": setting.python, "open_clip": setting.open_clip}
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {on: {name: [] for name in pythons} for on in THREADS}
    for _ in range(rounds):
        for on, threads in THREADS.items():
            for name, python in pythons.items():
                runs[on][name].append(_measure(python, name, pairs, STEPS, threads))
    first = runs[ONE_THREAD]
    return {
        "pairs": pairs,
        "seconds": {
            on: {name: summary([each for one in found for each in one["seconds"]]) for name, found in of.items()}
            for on, of in runs.items()
        },
        "megabytes": {name: summary([one["megabytes"] for one in found]) for name, found in first.items()},
        "loss": {name: found[0]["loss"] for name, found in first.items()},
        "many": {str(more): _measure(setting.python, "diptych", more, 1, 0) for more in many},
    }


def _measure(python: str, name: str, pairs: int, steps: int, threads: int) -> dict[str, Any]:
    command = (python, HALVES / "loss_step.py", name, *map(str, (pairs, steps, threads)))
    measured: dict[str, Any] = json.loads(run_command(*command)["output"])
    return measured


def rows(result: dict[str, Any]) -> list[Row]:
    return [*_time_rows(result), _value_row(result), *_memory_rows(result)]


def _time_rows(result: dict[str, Any]) -> list[Row]:
    lines = []
    for on, seconds in result["seconds"].items():
        for peer, title in PEERS.items():
            ratio = seconds["diptych"]["median"] / seconds[peer]["median"]
            row = Row(
                what=f"{result['pairs']:,} pairs, {on}: time, against {title}",
                diptych=_time(seconds["diptych"]),
                peer=_time(seconds[peer]),
                reached=f"{ratio:.2f} of the time",
                aim=f"<= {SLOWEST:g}",
                is_met=ratio <= SLOWEST,
            )
            lines.append(row)
    return lines


def _time(found: dict[str, Any]) -> str:
    return f"{found['median']:.2f} s ({found['min']:.2f}..{found['max']:.2f})"


def _value_row(result: dict[str, Any]) -> Row:
    losses = result["loss"]
    difference = max(abs(losses["diptych"] - losses[peer]) for peer in PEERS)
    what = f"{result['pairs']:,} pairs: largest difference of the loss, which is {losses['plain']:.4f}"
    return Row(what=what, reached=f"{difference:.1e}", aim="<= 1e-5", is_met=difference <= 1e-5)


def _memory_rows(result: dict[str, Any]) -> list[Row]:
    pairs, lines = result["pairs"], []
    of_peers = {title: result["megabytes"][peer]["median"] for peer, title in PEERS.items()}
    own = result["megabytes"]["diptych"]["median"]
    held = ", ".join(f"{megabytes:,.0f} MB ({title})" for title, megabytes in of_peers.items())
    lines.append(
        Row(what=f"{pairs:,} pairs: memory", diptych=f"{own:,.0f} MB", peer=held, reached=_share(own, of_peers))
    )
    for size, measured in result["many"].items():
        own = measured["megabytes"]
        scaled = {title: megabytes * (int(size) / pairs) ** 2 for title, megabytes in of_peers.items()}
        row = Row(
            what=f"{int(size):,} pairs: memory, and time",
            diptych=f"{own:,.0f} MB, {measured['seconds'][0]:.0f} s",
            peer=", ".join(f"{megabytes / 1e3:,.1f} GB" for megabytes in scaled.values()) + " (scaled)",
            reached=_share(own, scaled),
            aim=f"<= 1/{1 / MOST_MEMORY:.0f}",
            is_met=own / min(scaled.values()) <= MOST_MEMORY,
        )
        lines.append(row)
    return lines


def _share(own: float, of_peers: dict[str, float]) -> str:
    return " and ".join(f"1/{megabytes / own:.0f}" for megabytes in of_peers.values()) + " of the memory"
