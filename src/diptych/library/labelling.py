"""Every photo of a library named by the one of some labels that fits it, by any number of them, or by none."""

import sqlite3
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from diptych.calibration import NONE_THRESHOLD, none_of_these
from diptych.encode.encoder import Features
from diptych.library.filters import Filters
from diptych.library.matrix import Matrix
from diptych.library.paths import Source
from diptych.library.photo_vectors import iter_photo_vectors, photo_sources
from diptych.library.results import Columns
from diptych.prompts import DEFAULT_LABELS
from diptych.zeroshot import Label, ZeroShotClassifier, build_classifier


@dataclass(frozen=True, kw_only=True)
class LabelRule:
    """Which labels a photo is given.

    One: the nearest, unless `none_of_these` is at least `none_from` (above 1: always the nearest). With `multi`, each
    whose probability against a background of everyday texts is at least `threshold`, which may be none.
    """

    multi: bool = False
    threshold: float = 0.5
    none_from: float = NONE_THRESHOLD

    def __post_init__(self) -> None:
        if not 0 <= self.threshold <= 1:
            raise ValueError(f"threshold is a probability from 0 to 1, got {self.threshold}.")
        if not self.none_from >= 0:
            raise ValueError(f"none_from is a probability, or above 1 for never, got {self.none_from}.")


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """A photo and its labels, best first: one or none, with `multi` any number.

    `nearest` is the label that comes nearest, whether it holds or not. `none_of_these` is the probability (0 to 1) that
    none of the labels offered fits, by how far the nearest stands out from a background of everyday texts; None where
    the labels are all of that background.
    """

    id: int
    source: Source
    labels: tuple[Label, ...]
    nearest: Label
    none_of_these: float | None

    @property
    def label(self) -> str | None:
        """The name of the best label that holds."""
        return self.labels[0].name if self.labels else None


def columns(rule: LabelRule) -> Columns:
    """What `record` gives, for a file of results."""
    numbers: dict[str, type[float]] = dict.fromkeys(("probability", "cosine", "margin"), float)
    several: Columns = {"labels": {"name": str, **numbers}} if rule.multi else {}
    return {"path": str, "label": str, "nearest": str, **numbers, "none_of_these": float, **several}


def record(photo: Labelled, rule: LabelRule) -> dict[str, Any]:
    """Plain data. Probability, cosine and margin are those of the nearest label, whether it holds or not."""
    numbers = asdict(photo.nearest)
    plain = {"path": photo.source, "label": photo.label, "nearest": numbers.pop("name"), **numbers}
    several = {"labels": [asdict(label) for label in photo.labels]} if rule.multi else {}
    return {**plain, "none_of_these": photo.none_of_these, **several}


def label_photos(
    database: sqlite3.Connection, matrix: Matrix, classifier: ZeroShotClassifier, *, filters: Filters, rule: LabelRule
) -> Iterator[Labelled]:
    """The photos that pass the filters and have vectors, by path; of a video the mean of its frames is labelled."""
    background = background_features(classifier)
    for photos in iter_photo_vectors(matrix, photo_sources(database, filters)):
        features = photos.means()
        best = (features @ classifier.class_features.T).max(axis=1)
        chances = none_of_these(best, features @ background.T).tolist() if len(background) else [None] * len(best)
        for id, source, labels, chance in zip(
            photos.ids, photos.sources, _ranked(classifier, features, rule), chances, strict=True
        ):
            yield Labelled(
                id=id, source=source, labels=_held(labels, chance, rule), nearest=labels[0], none_of_these=chance
            )


def background_features(classifier: ZeroShotClassifier) -> Features:
    """(B, E) unit rows: everyday labels that are not the classifier's own, in its templates."""
    others = [text for text in DEFAULT_LABELS if text not in classifier.class_names]
    if not others:
        return np.empty((0, classifier.class_features.shape[1]), np.float32)
    return build_classifier(classifier.encoder, others, classifier.templates, cache=classifier.cache).class_features


def _ranked(classifier: ZeroShotClassifier, features: Features, rule: LabelRule) -> list[list[Label]]:
    if rule.multi:
        return classifier.rank_each(features, threshold=0.0)
    return classifier.rank(features, top=1)


def _held(labels: list[Label], none: float | None, rule: LabelRule) -> tuple[Label, ...]:
    if rule.multi:
        return tuple(label for label in labels if label.probability >= rule.threshold)
    return () if none is not None and none >= rule.none_from else (labels[0],)
