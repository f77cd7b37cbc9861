"""The photos of a library with all their vectors, a few thousand at a time, in the order of their paths."""

import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import numpy as np

from diptych.encode.encoder import Features
from diptych.library.filters import Filters
from diptych.library.matrix import Ids, Matrix
from diptych.library.paths import LOCATED, Source, source_of
from diptych.library.photos import Model, select_photos

_PHOTOS_AT_ONCE = 2_048


@dataclass(frozen=True, kw_only=True)
class PhotoVectors:
    """Some photos: row i of `rows`, (n, E) of unit length, is of photo `ids[owners[i]]`. Owners ascend, each has one.

    A picture has one row, a video one for each frame that was looked at. `row_ids` (n,) are their numbers in the table.
    """

    ids: list[int]
    sources: list[Source]
    owners: Ids
    row_ids: Ids
    rows: Features

    def means(self) -> Features:
        """(N, E) of unit length: one vector a photo, of a video the mean of its frames."""
        sums = np.add.reduceat(self.rows, self.starts(), axis=0)
        lengths = np.linalg.norm(sums, axis=1, keepdims=True)
        return sums / np.maximum(lengths, 1e-12)  # frames may cancel each other out

    def read_seconds(self, database: sqlite3.Connection, model: Model) -> dict[int, float]:
        """When the frames among the rows come in their videos, by the numbers of their rows."""
        marks = ", ".join("?" * len(self.ids))
        query = f"SELECT id, second FROM {model.table} WHERE photo_id IN ({marks}) AND second IS NOT NULL"
        return dict(database.execute(query, self.ids).fetchall())

    def starts(self) -> Ids:
        """(N,) the first row of each photo."""
        return np.flatnonzero(np.diff(self.owners, prepend=-1))


def find_sources(database: sqlite3.Connection, filters: Filters) -> dict[int, Source]:
    """The photos that pass, by number, in the order of their names."""
    found = [(source_of(row), row["id"]) for row in select_photos(database, f"photos.id, {LOCATED}", filters)]
    return {id: source for source, id in sorted(found)}


def iter_photo_vectors(matrix: Matrix, sources: Mapping[int, Source]) -> Iterator[PhotoVectors]:
    """Those photos of `sources` that have vectors, in its order."""
    by_photo = np.argsort(matrix.photos, kind="stable")
    photos = matrix.photos[by_photo]
    wanted = np.fromiter(sources, np.int64, len(sources))
    starts, stops = (np.searchsorted(photos, wanted, side=side) for side in ("left", "right"))
    has_vectors = np.flatnonzero(stops > starts)
    for first in range(0, len(has_vectors), _PHOTOS_AT_ONCE):
        chosen = has_vectors[first : first + _PHOTOS_AT_ONCE]
        counts = stops[chosen] - starts[chosen]
        owners = np.repeat(np.arange(len(chosen)), counts)
        within = np.arange(len(owners)) - np.repeat(np.cumsum(counts) - counts, counts)
        places = by_photo[np.repeat(starts[chosen], counts) + within]
        ids = wanted[chosen].tolist()
        yield PhotoVectors(
            ids=ids,
            sources=[sources[id] for id in ids],
            owners=owners,
            row_ids=matrix.ids[places],
            rows=matrix.rows_in_any_order(places),
        )
