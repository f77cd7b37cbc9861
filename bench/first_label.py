"""From a new process to the first label: `diptych classify` against the shortest scripts that one would write with
transformers and open_clip. One photo, three labels, ViT-B/32 in fp32 on disk, everything in the page cache.
"""

import re
from pathlib import Path
from typing import Any

from processes import HALVES, run_command
from setting import Row, Setting, summary

ROUNDS = 9
LABELS = "cat,rocket,cup of coffee"


def run(setting: Setting) -> dict[str, Any]:
    photo = setting.photos("small", 8)[3]
    commands = _commands(setting, photo)
    runs: dict[str, list[dict[str, Any]]] = {name: [run_command(*command)] for name, command in commands.items()}
    for _ in range(1 if setting.is_quick else ROUNDS):
        for name, command in commands.items():
            runs[name].append(run_command(*command))
    warm = {name: found[1:] for name, found in runs.items()}
    return {
        "seconds": {name: summary([each["seconds"] for each in found]) for name, found in warm.items()},
        "megabytes": {name: summary([each["megabytes"] for each in found]) for name, found in warm.items()},
        "probabilities": {name: re.findall(r"[\d.]+%", found[0]["output"]) for name, found in runs.items()},
    }


def _commands(setting: Setting, photo: str) -> dict[str, list[str | Path]]:
    diptych, model = Path(setting.python).with_name("diptych"), setting.weights["diptych"]
    return {
        "diptych": [diptych, "classify", photo, "--labels", LABELS, "--model", model],
        "transformers": [
            *(setting.transformers, HALVES / "transformers_first_label.py"),
            *(setting.weights["huggingface"], photo, LABELS),
        ],
        "open_clip": [
            *(setting.open_clip, HALVES / "open_clip_first_label.py"),
            *(setting.open_clip_weights, photo, LABELS),
        ],
    }


def rows(result: dict[str, Any]) -> list[Row]:
    seconds = {name: found["median"] for name, found in result["seconds"].items()}
    said = {name: f"{seconds[name]:.2f} s, {result['megabytes'][name]['median']:.0f} MB" for name in seconds}
    lines = []
    for peer, aim in (("transformers", "<= 1/3"), ("open_clip", "")):
        ratio = seconds["diptych"] / seconds[peer]
        is_met = ratio <= 1 / 3 if aim else None
        what = f"new process to first label, against {peer}"
        lines.append(
            Row(what=what, diptych=said["diptych"], peer=said[peer], reached=f"{ratio:.2f}", aim=aim, is_met=is_met)
        )
    agree = len({tuple(found) for found in result["probabilities"].values()}) == 1
    reached = "yes" if agree else "no"
    lines.append(Row(what="the three print the same percentages", reached=reached, aim="yes", is_met=agree))
    return lines
