"""Results as plain data for programs, and their means over several sets."""

from collections.abc import Sequence
from typing import Any

from diptych.evaluate.metrics import Proportion
from diptych.evaluate.retrieval import Recall, RetrievalResult
from diptych.evaluate.samples import Skipped
from diptych.evaluate.zeroshot import ZeroShotResult


def zero_shot_record(result: ZeroShotResult) -> dict[str, Any]:
    """One set; shares are 0 to 1, and null where they do not exist."""
    return {
        "set": result.source,
        "images": result.samples,
        "classes": len(result.classes),
        "top1": proportion_record(result.top1),
        "top5": proportion_record(result.top5),
        "mean_per_class": result.mean_per_class,
        "per_class": [{"name": each.name, "top1": proportion_record(each.top1)} for each in result.classes],
        "confusions": [
            {"true": each.true, "predicted": each.predicted, "count": each.count} for each in result.confusions
        ],
        "skipped": _skipped(result.skipped),
    }


def retrieval_record(result: RetrievalResult) -> dict[str, Any]:
    """One set; shares are 0 to 1."""
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


def proportion_record(proportion: Proportion | None) -> dict[str, Any] | None:
    """A share with what it was counted from, and its 95% interval."""
    if proportion is None:
        return None
    low, high = proportion.interval
    return {"value": proportion.value, "low": low, "high": high, "hits": proportion.hits, "total": proportion.total}


def _recall(recall: Recall) -> dict[str, Any]:
    return {
        "r1": proportion_record(recall.at1),
        "r5": proportion_record(recall.at5),
        "r10": proportion_record(recall.at10),
    }


def _skipped(skipped: tuple[Skipped, ...]) -> list[dict[str, str]]:
    return [{"key": each.key, "reason": each.reason} for each in skipped]
