"""Pictures that are there more than once: byte for byte, or nearly, by their cosine; videos only byte for byte."""

import os
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from diptych.encode.encoder import Features
from diptych.library.filters import Filters
from diptych.library.matrix import Ids, Matrix
from diptych.library.paths import LOCATED, Source, source_of
from diptych.library.photos import select_photos
from diptych.progress import track

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
    """A group; `keep` has the most pixels, of those the most bytes, of those the shortest path.

    Each of the others has its bytes, or a cosine with it of at least the threshold, the nearest first.
    """

    keep: Copy
    others: tuple[Copy, ...]


def find_duplicates(
    database: sqlite3.Connection, matrix: Matrix, *, threshold: float, filters: Filters
) -> list[Duplicates]:
    """Groups of photos that are there more than once, the largest first; no photo is in two."""
    columns = f"photos.id, hash, width, height, size, photos.seconds AS length, {LOCATED}"
    row_of = {photo: row for row, photo in enumerate(matrix.photos.tolist())}
    found = [photo for photo in select_photos(database, columns, filters) if photo["id"] in row_of]
    found = list(_each_file_once(sorted(found, key=_worth, reverse=True)))
    keeper = _same_bytes(found)
    pictures = [i for i, photo in enumerate(found) if keeper[i] == i and photo["length"] is None]
    near = _near_keeper(matrix, np.array([row_of[found[i]["id"]] for i in pictures], np.int64), threshold)
    for place, of in enumerate(near.tolist()):
        keeper[pictures[place]] = pictures[of]
    groups: dict[int, list[int]] = {}
    for i, of in enumerate(keeper):
        kept = keeper[of]  # a copy of one that is itself near to another
        if kept != i:
            groups.setdefault(kept, []).append(i)
    made = [_group(matrix, row_of, found[kept], [found[i] for i in others]) for kept, others in groups.items()]
    return sorted(made, key=lambda group: -len(group.others))


def _each_file_once(found: Sequence[sqlite3.Row]) -> Iterator[sqlite3.Row]:
    """Without a file's other names: links to it, which may share its bytes and are not to be deleted for copies."""
    seen: set[tuple[str, int]] = set()
    for photo in found:
        place = (os.path.realpath(source_of(photo)), 0) if source_of(photo).is_file else ("", photo["id"])
        if place not in seen:
            seen.add(place)
            yield photo


def _same_bytes(found: Sequence[sqlite3.Row]) -> list[int]:
    """For each photo the first that has its bytes."""
    first: dict[bytes, int] = {}
    return [first.setdefault(photo["hash"], i) for i, photo in enumerate(found)]


def _near_keeper(matrix: Matrix, rows: Ids, threshold: float) -> Ids:
    """For each of some rows, best first, the place of the first kept one that is so near; its own where none is.

    Only what is near to a kept one goes: no chain of small steps joins what is unlike.
    """
    keeper = np.arange(len(rows))
    for first in track(range(0, len(rows), _ROWS_AT_ONCE), total=None, label="Comparing", unit="thousands"):
        block = matrix.rows_in_any_order(rows[first : first + _ROWS_AT_ONCE])
        own = np.arange(first, first + len(block))
        near = block @ block.T >= threshold
        for i in np.flatnonzero(near.sum(axis=1) > 1).tolist():
            if keeper[first + i] == first + i:
                others = first + i + 1 + np.flatnonzero(near[i, i + 1 :])
                keeper[others[keeper[others] == others]] = first + i
        kept = np.flatnonzero(keeper[own] == own)
        for start in range(first + len(block), len(rows), _ROWS_AT_ONCE):
            near = block[kept] @ matrix.rows_in_any_order(rows[start : start + _ROWS_AT_ONCE]).T >= threshold
            others = np.arange(start, start + near.shape[1])
            joins = near.any(axis=0) & (keeper[others] == others)
            keeper[others[joins]] = first + kept[near.argmax(axis=0)[joins]]
    return keeper


def _group(matrix: Matrix, row_of: dict[int, int], keep: sqlite3.Row, others: Sequence[sqlite3.Row]) -> Duplicates:
    photos = [keep, *others]
    vectors: Features = matrix.rows_in_any_order(np.array([row_of[photo["id"]] for photo in photos], np.int64))
    kept, *copies = (
        Copy(
            id=photo["id"],
            source=source_of(photo),
            width=photo["width"],
            height=photo["height"],
            size=photo["size"],
            cosine=min(1.0, float(vector @ vectors[0])),
            is_exact=photo["hash"] == keep["hash"],
        )
        for photo, vector in zip(photos, vectors, strict=True)
    )
    return Duplicates(keep=kept, others=tuple(sorted(copies, key=lambda copy: -copy.cosine)))


def _worth(photo: sqlite3.Row) -> tuple[int, int, int, int]:
    return photo["width"] * photo["height"], photo["size"], -len(source_of(photo)), -photo["id"]
