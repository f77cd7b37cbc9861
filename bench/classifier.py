"""ImageNet's names in 80 templates each to class vectors: Diptych's build_classifier, nothing cached, against
open_clip's build_zero_shot_classifier with its defaults, both with ViT-B/32. One text costs the same for any weights.
"""

from pathlib import Path
from typing import Any

import numpy as np

from processes import Half
from setting import Row, Setting, at_least, best, peak_of, peak_row, spread, summary

DTYPES = ("float32", "auto")
CLASSES, ALL_CLASSES = 100, 1000
ROUNDS = 2  # of ours before open_clip's one round, and after it: that takes minutes
# Matrix products of the 12 layers, for one token: q, k, v, out (width 512) and the MLP (2048), 2 FLOPs a multiply-add.
FLOPS_PER_TOKEN = 2 * 12 * (4 * 512 * 512 + 2 * 512 * 2048)


def run(setting: Setting) -> dict[str, Any]:
    classes, all_classes = (2, 4) if setting.is_quick else (CLASSES, ALL_CLASSES)
    saved = {name: setting.work / f"classes-{name}.npy" for name in (*DTYPES, "open_clip")}
    asked: dict[str, list[dict[str, Any]]] = {name: [] for name in saved}
    peaks: list[dict[str, Any]] = []
    with (
        Half(setting.python, "peak.py") as peak,
        Half(setting.python, "diptych_classifier.py", setting.weights["diptych"]) as ours,
        Half(setting.open_clip, "open_clip_classifier.py", setting.open_clip_weights) as theirs,
    ):

        def measure_ours() -> None:
            for dtype in DTYPES * ROUNDS:
                asked[dtype].append(ours.ask(dtype=dtype, classes=classes, save=str(saved[dtype])))

        peaks += [peak.ask() for _ in range(3)]
        measure_ours()
        asked["open_clip"].append(theirs.ask(classes=classes, save=str(saved["open_clip"])))
        measure_ours()
        peaks += [peak.ask() for _ in range(3)]
        everything = {dtype: ours.ask(dtype=dtype, classes=all_classes, save=None) for dtype in DTYPES}
    return {
        "classes": classes,
        "all_classes": all_classes,
        "seconds": {name: summary([answer["seconds"] for answer in answers]) for name, answers in asked.items()},
        "tokens": {name: answers[0]["tokens"] for name, answers in asked.items()},
        "dtype": {dtype: asked[dtype][0]["dtype"] for dtype in DTYPES},
        "same_prompts": len({answer["prompts"] for answers in asked.values() for answer in answers}) == 1,
        "all_classes_runs": everything,
        "peak_gflops": best(peaks),
        **_compared(saved),
    }


def _compared(saved: dict[str, Path]) -> dict[str, float]:
    ours, default, theirs = (np.load(saved[name]).astype(np.float64) for name in (*DTYPES, "open_clip"))
    cosines = (default * theirs).sum(axis=1)
    return {
        "largest_difference_float32": float(np.abs(ours - theirs).max()),
        "mean_cosine_default": float(cosines.mean()),
        "worst_cosine_default": float(cosines.min()),
        "mean_cosine_between_classes": float((theirs @ theirs.T)[~np.eye(len(theirs), dtype=bool)].mean()),
    }


def rows(result: dict[str, Any]) -> list[Row]:
    seconds = {name: found["median"] for name, found in result["seconds"].items()}
    dtypes = {**result["dtype"], "open_clip": "float32"}
    shares = {name: _share(result, dtypes[name], result["tokens"][name], seconds[name]) for name in seconds}
    said = {name: f"{spread(result['seconds'][name], ' s')}, {shares[name]:.0%} of peak" for name in seconds}
    aims = {"float32": 10, "auto": 30}
    compared = [
        at_least(
            f"{result['classes']} classes x 80 templates, {result['dtype'][dtype]}{' (default)' * (dtype == 'auto')}",
            said[dtype],
            said["open_clip"],
            seconds["open_clip"] / seconds[dtype],
            aims[dtype],
        )
        for dtype in DTYPES
    ]
    difference, worst = result["largest_difference_float32"], result["worst_cosine_default"]
    exact = Row(
        what="class vectors, float32: largest difference",
        reached=f"{difference:.1e}",
        aim="<= 1e-5",
        is_met=difference <= 1e-5 and result["same_prompts"],
    )
    close = Row(
        what=f"class vectors, {result['dtype']['auto']}: worst cosine with open_clip's "
        f"(of classes among themselves: {result['mean_cosine_between_classes']:.3f})",
        reached=f"{worst:.5f}",
        aim=">= 0.999",
        is_met=worst >= 0.999,
    )
    everything = [_everything(result, found) for found in result["all_classes_runs"].values()]
    return [*compared, exact, close, *everything, peak_row(result["peak_gflops"])]


def _everything(result: dict[str, Any], found: dict[str, Any]) -> Row:
    count, seconds = result["all_classes"], found["seconds"]
    return Row(
        what=f"{count} classes x 80 templates, {found['dtype']}",
        diptych=f"{seconds:.1f} s, {_share(result, found['dtype'], found['tokens'], seconds):.0%} of peak",
        reached=f"{count * 80 / seconds:,.0f} prompts/s",
    )


def _share(result: dict[str, Any], dtype: str, tokens: int, seconds: float) -> float:
    """Of the dtype's peak: for Diptych, of distinct prefixes, the least there is to do; for open_clip, of all 77."""
    return tokens * FLOPS_PER_TOKEN / seconds / 1e9 / peak_of(result["peak_gflops"], dtype)
