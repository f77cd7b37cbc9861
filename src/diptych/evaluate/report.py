"""Results as plain data for programs, and their means over several sets."""

from collections.abc import Sequence
from typing import Any

from diptych.evaluate.metrics import Proportion
from diptych.evaluate.retrieval import Recall, RetrievalResult
from diptych.evaluate.samples import Skipped
from diptych.evaluate.zeroshot import ZeroShotResult


def record(result: ZeroShotResult | RetrievalResult) -> dict[str, Any]:
    """One set; shares are 0 to 1, and null where they do not exist."""
    return _zero_shot(result) if isinstance(result, ZeroShotResult) else _retrieval(result)


def _zero_shot(result: ZeroShotResult) -> dict[str, Any]:
    return {
        "set": result.source,
        "images": result.samples,
        "classes": len(result.classes),
        "top1": _proportion(result.top1),
        "top5": _proportion(result.top5),
        "mean_per_class": result.mean_per_class,
        "per_class": [{"name": each.name, "top1": _proportion(each.top1)} for each in result.classes],
        "confusions": [
            {"true": each.true, "predicted": each.predicted, "count": each.count} for each in result.confusions
        ],
        "skipped": _skipped(result.skipped),
    }


def _retrieval(result: RetrievalResult) -> dict[str, Any]:
    return {
        "set": result.source,
        "images": result.images,
        "captions": result.captions,
        "shared_captions": result.shared_captions,
        "text_to_image": _recall(result.text_to_image),
        "image_to_text": _recall(result.image_to_text),
        "skipped": _skipped(result.skipped),
    }


def mean_numbers(results: Sequence[ZeroShotResult] | Sequence[RetrievalResult]) -> dict[str, float]:
    """The mean over sets of each measure that all of them have; each set weighs the same, however large."""
    every = [result.numbers() for result in results]
    names = [name for name in every[0] if all(name in numbers for numbers in every)]
    return {name: sum(numbers[name] for numbers in every) / len(every) for name in names}


def _proportion(proportion: Proportion | None) -> dict[str, Any] | None:
    if proportion is None:
        return None
    low, high = proportion.interval
    return {"value": proportion.value, "low": low, "high": high, "hits": proportion.hits, "total": proportion.total}


def _recall(recall: Recall) -> dict[str, Any]:
    return {
        "r1": _proportion(recall.at1),
        "r5": _proportion(recall.at5),
        "r10": _proportion(recall.at10),
    }


def _skipped(skipped: tuple[Skipped, ...]) -> list[dict[str, str]]:
    return [{"key": each.key, "reason": each.reason} for each in skipped]
