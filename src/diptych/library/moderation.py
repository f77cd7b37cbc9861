"""The photos of a library that a policy describes, each with the reasons why it was found."""

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from diptych.calibration import none_of_these
from diptych.encode.encoder import Array, Encoder, Features
from diptych.library.filters import Filters
from diptych.library.matrix import open_matrix
from diptych.library.paths import Source
from diptych.library.photo_vectors import PhotoVectors, iter_photo_vectors, photo_sources
from diptych.library.photos import Model
from diptych.library.policy import Category, Policy
from diptych.library.results import Columns
from diptych.prompts import DEFAULT_LABELS
from diptych.zeroshot import DEFAULT_TEMPLATE, build_classifier

COLUMNS: Final[Columns] = {
    **dict.fromkeys(("path", "category", "action"), str),
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


class Moderator:
    """A policy's sentences as vectors, to be held against pictures; `seconds` are of those rows that are frames."""

    def __init__(self, encoder: Encoder, policy: Policy, seconds: Mapping[int, float]) -> None:
        sentences = {text for category in policy.category for text in (*category.prompts, *category.exceptions)}
        ordered = sorted(sentences)
        features = encoder.encode_texts(ordered)
        self._vectors = dict(zip(ordered, features, strict=True))
        self._policy, self._scale, self._seconds = policy, encoder.logit_scale, seconds
        others = [text for text in DEFAULT_LABELS if DEFAULT_TEMPLATE.replace("{}", text) not in sentences]
        self._background = build_classifier(encoder, others).class_features

    def judge(self, photos: PhotoVectors) -> Iterator[Moderated]:
        """Each of the photos with its reasons."""
        background = photos.rows @ self._background.T
        columns = [self._reasons(category, photos, background) for category in self._policy.category]
        for id, source, *reasons in zip(photos.ids, photos.sources, *columns, strict=True):
            ranked = sorted(reasons, key=lambda reason: -reason.probability)
            yield Moderated(id=id, source=source, reasons=tuple(ranked))

    def _reasons(self, category: Category, photos: PhotoVectors, background: Array) -> list[Reason]:
        """How a category fits each photo."""
        prompts, exceptions = self._cosines(photos, category.prompts), self._cosines(photos, category.exceptions)
        best = prompts.max(axis=1)
        chances = 1 - none_of_these(best, background)
        if category.exceptions:
            chances = chances / (1 + np.exp(self._scale * (exceptions.max(axis=1) - best)))
        starts = photos.starts()
        stops = [*starts[1:].tolist(), len(photos.owners)]
        rows = [start + int(chances[start:stop].argmax()) for start, stop in zip(starts.tolist(), stops, strict=True)]
        seconds = [self._seconds.get(id) for id in photos.row_ids[rows].tolist()]
        return [
            _reason(category, float(chances[row]), prompts[row], exceptions[row], second)
            for row, second in zip(rows, seconds, strict=True)
        ]

    def _cosines(self, photos: PhotoVectors, texts: tuple[str, ...]) -> Features:
        """(n, T) of each row with each text, of which there may be none."""
        width = self._background.shape[1]
        return photos.rows @ np.array([self._vectors[text] for text in texts], np.float32).reshape(len(texts), width).T


def moderate_photos(
    database: sqlite3.Connection, folder: Path, model: Model, encoder: Encoder, policy: Policy, filters: Filters
) -> Iterator[Moderated]:
    """The photos of the library in `folder` that pass the filters and have vectors, found or not, by path."""
    seconds = dict(database.execute(f"SELECT id, second FROM {model.table} WHERE second IS NOT NULL").fetchall())
    moderator, matrix = Moderator(encoder, policy, seconds), open_matrix(database, folder, model)
    for photos in iter_photo_vectors(matrix, photo_sources(database, filters)):
        yield from moderator.judge(photos)


def record(photo: Moderated, reason: Reason) -> dict[str, Any]:
    """A row of the report, as plain data."""
    return {
        "path": photo.source,
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
