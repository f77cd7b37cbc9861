"""The vectors of a model as one matrix on disk, mapped into memory: derived from the database, made again when stale.

A matrix holds the vectors as they were at some moment. What came since is read from the database beside it; once that
is much, or once vectors went, it is written anew.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from diptych.encode.encoder import Features
from diptych.errors import DiptychError
from diptych.files import atomic_folder
from diptych.library.photos import Model, iter_vectors, unpack

Ids = np.ndarray[Any, np.dtype[np.int64]]

_NONE: Final = np.empty((2, 0), np.int64)
_ROWS_AT_ONCE: Final = 4_096
_MOST_FRESH: Final = 20_000  # rows that are read at each opening before the matrix is written anew


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Rows of unit length in the order of their ids; row i is the vector of photo `photos[i]`.

    Two parts: what is mapped from disk and what came since. A video has several rows, one a frame.
    """

    numbers: Ids  # (2, N): of the rows, and of their photos
    parts: tuple[Features, Features]
    revision: int = 0  # of the model, when it was read

    @property
    def ids(self) -> Ids:
        """(N,) numbers of the rows, ascending."""
        return self.numbers[0]

    @property
    def photos(self) -> Ids:
        """(N,) numbers of their photos."""
        return self.numbers[1]

    def __len__(self) -> int:
        return self.numbers.shape[1]

    def scores(self, query: Features) -> Features:
        """(N,) cosines with a unit (E,) vector."""
        return np.concatenate([part @ query for part in self.parts])

    def rows(self, chosen: Ids) -> Features:
        """(n, E) of some rows, ascending."""
        split = int(np.searchsorted(chosen, len(self.parts[0])))
        mapped, fresh = chosen[:split], chosen[split:] - len(self.parts[0])
        return np.concatenate([self.parts[0][mapped], self.parts[1][fresh]])

    def by_photo(self) -> tuple[Ids, Features]:
        """(P,) numbers of photos, ascending, and (P, E) unit rows: of a video the mean of its frames."""
        photos, first, row_of = np.unique(self.photos, return_index=True, return_inverse=True)
        every = np.concatenate(self.parts)
        if len(photos) == len(self):
            return photos, every[first]
        sums = np.zeros((len(photos), every.shape[1]), np.float32)
        np.add.at(sums, row_of, every)
        return photos, sums / np.maximum(np.linalg.norm(sums, axis=1, keepdims=True), 1e-12)


def open_matrix(database: sqlite3.Connection, folder: Path, model: Model, held: Matrix | None = None) -> Matrix:
    """The vectors of a model as they are in the database now; the matrix on disk is made anew where that pays.

    `held` is what was opened before, which is mapped already: it is gone on with for as long as it holds.
    """
    database.execute("BEGIN")  # one moment for all that follows
    try:
        found: tuple[Callable[[], Matrix | None], ...] = (lambda: held, lambda: stored_matrix(folder, model))
        for known in (find() for find in found):
            if known is not None and _is_current(database, model, known):
                grown = _with_fresh_rows(database, model, known)
                if grown is not None:
                    return grown
        return _write(database, folder, model)
    finally:
        database.execute("ROLLBACK")


def _is_current(database: sqlite3.Connection, model: Model, known: Matrix) -> bool:
    """Whether every row still stands in the database: none went since, and the last is what it was.

    Rows are never changed and their numbers never given again, but a database may be put back from a copy.
    """
    if known.revision != _revision(database, model):
        return False
    if not len(known):
        return True
    row = database.execute(f"SELECT vector FROM {model.table} WHERE id = ?", (int(known.ids[-1]),)).fetchone()
    last = known.rows(np.array([len(known) - 1]))
    return row is not None and np.allclose(_unit(unpack(row[0], model)[None]), last)


def _with_fresh_rows(database: sqlite3.Connection, model: Model, known: Matrix) -> Matrix | None:
    """The matrix with what came since; None where that is much by now."""
    last = int(known.ids[-1]) if len(known) else 0
    numbers, parts = [known.numbers], [known.parts[1]]
    for some, rows in _chunks(database, model, after=last):
        numbers.append(some)
        parts.append(rows)
        if sum(map(len, parts)) > _MOST_FRESH:
            return None
    if len(parts) == 1:
        return known
    return replace(known, numbers=np.concatenate(numbers, axis=1), parts=(known.parts[0], np.concatenate(parts)))


def _revision(database: sqlite3.Connection, model: Model) -> int:
    return int(database.execute("SELECT revision FROM models WHERE id = ?", (model.id,)).fetchone()[0])


def stored_matrix(library: Path, model: Model) -> Matrix | None:
    """What stands on disk, current or not, or None where nothing does that can be used."""
    folder = _place(library, model)
    with suppress(OSError, EOFError, ValueError):
        numbers = np.load(folder / "ids.npy", allow_pickle=False)
        vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
        is_whole = (
            (numbers.dtype, vectors.dtype) == (np.dtype(np.int64), np.dtype(np.float32))
            and numbers.ndim == 2
            and vectors.shape == (numbers.shape[1], model.width)
        )
        if is_whole and (folder / "fingerprint").read_text(encoding="ascii") == model.fingerprint:
            return _matrix(numbers, vectors, int((folder / "revision").read_text(encoding="ascii")))
    return None


def _write(database: sqlite3.Connection, folder: Path, model: Model) -> Matrix:
    """All vectors of the database, written to disk and mapped; in memory alone where the disk is full."""
    count = int(database.execute(f"SELECT count(*) FROM {model.table}").fetchone()[0])
    target = _place(folder, model)
    header = {"descr": "<f4", "fortran_order": False, "shape": (count, model.width)}
    try:
        with atomic_folder(target, overwrite=True) as building:
            numbers = []
            # Not through a mapping: where the disk is full, writing to one is the end of the process.
            with (building / "vectors.npy").open("wb") as file:
                np.lib.format.write_array_header_1_0(file, header)
                for chunk in _chunks(database, model):
                    numbers.append(chunk[0])
                    file.write(chunk[1].tobytes())
            np.save(building / "ids.npy", np.concatenate([_NONE, *numbers], axis=1))
            (building / "fingerprint").write_text(model.fingerprint, encoding="ascii")
            (building / "revision").write_text(str(_revision(database, model)), encoding="ascii")
        if written := stored_matrix(folder, model):
            return written
    except (OSError, DiptychError):
        shutil.rmtree(target, ignore_errors=True)
    chunks = list(_chunks(database, model))
    vectors = np.concatenate([np.empty((0, model.width), np.float32), *(rows for _, rows in chunks)])
    numbers_of_all = np.concatenate([_NONE, *(numbers for numbers, _ in chunks)], axis=1)
    return _matrix(numbers_of_all, vectors, _revision(database, model))


def _chunks(database: sqlite3.Connection, model: Model, after: int = 0) -> Iterator[tuple[Ids, Features]]:
    """Numbers (2, n) of rows and photos, and (n, E) float32 rows of unit length."""
    stored = iter_vectors(database, model, after=after)
    while some := list(islice(stored, _ROWS_AT_ONCE)):
        rows = _unit(np.stack([unpack(vector, model) for _, _, vector in some]))
        yield np.array([[id for id, _, _ in some], [photo for _, photo, _ in some]], np.int64), rows


def _matrix(numbers: Ids, vectors: Features, revision: int) -> Matrix:
    return Matrix(numbers=numbers, parts=(vectors, np.empty((0, vectors.shape[1]), np.float32)), revision=revision)


def _unit(rows: Features) -> Features:
    """Rows whose length float16 has rounded."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _place(library: Path, model: Model) -> Path:
    return library / f"matrix-{model.id}"
