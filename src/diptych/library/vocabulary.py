"""Words and captions for pictures: a vocabulary of plain things, one of the user's own, and the nearest of them.

Groups are called by the default labels: the larger vocabulary has more exact words for a photo, but among so many one
is near to the middle of any group. Words are ranked by their cosine alone. Taking from it what a word reaches on the
library's average photo, so that no word wins everywhere, makes names worse (docs/explore.md has the numbers).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

import numpy as np

from diptych.encode.encoder import Encoder, Features
from diptych.lists import read_list
from diptych.prompts import CLASS_NAMES, DEFAULT_LABELS
from diptych.zeroshot import DEFAULT_TEMPLATE, build_classifier

AS_IT_STANDS: Final = "{}"
"""The template of captions: what the user wrote is what is encoded."""

# Places, food and things under plain names. ImageNet's first 397 classes are breeds and species, too fine for names.
_SETS: Final = ("voc2007", "cifar100", "caltech101-vtab", "food101", "sun397")
_IMAGENET_THINGS: Final = 397
_MISPLACED: Final = re.compile(r"(.+) (indoor|outdoor|urban|natural|interior|exterior)")
_NO_WORD: Final = re.compile(r".{0,2}|background|aeroplane|diningtable|pottedplant|tvmonitor|.*\(.*")
_ROWS_AT_ONCE: Final = 1_024


@dataclass(frozen=True, kw_only=True)
class RankedText:
    """A text, and its cosine with a picture."""

    text: str
    score: float


@dataclass(frozen=True, kw_only=True)
class Vocabulary:
    """Texts, and their vectors: (W, E) float32 of unit length."""

    texts: tuple[str, ...]
    features: Features


@cache
def list_everyday_words() -> tuple[str, ...]:
    """About 1,600 plain nouns and phrases, always the same: the default labels, and class names of public sets."""
    published = [name for name_of_set in _SETS for name in CLASS_NAMES[name_of_set]]
    published += CLASS_NAMES["imagenet"][_IMAGENET_THINGS:]
    words = [*DEFAULT_LABELS, *(_MISPLACED.sub(r"\2 \1", name) for name in published)]
    kept: dict[str, str] = {}
    for word in (word.partition(" / ")[0] for word in words):
        if not _NO_WORD.fullmatch(word):
            kept.setdefault(word.casefold(), word)
    return tuple(kept.values())


def read_texts(path: Path) -> tuple[str, ...]:
    """One text a line, blank lines and # comments left out, or a JSON list; what repeats counts once. ValueError."""
    texts = read_list(path, kind="texts")
    if not (isinstance(texts, list) and all(isinstance(text, str) and text.strip() for text in texts)):
        raise ValueError(f"The texts file {path} must hold a JSON list of texts, none of them empty.")
    if not texts:
        raise ValueError(f"The texts file {path} holds no texts: write one a line.")
    return tuple(dict.fromkeys(texts))


def build_vocabulary(
    encoder: Encoder, texts: Sequence[str] | None = None, *, template: str = DEFAULT_TEMPLATE
) -> Vocabulary:
    """The texts, by default everyday words, each put into the template; kept in the cache like a classifier's."""
    texts = list_everyday_words() if texts is None else tuple(texts)
    return Vocabulary(texts=texts, features=build_classifier(encoder, texts, template).class_features)


def build_names(encoder: Encoder, texts: Sequence[str] | None = None) -> Vocabulary:
    """The words that groups may be called, by default the default labels."""
    return build_vocabulary(encoder, DEFAULT_LABELS if texts is None else texts)


def rank_texts(image_features: Features, vocabulary: Vocabulary, *, top: int = 5) -> list[list[RankedText]]:
    """For each (E,) row of image_features, which have unit length, the texts nearest to it, best first."""
    if top < 1:
        raise ValueError(f"top must be at least 1, got {top}.")
    ranked = []
    for first in range(0, len(image_features), _ROWS_AT_ONCE):
        cosines = image_features[first : first + _ROWS_AT_ONCE] @ vocabulary.features.T
        for row, order in zip(cosines, np.argsort(-cosines, axis=1, kind="stable")[:, :top].tolist(), strict=True):
            ranked.append([RankedText(text=vocabulary.texts[i], score=float(row[i])) for i in order])
    return ranked
