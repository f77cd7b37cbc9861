"""Similarities turned into statements that mean the same for every picture and, as far as can be, for every model.

All of it is invariant to the offset and the scale of a model's cosines. The constants were fitted once, with the
model in the package, by scripts/relevance_numbers.py; docs/relevance.md says how well they do.
"""

from typing import Final

import numpy as np

from diptych.encode.encoder import Array

# The operating points: a photo matches, or none of the labels holds, from this probability on.
MATCH_THRESHOLD: Final = 0.5
NONE_THRESHOLD: Final = 0.5

# A label is held against what this share of the background texts stay below on the same picture.
BACKGROUND_QUANTILE: Final = 0.99

# Logistic regressions on half of the validation sets (docs/relevance.md); a match that is none is as bad as two misses.
# Centres are in standard deviations of the background on a picture.
_MATCH_CENTRE, _MATCH_SHARE, _MATCH_SLOPE = 1.5, 0.6, 3.7
_NONE_CENTRE, _NONE_SLOPE = 0.29, 1.8
_LEAST_SPREAD: Final = 1e-6  # of cosines: less is rounding


def relevance(cosines: Array, mean: Array, spread: Array, level: float) -> Array:
    """(N,) from 0 to 1: how far photos stand out for a query in words; they match from `MATCH_THRESHOLD` on.

    `cosines` are (N,) with the query. `mean` and `spread` (N,) are mean and standard deviation of each photo's cosines
    with background texts: what it has with any text. `level` is what such texts reach in the library at best
    (`best_level`): the more photos, the higher something gets by chance.
    """
    return _logistic(_MATCH_SLOPE * (standard(cosines, mean, spread) - _MATCH_SHARE * level - _MATCH_CENTRE))


def best_level(best: Array) -> float:
    """The level of a library: the median of (B,), the best `standard` score of any photo with each background text."""
    return float(np.median(best))


def standard(cosines: Array, mean: Array, spread: Array) -> Array:
    """Standard deviations above what a photo has with any text; shapes broadcast."""
    return np.asarray((cosines - mean) / np.maximum(spread, _LEAST_SPREAD), np.float32)


def none_of_these(best: Array, background: Array) -> Array:
    """(N,) probability, 0 to 1, that none of the labels offered holds; from `NONE_THRESHOLD` on, say so.

    `best` is (N,), each picture's cosine with its best label. `background` is (N, B), its cosines with texts that
    say what pictures show in general (`diptych.prompts.DEFAULT_LABELS`), in the same templates as the labels; texts
    that are labels themselves are to be left out. A few hundred are needed: of B texts, B / 100 lie above the quantile.
    """
    if background.ndim != 2 or background.shape[1] == 0 or len(background) != len(best):
        raise ValueError(f"background must be (N, B) cosines for {len(best)} pictures, got {background.shape}.")
    level = np.quantile(background, BACKGROUND_QUANTILE, axis=1)
    above = standard(best, level, background.std(axis=1, dtype=np.float64))
    return _logistic(_NONE_SLOPE * (_NONE_CENTRE - above))


def _logistic(x: Array) -> Array:
    """1 / (1 + exp(-x)) as float32, for any finite x."""
    return (0.5 + 0.5 * np.tanh(np.asarray(x, np.float64) / 2)).astype(np.float32)
