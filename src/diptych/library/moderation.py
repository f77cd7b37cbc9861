"""The photos of a library that a policy describes, each with the reasons why it was found."""

import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from diptych.calibration import none_of_these
from diptych.encode.encoder import Array, Encoder, Features
from diptych.library.filters import Filters
from diptych.library.matrix import Matrix
from diptych.library.paths import Source
from diptych.library.photo_vectors import PhotoVectors, find_sources, iter_photo_vectors
from diptych.library.photos import Model
from diptych.library.policy import Category, Policy
from diptych.library.results import Columns
from diptych.prompts import DEFAULT_LABELS
from diptych.zeroshot import DEFAULT_TEMPLATE, build_classifier

COLUMNS: Final[Columns] = {
    **dict.fromkeys(("path", "key", "category", "action"), str),
    **dict.fromkeys(("probability", "threshold", "above"), float),
    "prompt": str,
    "cosine": float,
    "exception": str,
    "exception_cosine": float,
    "second": float,
}


@dataclass(frozen=True, kw_only=True)
class Reason:
    """How a category fits a photo: by which of its prompts, with what cosine, and which exception comes nearest.

    `probability` is 0 to 1: that the prompt stands out from a background of everyday texts, times the prompt's share
    against the exception. `second` is that of a video's frame.
    """

    category: Category
    probability: float
    prompt: str
    cosine: float
    exception: str | None
    exception_cosine: float | None
    second: float | None

    @property
    def above(self) -> float:
        """How far the probability lies above the category's threshold, below 0 where the photo is not found."""
        return self.probability - self.category.threshold


@dataclass(frozen=True, kw_only=True)
class Moderated:
    """A photo and how each category fits it, the most probable first; of a video, at its most probable frame."""

    id: int
    source: Source
    reasons: tuple[Reason, ...]

    @property
    def found(self) -> tuple[Reason, ...]:
        """The categories whose thresholds it reaches."""
        return tuple(reason for reason in self.reasons if reason.above >= 0)


@dataclass(frozen=True, kw_only=True)
class _Sentences:
    """A policy's sentences as (E,) unit vectors, (B, E) of a background without them, and the model's scale."""

    vectors: Mapping[str, Features]
    background: Features
    scale: float

    def cosines(self, rows: Features, texts: Sequence[str]) -> Features:
        """(n, T) of each row with each text, of which there may be none."""
        width = self.background.shape[1]
        return rows @ np.array([self.vectors[text] for text in texts], np.float32).reshape(len(texts), width).T


def moderate_photos(
    database: sqlite3.Connection, model: Model, matrix: Matrix, encoder: Encoder, policy: Policy, *, filters: Filters
) -> Iterator[Moderated]:
    """The photos that pass the filters and have vectors of the model, found or not, by path."""
    sentences = _encode(encoder, policy)
    for photos in iter_photo_vectors(matrix, find_sources(database, filters)):
        background = photos.rows @ sentences.background.T
        seconds = photos.read_seconds(database, model)
        by_category = [_fit(category, photos, sentences, background, seconds) for category in policy.category]
        for id, source, *reasons in zip(photos.ids, photos.sources, *by_category, strict=True):
            ranked = sorted(reasons, key=lambda reason: -reason.probability)
            yield Moderated(id=id, source=source, reasons=tuple(ranked))


def _encode(encoder: Encoder, policy: Policy) -> _Sentences:
    texts = sorted({text for category in policy.category for text in (*category.prompts, *category.exceptions)})
    vectors = dict(zip(texts, encoder.encode_texts(texts), strict=True))
    others = [text for text in DEFAULT_LABELS if DEFAULT_TEMPLATE.replace("{}", text) not in vectors]
    background = build_classifier(encoder, others).class_features
    return _Sentences(vectors=vectors, background=background, scale=encoder.logit_scale)


def _fit(
    category: Category, photos: PhotoVectors, sentences: _Sentences, background: Array, seconds: Mapping[int, float]
) -> list[Reason]:
    """How a category fits each photo, whose rows have (n, B) cosines with the background; of a video its best frame."""
    prompts = sentences.cosines(photos.rows, category.prompts)
    exceptions = sentences.cosines(photos.rows, category.exceptions)
    best = prompts.max(axis=1)
    chances = 1 - none_of_these(best, background)
    if category.exceptions:
        chances = chances / (1 + np.exp(sentences.scale * (exceptions.max(axis=1) - best)))
    starts = photos.starts()
    stops = [*starts[1:].tolist(), len(photos.owners)]
    rows = [start + int(chances[start:stop].argmax()) for start, stop in zip(starts.tolist(), stops, strict=True)]
    return [
        _reason(category, float(chances[row]), prompts[row], exceptions[row], seconds.get(int(photos.row_ids[row])))
        for row in rows
    ]


def to_record(photo: Moderated, reason: Reason) -> dict[str, Any]:
    """A row of the report, as plain data."""
    return {
        "path": photo.source,
        "key": photo.source.key,
        "category": reason.category.name,
        "action": reason.category.action,
        "probability": reason.probability,
        "threshold": reason.category.threshold,
        "above": reason.above,
        "prompt": reason.prompt,
        "cosine": reason.cosine,
        "exception": reason.exception,
        "exception_cosine": reason.exception_cosine,
        "second": reason.second,
    }


def _reason(category: Category, probability: float, prompts: Array, exceptions: Array, second: float | None) -> Reason:
    prompt = int(prompts.argmax())
    nearest = int(exceptions.argmax()) if len(exceptions) else None
    return Reason(
        category=category,
        probability=probability,
        prompt=category.prompts[prompt],
        cosine=float(prompts[prompt]),
        exception=None if nearest is None else category.exceptions[nearest],
        exception_cosine=None if nearest is None else float(exceptions[nearest]),
        second=second,
    )
