"""JPEG files on disk to features: diptych.load(...).encode_images(paths) against open_clip's model and transform, fed
by a torch DataLoader with two workers and the best of three batch sizes. Photos of 500 x 375 with default settings, and
of 12 megapixels with fast preprocessing.
"""

from pathlib import Path
from typing import Any

import numpy as np

from processes import Half
from setting import Row, Setting, at_least, best, summary

BATCH_SIZES, PRECISIONS = (16, 32, 64), ("fp32", "bf16")
COUNTS, ROUNDS = {"small": 400, "large": 40}, 5
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
    batch_sizes = {precision: _best_batch_size(theirs, precision, paths) for precision in PRECISIONS}
    for dtype, preprocess in MEASURED[kind]:
        ours.ask(dtype=dtype, preprocess=preprocess, paths=paths[:32], save=None)
    runs: dict[str, list[dict[str, Any]]] = {}
    for _ in range(rounds):
        for turn, (dtype, preprocess) in enumerate(MEASURED[kind]):
            name = f"diptych {dtype} {preprocess}"
            request = {"dtype": dtype, "preprocess": preprocess, "save": str(_saved(setting, name))}
            runs.setdefault(name, []).append(ours.ask(paths=paths, **request))
            if turn < len(PRECISIONS):
                precision = PRECISIONS[turn]
                name = f"open_clip {precision}"
                request = {"precision": precision, "save": str(_saved(setting, name))}
                answer = theirs.ask(paths=paths, batch_size=batch_sizes[precision], **request)
                runs.setdefault(name, []).append(answer)
    return {
        "count": count,
        "bytes": sum(Path(path).stat().st_size for path in paths),
        "batch_sizes": batch_sizes,
        "flops_per_image": runs["diptych float32 " + MEASURED[kind][1][1]][0]["flops_per_image"],
        "dtype": {name: answers[0]["dtype"] for name, answers in runs.items()},
        "images_per_second": {name: summary([count / run["seconds"] for run in found]) for name, found in runs.items()},
        "features": {name: _compared(setting, name) for name in runs if name != "open_clip fp32"},
    }


def _best_batch_size(theirs: Half, precision: str, paths: list[str]) -> int:
    """The fastest of the candidates, the first of which is run twice: once to warm up."""
    tried = paths[:128]
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
    return [row for kind in COUNTS for row in _rows(result, kind)]


def _rows(result: dict[str, Any], kind: str) -> list[Row]:
    found = result[kind]
    rates = {name: rate["median"] for name, rate in found["images_per_second"].items()}
    said = {name: _said(result, found, name, rate) for name, rate in rates.items()}
    photo = {"small": "500 x 375", "large": "12 megapixels"}[kind]
    lines = []
    for number, (dtype, preprocess) in enumerate(MEASURED[kind]):
        name = f"diptych {dtype} {preprocess}"
        what = f"JPEGs of {photo}: {found['dtype'][name]}, {preprocess}, against fp32"
        ratio = rates[name] / rates["open_clip fp32"]
        if number == 0:
            lines.append(at_least(what, said[name], said["open_clip fp32"], ratio, 3))
            ratio = rates[name] / rates["open_clip bf16"]
            what = f"JPEGs of {photo}: {found['dtype'][name]}, {preprocess}, against bf16"
            lines.append(Row(what=what, diptych=said[name], peer=said["open_clip bf16"], reached=f"{ratio:.1f} times"))
        else:
            lines.append(Row(what=what, diptych=said[name], peer=said["open_clip fp32"], reached=f"{ratio:.1f} times"))
    if kind == "small":
        difference = found["features"]["diptych float32 exact"]["largest_difference"]
        aim = {"aim": "<= 1e-5", "is_met": difference <= 1e-5}
        lines.append(Row(what="features, float32, exact: largest difference", reached=f"{difference:.1e}", **aim))
    return lines


def _said(result: dict[str, Any], found: dict[str, Any], name: str, rate: float) -> str:
    peaks = [gflops for label, gflops in result["peak_gflops"].items() if label.startswith(found["dtype"][name])]
    return f"{rate:.1f}/s ({rate * found['flops_per_image'] / 1e9 / max(peaks):.0%} of peak)"
