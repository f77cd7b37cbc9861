"""Every photo of a library named by the one of some labels that fits it, by any number of them, or by none."""

import sqlite3
from collections.abc import Collection, Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from diptych.calibration import NONE_THRESHOLD, none_of_these
from diptych.encode.encoder import Array, Encoder, Features
from diptych.library.filters import Filters
from diptych.library.matrix import Matrix
from diptych.library.paths import Source
from diptych.library.photo_vectors import PhotoVectors, find_sources, iter_photo_vectors
from diptych.library.results import Columns
from diptych.prompts import DEFAULT_LABELS
from diptych.zeroshot import BACKGROUND_QUANTILE, Label, Templates, ZeroShotClassifier, build_classifier, softmax


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
    the labels are all of that background, and with `multi`, where each label is held against it by itself.
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


def list_columns(rule: LabelRule) -> Columns:
    """What `to_record` gives, for a file of results."""
    numbers: dict[str, type[float]] = dict.fromkeys(("probability", "cosine", "margin"), float)
    several: Columns = {"labels": {"name": str, **numbers}} if rule.multi else {}
    none = {} if rule.multi else {"none_of_these": float}
    return {**dict.fromkeys(("path", "key", "label", "nearest"), str), **numbers, **none, **several}


def to_record(photo: Labelled, rule: LabelRule) -> dict[str, Any]:
    """Plain data. Probability, cosine and margin are those of the nearest label, whether it holds or not."""
    numbers = asdict(photo.nearest)
    place = {"path": photo.source, "key": photo.source.key}
    plain = {**place, "label": photo.label, "nearest": numbers.pop("name"), **numbers}
    if rule.multi:
        return {**plain, "labels": [asdict(label) for label in photo.labels]}
    return {**plain, "none_of_these": photo.none_of_these}


def label_photos(
    database: sqlite3.Connection, matrix: Matrix, classifier: ZeroShotClassifier, *, filters: Filters, rule: LabelRule
) -> Iterator[Labelled]:
    """The photos that pass the filters and have vectors, by path; of a video the mean of its frames is labelled."""
    background = encode_background(classifier)
    if rule.multi and not len(background):
        raise ValueError("With these labels, all of the background, nothing is left to hold each against: give fewer.")
    for photos in iter_photo_vectors(matrix, find_sources(database, filters)):
        features = photos.means()
        yield from _label(photos, classifier, features @ classifier.class_features.T, features @ background.T, rule)


def encode_background(classifier: ZeroShotClassifier) -> Features:
    """(B, E) unit rows: everyday labels that are not the classifier's own, in its templates."""
    everyday = encode_everyday(classifier.encoder, classifier.templates, cache=classifier.cache)
    return leave_out(everyday, classifier.class_names)


def encode_everyday(encoder: Encoder, templates: Templates, *, cache: bool = True) -> Features:
    """(B, E) unit rows of all everyday labels: the same for whatever labels are offered in these templates."""
    return build_classifier(encoder, DEFAULT_LABELS, templates, cache=cache).class_features


def leave_out(everyday: Features, class_names: Collection[str]) -> Features:
    """The rows of `encode_everyday` without those of labels that are offered themselves."""
    names = set(class_names)
    return everyday[[text not in names for text in DEFAULT_LABELS]]


def _label(
    photos: PhotoVectors, classifier: ZeroShotClassifier, cosines: Features, background: Features, rule: LabelRule
) -> Iterator[Labelled]:
    """Photos by their (N, K) cosines with the labels and their (N, B) cosines with the background."""
    scale, count = classifier.encoder.logit_scale, len(cosines)
    probabilities = _hold_each(cosines, background, scale) if rule.multi else softmax(scale * cosines)
    nearest, best = cosines.argmax(axis=1), cosines.max(axis=1)
    others = cosines.copy()
    if others.shape[1] > 1:
        others[np.arange(count), nearest] = -np.inf
    second = others.max(axis=1)
    has_none = background.shape[1] and not rule.multi
    none = none_of_these(best, background).tolist() if has_none else [None] * count

    # Of a hundred labels one or two hold: objects are made of these alone.
    def make(row: int, column: int) -> Label:
        against = second[row] if column == nearest[row] else best[row]
        return Label(
            name=classifier.class_names[column],
            probability=float(probabilities[row, column]),
            cosine=float(cosines[row, column]),
            margin=float(cosines[row, column] - against),
        )

    for row, (id, source, chance) in enumerate(zip(photos.ids, photos.sources, none, strict=True)):
        first = make(row, int(nearest[row]))
        if rule.multi:
            held = np.flatnonzero(probabilities[row] >= rule.threshold)
            ordered = held[np.argsort(-cosines[row, held], kind="stable")].tolist()
            labels = tuple(make(row, column) for column in ordered)
        else:
            labels = () if chance is not None and chance >= rule.none_from else (first,)
        yield Labelled(id=id, source=source, labels=labels, nearest=first, none_of_these=chance)


def _hold_each(cosines: Array, background: Array, scale: float) -> Array:
    """(N, K) probabilities of labels by themselves, as `ZeroShotClassifier.predict_each` gives them."""
    reference = np.quantile(background, BACKGROUND_QUANTILE, axis=1)
    return np.asarray(1 / (1 + np.exp(-scale * (cosines - reference[:, None]))))
