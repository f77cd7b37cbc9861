"""Accuracy, recall and their intervals: pure functions of scores, in which ties count against the model."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from diptych.encode.encoder import Features

Ints = np.ndarray[Any, np.dtype[np.int64]]
Scores = np.ndarray[Any, np.dtype[np.floating[Any]]]

# Cosines this near are a tie: what the same vectors give in two places of a float32 matrix product differs by less.
TIE = 1e-6
_Z_95 = 1.959964  # standard deviations around the mean that hold 95% of a normal distribution
_TILE_IMAGES, _TILE_TEXTS = 1_024, 4_096  # 16 MB of cosines at a time


@dataclass(frozen=True, kw_only=True)
class Proportion:
    """`hits` of `total`. `independent` is how many of these are independent, where that is fewer than all of them."""

    hits: int
    total: int
    independent: int | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.hits <= self.total or self.total < 1:
            raise ValueError(f"A proportion is of at least 1, and at most 1, got {self.hits} of {self.total}.")

    @property
    def value(self) -> float:
        """0 to 1."""
        return self.hits / self.total

    @property
    def interval(self) -> tuple[float, float]:
        """The 95% interval of the value on other samples of the same kind (Wilson 1927)."""
        return wilson_interval(self.value, self.total if self.independent is None else self.independent)


def wilson_interval(value: float, count: int) -> tuple[float, float]:
    """The 95% score interval of a proportion `value` (0 to 1) seen in `count` independent trials."""
    widening = _Z_95**2 / count
    centre = (value + widening / 2) / (1 + widening)
    half = math.sqrt(widening * (value * (1 - value) + widening / 4)) / (1 + widening)
    return max(0.0, centre - half), min(1.0, centre + half)


def ranks_of(scores: Scores, labels: Ints) -> Ints:
    """(N,) how many other classes score at least as high as the true one, from (N, K) scores; 0 is a clear first."""
    own = scores[np.arange(len(scores)), labels]
    return np.count_nonzero(scores >= own[:, None] - TIE, axis=1) - 1


def best_wrong(scores: Scores, labels: Ints) -> Ints:
    """(N,) the class that scores highest but for the true one, from (N, K) scores of at least two classes."""
    others = scores.copy()
    others[np.arange(len(scores)), labels] = -np.inf
    return others.argmax(axis=1)


def hits_at(ranks: Ints, k: int, *, independent: int | None = None) -> Proportion:
    """The share of ranks within the first `k`: top-k accuracy, or recall at k."""
    return Proportion(hits=int(np.count_nonzero(ranks < k)), total=len(ranks), independent=independent)


def per_class(ranks: Ints, labels: Ints, classes: int) -> list[Proportion | None]:
    """Top-1 accuracy of each of `classes`; None for one that has no samples."""
    totals = np.bincount(labels, minlength=classes).tolist()
    hits = np.bincount(labels[ranks == 0], minlength=classes).tolist()
    return [Proportion(hits=h, total=t) if t else None for h, t in zip(hits, totals, strict=True)]


def mean_per_class(classes: list[Proportion | None]) -> float:
    """The mean of the accuracies of those classes that have samples: each weighs the same, however many it has."""
    values = [accuracy.value for accuracy in classes if accuracy is not None]
    return sum(values) / len(values)


def confused_pairs(labels: Ints, predicted: Ints, most: int) -> list[tuple[int, int, int]]:
    """The `most` frequent (true class, predicted class, count) of predictions that are wrong, most frequent first."""
    pairs, counts = np.unique(np.stack([labels, predicted])[:, labels != predicted], axis=1, return_counts=True)
    order = np.argsort(-counts, kind="stable")[:most]
    return [(int(pairs[0, i]), int(pairs[1, i]), int(counts[i])) for i in order]


class RetrievalRanks(NamedTuple):
    """text_to_image: (M,) how many other images are at least as near to each text as its own.

    image_to_text: (N,) how many texts of other images are at least as near to each image as the nearest of its own.
    """

    text_to_image: Ints
    image_to_text: Ints


def retrieval_ranks(image_features: Features, text_features: Features, image_of_text: Ints) -> RetrievalRanks:
    """Ranks of N images (N, E) and M texts (M, E), unit rows; text j describes image `image_of_text[j]`, (M,).

    Computed in tiles, so that memory grows with N + M and not with their product. Every image needs a text.
    """
    if set(image_of_text.tolist()) != set(range(len(image_features))):
        raise ValueError("Every image needs a text, and every text an image.")
    own = np.einsum("me,me->m", text_features, image_features[image_of_text])
    best_own = np.full(len(image_features), -np.inf, own.dtype)
    np.maximum.at(best_own, image_of_text, own)
    ranks = RetrievalRanks(np.zeros(len(text_features), np.int64), np.zeros(len(image_features), np.int64))
    for i in range(0, len(image_features), _TILE_IMAGES):
        images = slice(i, i + _TILE_IMAGES)
        for j in range(0, len(text_features), _TILE_TEXTS):
            texts = slice(j, j + _TILE_TEXTS)
            cosines = image_features[images] @ text_features[texts].T
            rows = image_of_text[texts] - i
            (columns,) = np.nonzero((rows >= 0) & (rows < len(cosines)))
            cosines[rows[columns], columns] = -np.inf  # pairs that belong together compete with nobody
            ranks.text_to_image[texts] += np.count_nonzero(cosines >= own[texts] - TIE, axis=0)
            ranks.image_to_text[images] += np.count_nonzero(cosines >= best_own[images, None] - TIE, axis=1)
    return ranks
