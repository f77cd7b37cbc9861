"""JPEG files on disk to features: diptych.load(...).encode_images(paths) against open_clip's model and transform, fed
by a torch DataLoader with two workers and the best of four batch sizes. Photos of 500 x 375 with default settings, and
of 12 megapixels with fast preprocessing.
"""

from itertools import zip_longest
from pathlib import Path
from typing import Any

import numpy as np

from processes import Half
from setting import Row, Setting, at_least, best, peak_of, peak_row, spread, summary

BATCH_SIZES, PRECISIONS = (8, 16, 32, 64), ("fp32", "bf16")
COUNTS, ROUNDS = {"small": 400, "large": 40}, 3
# (dtype, preprocess) of what is measured of Diptych; the first is what the aim is about.
MEASURED = {
    "small": (("auto", "exact"), ("float32", "exact"), ("auto", "fast")),
    "large": (("auto", "fast"), ("float32", "fast"), ("auto", "exact")),
}


def run(setting: Setting) -> dict[str, Any]:
    with (
        Half(setting.python, "peak.py") as peak,
        Half(setting.python, "diptych_images.py", setting.weights["diptych"]) as ours,
        Half(setting.open_clip, "open_clip_images.py", setting.open_clip_weights) as theirs,
    ):
        peaks = [peak.ask()]
        measured = {}
        for kind in COUNTS:
            measured[kind] = _compare(setting, kind, ours, theirs)
            peaks += [peak.ask() for _ in range(3)]
        return {"peak_gflops": best(peaks), **measured}


def _compare(setting: Setting, kind: str, ours: Half, theirs: Half) -> dict[str, Any]:
    rounds, count = (1, 8) if setting.is_quick else (ROUNDS, COUNTS[kind])
    paths = setting.photos(kind, count)
    requests = _requests(kind, ours, theirs, paths)
    for half, request in requests.values():
        half.ask(paths=paths[:32], save=None, **request)  # loads, and warms up
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in requests}
    for _ in range(rounds):
        for name, (half, request) in requests.items():
            runs[name].append(half.ask(paths=paths, save=str(_saved(setting, name)), **request))
    return {
        "count": count,
        "bytes": sum(Path(path).stat().st_size for path in paths),
        "batch_sizes": {name: request["batch_size"] for name, (_, request) in requests.items() if "open_clip" in name},
        "flops_per_image": next(found[0]["flops_per_image"] for name, found in runs.items() if "diptych" in name),
        "dtype": {name: answers[0]["dtype"] for name, answers in runs.items()},
        "images_per_second": {name: summary([count / run["seconds"] for run in found]) for name, found in runs.items()},
        "features": {name: _compared(setting, name) for name in runs if name != "open_clip fp32"},
    }


def _requests(kind: str, ours: Half, theirs: Half, paths: list[str]) -> dict[str, tuple[Half, dict[str, Any]]]:
    """What is asked of whom, by name, in turns."""
    asked_of_us = {
        f"diptych {dtype} {preprocess}": (ours, {"dtype": dtype, "preprocess": preprocess})
        for dtype, preprocess in MEASURED[kind]
    }
    asked_of_them = {
        f"open_clip {precision}": (
            theirs,
            {"precision": precision, "batch_size": _best_batch_size(theirs, precision, paths)},
        )
        for precision in PRECISIONS
    }
    pairs = zip_longest(asked_of_us.items(), asked_of_them.items())
    return dict(turn for pair in pairs for turn in pair if turn)


def _best_batch_size(theirs: Half, precision: str, paths: list[str]) -> int:
    """The fastest of the candidates, the first of which is run twice: once to warm up."""
    tried = paths[:96]
    theirs.ask(precision=precision, batch_size=BATCH_SIZES[0], paths=tried[:32], save=None)
    seconds = {
        size: theirs.ask(precision=precision, batch_size=size, paths=tried, save=None)["seconds"]
        for size in BATCH_SIZES
    }
    return min(seconds, key=lambda size: seconds[size])


def _saved(setting: Setting, name: str) -> Path:
    return setting.work / f"images-{name.replace(' ', '-')}.npy"


def _compared(setting: Setting, name: str) -> dict[str, float]:
    """Features against those of open_clip in fp32."""
    ours, theirs = (np.load(_saved(setting, each)).astype(np.float64) for each in (name, "open_clip fp32"))
    cosines = (ours * theirs).sum(axis=1)
    return {
        "largest_difference": float(np.abs(ours - theirs).max()),
        "mean_cosine": float(cosines.mean()),
        "worst_cosine": float(cosines.min()),
    }


def rows(result: dict[str, Any]) -> list[Row]:
    return [*(row for kind in COUNTS for row in _rows(result, kind)), peak_row(result["peak_gflops"])]


def _rows(result: dict[str, Any], kind: str) -> list[Row]:
    found = result[kind]
    rates = {name: rate["median"] for name, rate in found["images_per_second"].items()}
    said = {name: _said(result, found, name) for name in rates}
    photo = {"small": "JPEGs of 500 x 375", "large": "JPEGs of 12 megapixels"}[kind]
    lines = []
    for dtype, preprocess in MEASURED[kind]:
        name = f"diptych {dtype} {preprocess}"
        what = f"{photo}: {found['dtype'][name]}, {preprocess}"
        ratio = rates[name] / rates["open_clip fp32"]
        if (dtype, preprocess) == MEASURED[kind][0]:
            lines.append(at_least(what, said[name], said["open_clip fp32"], ratio, 3))
            in_bf16 = f"{rates[name] / rates['open_clip bf16']:.1f} times"
            lines.append(
                Row(what=f"{what}, against bf16", diptych=said[name], peer=said["open_clip bf16"], reached=in_bf16)
            )
        else:
            lines.append(Row(what=what, diptych=said[name], peer=said["open_clip fp32"], reached=f"{ratio:.1f} times"))
    if kind == "small":
        difference = found["features"]["diptych float32 exact"]["largest_difference"]
        aim = {"aim": "<= 1e-5", "is_met": difference <= 1e-5}
        lines.append(Row(what="features, float32, exact: largest difference", reached=f"{difference:.1e}", **aim))
        close = found["features"]["diptych auto exact"]
        reached = f"{close['mean_cosine']:.5f} (worst {close['worst_cosine']:.5f})"
        what = f"features, {found['dtype']['diptych auto exact']}: mean cosine with open_clip's in fp32"
        lines.append(Row(what=what, reached=reached))
    return lines


def _said(result: dict[str, Any], found: dict[str, Any], name: str) -> str:
    rate = found["images_per_second"][name]
    share = rate["median"] * found["flops_per_image"] / 1e9 / peak_of(result["peak_gflops"], found["dtype"][name])
    return f"{spread(rate, '/s')}, {share:.0%} of peak"
