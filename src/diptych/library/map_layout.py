"""Where photos lie on a plane, alike ones near each other: PCA, then t-SNE (van der Maaten and Hinton 2008)."""

from typing import Any, Final

import numpy as np

from diptych.encode.encoder import Features
from diptych.errors import needs_extra
from diptych.library.matrix import Ids

Positions = np.ndarray[Any, np.dtype[np.float32]]  # (N, 2)

LANDMARKS: Final = 5_000  # photos that t-SNE places
_PCA: Final = 50  # numbers that t-SNE is given of each photo
_PERPLEXITY: Final = 30.0
_NEIGHBOURS: Final = 5
_ROWS_AT_ONCE: Final = 4_096
_FILLED: Final = 0.6  # of the cells of a grid: with some free, a photo is seldom pushed far
_ASPECT: Final = 1.6  # columns to rows


def lay_out(features: Features, *, most_landmarks: int = LANDMARKS, seed: int = 0) -> Positions:
    """(N, 2) within 0..1 for (N, E) rows. Raises DiptychError where scikit-learn is not installed.

    At most so many, drawn by the seed, are placed by t-SNE; each other one goes between those most like it.
    """
    if len(features) < 2:
        return np.full((len(features), 2), 0.5, np.float32)
    chosen = np.arange(len(features))
    if len(features) > most_landmarks:
        chosen = np.sort(np.random.default_rng(seed).choice(len(features), most_landmarks, replace=False))
    mean, axes = _principal_axes(features[chosen])
    landmarks = _projected(features[chosen], mean, axes)
    placed = _tsne(landmarks, seed)
    if len(chosen) < len(features):
        blocks = (features[i : i + _ROWS_AT_ONCE] for i in range(0, len(features), _ROWS_AT_ONCE))
        others = np.concatenate([_among(_projected(block, mean, axes), landmarks, placed) for block in blocks])
        others[chosen] = placed
        placed = others
    return _within_unit(placed)


def snap_to_grid(positions: Positions) -> tuple[Ids, int, int]:
    """Each position's own cell, (N, 2) column and row, on a grid of so many columns and rows.

    Each takes the free cell that is nearest, those in the middle first, for there is room outside.
    """
    rows = max(1, int(np.ceil(np.sqrt(len(positions) / _FILLED / _ASPECT))))
    columns = max(1, int(np.ceil(len(positions) / _FILLED / rows)))
    cells = np.stack(np.meshgrid(np.arange(columns), np.arange(rows)), axis=-1).reshape(-1, 2).astype(np.float32)
    wanted = positions * np.array([columns - 1, rows - 1], np.float32)
    from_middle = ((positions - 0.5) ** 2).sum(axis=1)
    free, taken = cells.copy(), np.empty((len(positions), 2), np.int64)
    for i in np.argsort(from_middle, kind="stable"):
        nearest = int(((free - wanted[i]) ** 2).sum(axis=1).argmin())
        taken[i] = cells[nearest]
        free[nearest] = np.inf
    return taken, columns, rows


def _principal_axes(features: Features) -> tuple[Features, Features]:
    """The (E,) mean, and as columns the (E, P) directions in which the rows differ most, each turned one way."""
    mean = features.mean(axis=0)
    centred = features - mean
    _, vectors = np.linalg.eigh((centred.T @ centred).astype(np.float64))
    axes = vectors[:, ::-1][:, :_PCA]
    signs = np.sign(axes[np.abs(axes).argmax(axis=0), np.arange(axes.shape[1])])
    return mean, np.asarray(axes * signs, np.float32)


def _projected(features: Features, mean: Features, axes: Features) -> Features:
    return np.asarray((features - mean) @ axes, np.float32)


def _tsne(rows: Features, seed: int) -> Positions:
    try:
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise needs_extra("A map of photos", "scikit-learn", "library") from error
    spread = max(float(rows[:, 0].std()), 1e-12)
    start = rows[:, :2] / spread + np.random.default_rng(seed).normal(scale=1e-3, size=(len(rows), 2))
    if len(rows) < 5:  # too few to have neighbours
        return start.astype(np.float32)
    tsne = TSNE(
        init=(start * 1e-4).astype(np.float32), perplexity=min(_PERPLEXITY, (len(rows) - 1) / 3), random_state=seed
    )
    with threadpool_limits(1):
        return np.asarray(tsne.fit_transform(rows), np.float32)


def _among(rows: Features, landmarks: Features, placed: Positions) -> Positions:
    """For each row the mean position of the landmarks nearest to it, the nearer the more."""
    squared = (rows**2).sum(axis=1, keepdims=True) - 2 * rows @ landmarks.T + (landmarks**2).sum(axis=1)
    nearest = np.argpartition(squared, _NEIGHBOURS, axis=1)[:, :_NEIGHBOURS]
    weights = 1 / (np.maximum(np.take_along_axis(squared, nearest, axis=1), 0) + 1e-6)
    weights /= weights.sum(axis=1, keepdims=True)
    return np.asarray((placed[nearest] * weights[:, :, None]).sum(axis=1), np.float32)


def _within_unit(positions: Positions) -> Positions:
    low, high = positions.min(axis=0), positions.max(axis=0)
    return (positions - low) / np.maximum(high - low, 1e-12)
