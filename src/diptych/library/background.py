"""What each photo of a library has with any text, and what any text reaches in it: the ground that hits stand out from.

Derived from the vectors as the matrix is, kept beside it and made again when stale or damaged. Rows that came since it
was written are measured when it is opened.
"""

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Final

import numpy as np

from diptych.calibration import best_level, relevance, standard
from diptych.encode.encoder import Array, Encoder, Features
from diptych.errors import DiptychError
from diptych.files import atomic_folder
from diptych.library.matrix import UNREADABLE, Ids, Matrix
from diptych.library.photos import Model
from diptych.library.query import Term, Words
from diptych.prompts import DEFAULT_LABELS

_ROWS_AT_ONCE: Final = 4_096
_MOST_FRESH: Final = 2_000  # rows that are measured at each opening before all is written anew


@dataclass(frozen=True, kw_only=True)
class Background:
    """`statistics` is (2, N): mean and standard deviation of each row's cosines with the texts.

    `texts` is (B, E) unit rows; `best` is (B,), the best standard score of each among the rows, at least 0.
    """

    texts: Features
    statistics: Array
    best: Array

    def __len__(self) -> int:
        return self.statistics.shape[1]

    @cached_property
    def level(self) -> float:
        """What any text reaches in this library."""
        return best_level(self.best)

    def relevance(self, rows: Ids, scores: Array) -> Array:
        """(n,) from 0 to 1 for some rows of the matrix and their cosines with a query of words."""
        mean, spread = self.statistics[:, rows]
        return relevance(scores, mean, spread, self.level)

    def extended(self, matrix: Matrix) -> "Background":
        """With the rows of the matrix that come after these."""
        if len(self) == len(matrix):
            return self
        parts, best = [self.statistics], self.best
        for start in range(len(self), len(matrix), _ROWS_AT_ONCE):
            cosines = matrix.rows(np.arange(start, min(start + _ROWS_AT_ONCE, len(matrix)))) @ self.texts.T
            mean, spread = cosines.mean(axis=1), cosines.std(axis=1)
            parts.append(np.stack([mean, spread]))
            best = np.maximum(best, standard(cosines, mean[:, None], spread[:, None]).max(axis=0))
        return Background(texts=self.texts, statistics=np.concatenate(parts, axis=1), best=best)


def background_texts() -> tuple[str, ...]:
    """Every second of the default labels: as good as all of them, in half the time."""
    return DEFAULT_LABELS[::2]


def has_relevance(terms: Sequence[Term]) -> bool:
    """Whether relevance says something of a query: it was fitted on words, and pictures are nearer to one another."""
    return all(isinstance(term.content, Words) and term.weight > 0 for term in terms)


def open_background(folder: Path, model: Model, matrix: Matrix, encoder: Encoder | None = None) -> Background | None:
    """The background of a matrix as it is now, kept in the library's `folder`.

    The encoder, which is the model's, is only needed where the texts' vectors are not on disk; None without it.
    """
    texts = _stored_texts(folder, model)
    is_new = texts is None
    if texts is None:
        if encoder is None:
            return None
        texts = encoder.encode_texts(background_texts())
    stored = None if is_new else _stored_statistics(folder, model, matrix, texts)
    if stored is None:
        statistics, best = np.empty((2, 0), np.float32), np.zeros(len(texts), np.float32)
        stored = Background(texts=texts, statistics=statistics, best=best)
    current = stored.extended(matrix)
    if is_new or len(current) - len(stored) > _MOST_FRESH:
        _write(folder, model, matrix, current)
    return current


def is_as_measured(folder: Path, model: Model, matrix: Matrix) -> bool:
    """Whether the statistics on disk, if they are used, are those of the matrix and the texts beside them."""
    texts = _stored_texts(folder, model)
    stored = None if texts is None else _stored_statistics(folder, model, matrix, texts)
    if texts is None or stored is None:
        return True
    none = Background(texts=texts, statistics=np.empty((2, 0), np.float32), best=np.zeros(len(texts), np.float32))
    measured, kept = none.extended(matrix), stored.extended(matrix)
    return all(
        np.allclose(one, other, atol=1e-4)
        for one, other in ((measured.statistics, kept.statistics), (measured.best, kept.best))
    )


def _stored_texts(folder: Path, model: Model) -> Features | None:
    """(B, E) unit rows, where they are on disk and of this model."""
    with suppress(*UNREADABLE):
        key = (_folder(folder, model) / "texts").read_text(encoding="ascii")
        texts = np.load(_folder(folder, model) / "texts.npy", allow_pickle=False)
        if key == _key(model) and texts.shape == (len(background_texts()), model.width) and _are_numbers(texts):
            return np.asarray(texts)
    return None


def _stored_statistics(folder: Path, model: Model, matrix: Matrix, texts: Features) -> Background | None:
    """What is on disk, if it is of the first rows of the matrix: None where rows went since."""
    with suppress(*UNREADABLE):
        last_id = int((_folder(folder, model) / "last-id").read_text(encoding="ascii"))
        statistics = np.load(_folder(folder, model) / "statistics.npy", mmap_mode="r", allow_pickle=False)
        best = np.load(_folder(folder, model) / "best.npy", allow_pickle=False)
        rows = statistics.size // 2
        is_whole = (statistics.shape, best.shape) == ((2, rows), (len(texts),))
        # Numbers of rows ascend and are never given again: where the last is in its place, so are all before it.
        is_current = 0 < rows <= len(matrix) and matrix.ids[rows - 1] == last_id
        if is_whole and is_current and _are_numbers(statistics) and _are_numbers(best):
            return Background(texts=texts, statistics=statistics, best=best)
    return None


def _write(folder: Path, model: Model, matrix: Matrix, background: Background) -> None:
    """Keep it; where that cannot be, as on a full disk, it is made again the next time."""
    with suppress(OSError, DiptychError), atomic_folder(_folder(folder, model), overwrite=True) as building:
        for name in ("texts", "statistics", "best"):
            np.save(building / f"{name}.npy", getattr(background, name))
        (building / "texts").write_text(_key(model), encoding="ascii")
        (building / "last-id").write_text(str(matrix.ids[-1] if len(matrix) else 0), encoding="ascii")


def _are_numbers(values: Array) -> bool:
    return values.dtype == np.float32 and bool(np.isfinite(values).all())


def _folder(folder: Path, model: Model) -> Path:
    return folder / f"background-{model.id}"


def _key(model: Model) -> str:
    """Names the texts' vectors: the model and the texts."""
    return hashlib.sha256("\n".join((model.fingerprint, *background_texts())).encode()).hexdigest()
