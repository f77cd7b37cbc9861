"""Captions to (N, 77) int64 rows of token ids: Diptych against open_clip, which must give the same rows.

Each round starts both in new processes, one after the other, and times the whole batch from cold caches (`first`:
Diptych reads its vocabulary in it, open_clip has at import) and again (`second`).
"""

import json
from typing import Any

from processes import HALVES, run_command
from setting import Row, Setting, at_least, summary

COUNT, ROUNDS = 100_000, 5


def run(setting: Setting) -> dict[str, Any]:
    count, rounds = (1_000, 1) if setting.is_quick else (COUNT, ROUNDS)
    pythons = {"diptych": setting.python, "open_clip": setting.open_clip}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in pythons}
    for _ in range(rounds):
        for name, python in pythons.items():
            measured = run_command(python, HALVES / "captions_to_ids.py", name, str(count))
            runs[name].append(json.loads(measured["output"]))
    return {
        "captions": count,
        "seconds": {
            name: {turn: summary([each[turn] for each in found]) for turn in ("first", "second")}
            for name, found in runs.items()
        },
        "same_rows": len({each["rows"] for found in runs.values() for each in found}) == 1,
    }


def rows(result: dict[str, Any]) -> list[Row]:
    count, same = result["captions"], result["same_rows"]
    lines = [Row(what="token ids equal to open_clip's", reached="yes" if same else "no", aim="yes", is_met=same)]
    for turn in ("first", "second"):
        ours, theirs = (result["seconds"][name][turn]["median"] for name in ("diptych", "open_clip"))
        said = (f"{ours:.2f} s ({count / ours:,.0f}/s)", f"{theirs:.2f} s ({count / theirs:,.0f}/s)")
        lines.append(at_least(f"{count:,} captions, {turn} time", *said, theirs / ours, 1.5))
    return lines
