"""Fast preprocessing beside exact: time on one core, features and pixels, on two files of each of 17 photographs."""

import json
import statistics
from typing import Any

from processes import HALVES, run_command
from setting import Row, Setting

PHOTOS = 34


def run(setting: Setting) -> dict[str, Any]:
    count = 3 if setting.is_quick else PHOTOS
    script, model = HALVES / "exact_and_fast.py", setting.weights["diptych"]
    return {
        kind: json.loads(run_command(setting.python, script, model, *setting.photos(kind, count))["output"])
        for kind in ("small", "large")
    }


def rows(result: dict[str, Any]) -> list[Row]:
    lines = []
    for kind, photo in (("small", "500 x 375"), ("large", "12 megapixels")):
        found = result[kind]
        exact, fast = (statistics.median(found[method]) for method in ("exact", "fast"))
        mean, worst = statistics.mean(found["cosine"]), min(found["cosine"])
        noise = f"{statistics.mean(found['decibels']):.1f} dB, worst {min(found['decibels']):.1f} dB"
        lines += [
            Row(
                what=f"fast against exact, {photo}, one core",
                diptych=f"{fast:.1f} ms",
                peer=f"{exact:.1f} ms (exact)",
                reached=f"{exact / fast:.1f} times",
            ),
            Row(
                what=f"fast against exact, {photo}: mean cosine of features",
                reached=f"{mean:.5f} (worst {worst:.5f})",
                aim=">= 0.999",
                is_met=mean >= 0.999,
            ),
            Row(what=f"fast against exact, {photo}: pixels", reached=noise),
        ]
    return lines
