"""Similarities turned into statements that mean the same for every picture and, as far as can be, for every model.

All of it is invariant to the offset and the scale of a model's cosines. The constants were fitted once, with the
model in the package, by scripts/relevance_numbers.py; docs/relevance.md says how well they do.
"""

from typing import Final

import numpy as np

from diptych.encode.encoder import Array

# A label is held against what this share of the background texts stay below on the same picture.
BACKGROUND_QUANTILE: Final = 0.99
NONE_THRESHOLD: Final = 0.5  # from this probability on, none of the labels holds

# A logistic regression on validation sets of three kinds, the others held out (docs/relevance.md).
_NONE_CENTRE: Final = 0.26  # in standard deviations of the background, above its quantile
_NONE_SLOPE: Final = 1.8
_LEAST_SPREAD: Final = 1e-6  # of cosines: less is rounding


def none_of_these(best: Array, background: Array) -> Array:
    """(N,) probability, 0 to 1, that none of the labels offered holds; from `NONE_THRESHOLD` on, say so.

    `best` is (N,), each picture's cosine with its best label. `background` is (N, B), its cosines with texts that
    say what pictures show in general (`diptych.prompts.DEFAULT_LABELS`), in the same templates as the labels; texts
    that are labels themselves are to be left out. A few hundred are needed: of B texts, B / 100 lie above the quantile.
    """
    if background.ndim != 2 or background.shape[1] == 0 or len(background) != len(best):
        raise ValueError(f"background must be (N, B) cosines for {len(best)} pictures, got {background.shape}.")
    level = np.quantile(background, BACKGROUND_QUANTILE, axis=1)
    spread = np.maximum(background.std(axis=1, dtype=np.float64), _LEAST_SPREAD)
    return _logistic(_NONE_SLOPE * (_NONE_CENTRE - (best - level) / spread))


def _logistic(x: Array) -> Array:
    """1 / (1 + exp(-x)) as float32, for any finite x."""
    return (0.5 + 0.5 * np.tanh(np.asarray(x, np.float64) / 2)).astype(np.float32)
