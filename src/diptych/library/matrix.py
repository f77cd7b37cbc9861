"""The vectors of a model as one matrix on disk, mapped into memory: derived from the database, made again when stale.

A matrix holds the vectors as they were at some moment. What came since is read from the database beside it, and what
went is passed over; once either is much, it is written anew.
"""

import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tokenize import TokenError
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
_MOST_GONE: Final = 20_000  # rows that are passed over before it is
# What numpy and Python raise for a file that a power cut or a disk has damaged, its header being Python's text.
UNREADABLE: Final = (
    *(OSError, EOFError, ValueError, TypeError, SyntaxError, TokenError),
    *(OverflowError, MemoryError, RecursionError),
)
NO_PHOTO: Final = 0  # SQLite's numbers begin at 1


@dataclass(frozen=True, kw_only=True)
class Matrix:
    """Rows of unit length in the order of their ids; row i is the vector of photo `photos[i]`.

    Two parts: what is mapped from disk and what came since. A video has several rows, one a frame. A row that went has
    the photo `NO_PHOTO`.
    """

    numbers: Ids  # (2, N): of the rows, and of their photos
    parts: tuple[Features, Features]
    last_gone: int = 0  # the number of the last vector that had gone from the database
    gone: int = 0  # how many rows went

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

    def rows_in_any_order(self, chosen: Ids) -> Features:
        """(n, E) of some rows, in the order in which they are asked for."""
        order = np.argsort(chosen)
        found = np.empty((len(chosen), self.parts[0].shape[1]), np.float32)
        found[order] = self.rows(chosen[order])
        return found


def open_matrix(database: sqlite3.Connection, folder: Path, model: Model, held: Matrix | None = None) -> Matrix:
    """The vectors of a model as they are in the database now; the matrix on disk is made anew where that pays.

    `held` is what was opened before, which is mapped already: it is gone on with for as long as it holds.
    """
    database.execute("BEGIN")  # one moment for all that follows
    try:
        found: tuple[Callable[[], Matrix | None], ...] = (lambda: held, lambda: stored_matrix(folder, model))
        for known in (find() for find in found):
            if known is not None and (current := _brought_up_to_date(database, model, known)) is not None:
                return current
        return _write(database, folder, model)
    finally:
        database.execute("ROLLBACK")


def _brought_up_to_date(database: sqlite3.Connection, model: Model, known: Matrix) -> Matrix | None:
    """The matrix as the database is now; None where it differs much, or was made from another database."""
    oldest, newest = database.execute("SELECT coalesce(min(id), 1), coalesce(max(id), 0) FROM gone").fetchone()
    if not oldest - 1 <= known.last_gone <= newest:  # what went is no longer noted; or the database is an older copy
        return None
    gone = database.execute("SELECT vector_id FROM gone WHERE model_id = ? AND id > ?", (model.id, known.last_gone))
    current = _without(known, [row[0] for row in gone], newest)
    if current.gone > _MOST_GONE or not _ends_as(database, model, current):
        return None
    return _with_fresh_rows(database, model, current)


def _without(known: Matrix, gone: list[int], newest: int) -> Matrix:
    rows = np.searchsorted(known.ids, np.array(gone, np.int64))
    rows = rows[rows < len(known)]
    rows = rows[np.isin(known.ids[rows], gone)]
    if not len(rows):
        return replace(known, last_gone=newest)
    numbers = known.numbers.copy()
    numbers[1, rows] = NO_PHOTO
    return replace(known, numbers=numbers, last_gone=newest, gone=known.gone + len(rows))


def _ends_as(database: sqlite3.Connection, model: Model, known: Matrix) -> bool:
    """Whether the last row that did not go is what it is in the database, which may have been put back from a copy.

    Else rows are never changed, and their numbers never given again.
    """
    there = np.flatnonzero(known.photos[-_MOST_GONE - 1 :] != NO_PHOTO)
    if not len(there):
        return not len(known)
    last = int(there[-1]) + max(0, len(known) - _MOST_GONE - 1)
    row = database.execute(f"SELECT vector FROM {model.table} WHERE id = ?", (int(known.ids[last]),)).fetchone()
    return row is not None and np.allclose(_unit(unpack(row[0], model)[None]), known.rows(np.array([last])))


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


def _last_gone(database: sqlite3.Connection) -> int:
    return int(database.execute("SELECT coalesce(max(id), 0) FROM gone").fetchone()[0])


def is_as_derived(database: sqlite3.Connection, folder: Path, model: Model) -> bool:
    """Whether the matrix on disk, if there is one that is used, holds what the database does, row by row."""
    database.execute("BEGIN")
    try:
        known = stored_matrix(folder, model)
        known = None if known is None else _brought_up_to_date(database, model, known)
        if known is None:
            return True
        there = np.flatnonzero(known.photos != NO_PHOTO)
        seen = 0
        for numbers, rows in _chunks(database, model):
            places = there[seen : seen + len(rows)]
            if not np.array_equal(known.numbers[:, places], numbers) or not np.allclose(known.rows(places), rows):
                return False
            seen += len(rows)
        return seen == len(there)
    finally:
        database.execute("ROLLBACK")


def stored_matrix(library: Path, model: Model) -> Matrix | None:
    """What stands on disk, current or not, or None where nothing does that can be used."""
    folder = _place(library, model)
    with suppress(*UNREADABLE):
        numbers = np.load(folder / "ids.npy", allow_pickle=False)
        vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
        is_whole = (
            (numbers.dtype, vectors.dtype) == (np.dtype(np.int64), np.dtype(np.float32))
            and numbers.ndim == 2
            and vectors.shape == (numbers.shape[1], model.width)
        )
        if is_whole and (folder / "fingerprint").read_text(encoding="ascii") == model.fingerprint:
            return _matrix(numbers, vectors, int((folder / "last-gone").read_text(encoding="ascii")))
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
            (building / "last-gone").write_text(str(_last_gone(database)), encoding="ascii")
        if written := stored_matrix(folder, model):
            return written
    except (OSError, DiptychError):
        shutil.rmtree(target, ignore_errors=True)
    chunks = list(_chunks(database, model))
    vectors = np.concatenate([np.empty((0, model.width), np.float32), *(rows for _, rows in chunks)])
    numbers_of_all = np.concatenate([_NONE, *(numbers for numbers, _ in chunks)], axis=1)
    return _matrix(numbers_of_all, vectors, _last_gone(database))


def _chunks(database: sqlite3.Connection, model: Model, after: int = 0) -> Iterator[tuple[Ids, Features]]:
    """Numbers (2, n) of rows and photos, and (n, E) float32 rows of unit length."""
    stored = iter_vectors(database, model, after=after)
    while some := list(islice(stored, _ROWS_AT_ONCE)):
        rows = _unit(np.stack([unpack(vector, model) for _, _, vector in some]))
        yield np.array([[id for id, _, _ in some], [photo for _, photo, _ in some]], np.int64), rows


def _matrix(numbers: Ids, vectors: Features, last_gone: int) -> Matrix:
    return Matrix(numbers=numbers, parts=(vectors, np.empty((0, vectors.shape[1]), np.float32)), last_gone=last_gone)


def _unit(rows: Features) -> Features:
    """Rows whose length float16 has rounded."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def _place(library: Path, model: Model) -> Path:
    return library / f"matrix-{model.id}"
