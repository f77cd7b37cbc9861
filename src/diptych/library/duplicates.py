"""Pictures that are there more than once: byte for byte, or nearly, by their cosine; videos only byte for byte."""

import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from diptych.library.matrix import Ids, Matrix
from diptych.library.paths import LOCATED, Source, source_of

_ROWS_AT_ONCE = 1_024


@dataclass(frozen=True, kw_only=True)
class Copy:
    """One of several pictures that show the same. `cosine` is with the one to keep; `is_exact`: it has its bytes."""

    id: int
    source: Source
    width: int
    height: int
    size: int
    cosine: float
    is_exact: bool


@dataclass(frozen=True, kw_only=True)
class Duplicates:
    """A group; `keep` has the most pixels, of those the most bytes, of those the shortest path."""

    keep: Copy
    others: tuple[Copy, ...]


def find_duplicates(database: sqlite3.Connection, matrix: Matrix, *, threshold: float) -> list[Duplicates]:
    """Groups of photos of which each is at least `threshold` (a cosine) near to another, the largest groups first."""
    groups = _Groups(len(matrix))
    videos = [row[0] for row in database.execute("SELECT id FROM photos WHERE seconds IS NOT NULL")]
    for one, other in _near_pairs(matrix, np.flatnonzero(~np.isin(matrix.photos, videos)), threshold):
        groups.join(one, other)
    for rows in _same_bytes(database, matrix):
        for row in rows[1:]:
            groups.join(rows[0], row)
    found = [group for rows in groups.of_several() if (group := _described(database, matrix, rows)) is not None]
    return sorted(found, key=lambda group: -len(group.others))


class _Groups:
    """Rows that belong together, by union and find."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def join(self, one: int, other: int) -> None:
        """Put both rows, and whatever belongs to them, into one group."""
        self._parents[self._first(other)] = self._first(one)

    def of_several(self) -> list[list[int]]:
        """The groups of more than one row."""
        members: dict[int, list[int]] = {}
        for row in range(len(self._parents)):
            members.setdefault(self._first(row), []).append(row)
        return [rows for rows in members.values() if len(rows) > 1]

    def _first(self, row: int) -> int:
        while self._parents[row] != row:
            self._parents[row] = self._parents[self._parents[row]]
            row = self._parents[row]
        return row


def _near_pairs(matrix: Matrix, rows: Ids, threshold: float) -> Iterator[tuple[int, int]]:
    """Those of some rows that are near to each other, each pair once."""
    for first in range(0, len(rows), _ROWS_AT_ONCE):
        ones = rows[first : first + _ROWS_AT_ONCE]
        block = matrix.rows(ones)
        for start in range(first, len(rows), _ROWS_AT_ONCE):
            others = rows[start : start + _ROWS_AT_ONCE]
            near = block @ (block if start == first else matrix.rows(others)).T >= threshold
            for i, j in np.argwhere(near).tolist():
                if ones[i] < others[j]:
                    yield int(ones[i]), int(others[j])


def _same_bytes(database: sqlite3.Connection, matrix: Matrix) -> Iterator[list[int]]:
    row_of = {photo: row for row, photo in enumerate(matrix.photos.tolist())}
    same: dict[bytes, list[int]] = {}
    for photo, content in database.execute("SELECT id, hash FROM photos ORDER BY id"):
        if photo in row_of:
            same.setdefault(content, []).append(row_of[photo])
    yield from (rows for rows in same.values() if len(rows) > 1)


def _described(database: sqlite3.Connection, matrix: Matrix, rows: Sequence[int]) -> Duplicates | None:
    """The group of some rows; None where less than two photos of it are still there."""
    facts = {}
    for row in rows:
        found = database.execute(
            f"SELECT photos.id, hash, width, height, size, {LOCATED} FROM photos JOIN roots ON roots.id = root_id "
            "WHERE photos.id = ?",
            (int(matrix.photos[row]),),
        ).fetchone()
        if found is not None:
            facts[row] = found
    if len({found["id"] for found in facts.values()}) < 2:
        return None
    order = sorted(facts, key=lambda row: _worth(facts[row]), reverse=True)
    best = order[0]
    kept = matrix.rows(np.array([best]))[0]
    copies: dict[int, Copy] = {}
    for row in order:
        found = facts[row]
        copy = Copy(
            id=found["id"],
            source=source_of(found),
            width=found["width"],
            height=found["height"],
            size=found["size"],
            cosine=float(matrix.rows(np.array([row]))[0] @ kept),
            is_exact=found["hash"] == facts[best]["hash"],
        )
        copies.setdefault(copy.id, copy)
    keep, *others = copies.values()
    return Duplicates(keep=keep, others=tuple(others))


def _worth(photo: sqlite3.Row) -> tuple[int, int, int, int]:
    return photo["width"] * photo["height"], photo["size"], -len(photo["path"]), -photo["id"]
