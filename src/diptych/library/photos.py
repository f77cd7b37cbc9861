"""The rows of roots, models, photos, vectors and failures: how they are written, and what is asked of them."""

import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np

from diptych.encode.encoder import Features
from diptych.library.database import LibraryError, transaction
from diptych.library.filters import Filters
from diptych.library.metadata import FACTS, PhotoFacts
from diptych.library.paths import restored, stored
from diptych.library.schema import add_vectors_table
from diptych.library.walk import FoundFile

_GONE_KEPT = 50_000
VectorDtype: TypeAlias = Literal["float16", "float32"]


@dataclass(frozen=True, kw_only=True)
class Model:
    """A model whose vectors the library holds."""

    id: int
    fingerprint: str
    name: str
    width: int
    dtype: VectorDtype

    @property
    def table(self) -> str:
        """Where its vectors are."""
        return f"vectors_{self.id}"

    @property
    def numbers(self) -> str:
        """How numpy names what a stored vector holds."""
        return "<f2" if self.dtype == "float16" else "<f4"


@dataclass(frozen=True, slots=True)
class KnownPhoto:
    """What is stored of a file that may have changed since."""

    id: int
    size: int
    mtime_ns: int
    has_vector: bool


@dataclass(frozen=True, kw_only=True)
class NewPhoto:
    """A photo read from disk, with its (1, E) unit vector; or a video, with those of the frames at `seconds`."""

    found: FoundFile
    hash: bytes
    facts: PhotoFacts
    features: Features
    seconds: tuple[float | None, ...] = (None,)


def put_root(database: sqlite3.Connection, root: Path, *, kind: str = "folder", settings: str | None = None) -> int:
    """The number of a folder or a catalogue, added if it is new."""
    path = stored(str(root))
    database.execute("INSERT OR IGNORE INTO roots (path) VALUES (?)", (path,))
    database.execute("UPDATE roots SET kind = ?, settings = ? WHERE path = ?", (kind, settings, path))
    return int(database.execute("SELECT id FROM roots WHERE path = ?", (path,)).fetchone()[0])


def absorb_root(database: sqlite3.Connection, root: int, child: int, prefix: str) -> None:
    """Make a root, which lies in another, a part of that: `prefix` is its path there, with a / at the end.

    What both hold stays once.
    """
    for table in ("photos", "failures"):
        for row, path in database.execute(f"SELECT rowid, path FROM {table} WHERE root_id = ?", (child,)).fetchall():
            place = (root, stored(prefix + restored(path)), row)
            database.execute(f"UPDATE OR IGNORE {table} SET root_id = ?, path = ? WHERE rowid = ?", place)
    database.execute("DELETE FROM roots WHERE id = ?", (child,))


def models(database: sqlite3.Connection) -> list[Model]:
    """The models of the library, the one that was last indexed with first."""
    rows = database.execute(
        "SELECT id, fingerprint, name, width, dtype FROM models "
        "ORDER BY (SELECT max(id) FROM jobs WHERE model_id = models.id) DESC NULLS LAST, id DESC"
    )
    return [Model(**dict(row)) for row in rows]


class Identified(Protocol):
    """What is known of a model without loading it; every Encoder is one."""

    @property
    def fingerprint(self) -> str:
        """Names the weights and their preprocessing."""

    @property
    def embed_dim(self) -> int:
        """E, the width of its vectors."""


def add_model(
    database: sqlite3.Connection, encoder: Identified, name: str, *, dtype: VectorDtype | None = None
) -> Model:
    """The model of an encoder, its table made if the library has not seen it: of float16 vectors by default.

    LibraryError where the library holds its vectors in another dtype.
    """
    with transaction(database):
        if not any(model.fingerprint == encoder.fingerprint for model in models(database)):
            row = (encoder.fingerprint, name, encoder.embed_dim, dtype or "float16", time.time())
            added = database.execute(
                "INSERT INTO models (fingerprint, name, width, dtype, added_at) VALUES (?, ?, ?, ?, ?)", row
            )
            assert added.lastrowid is not None
            add_vectors_table(database, added.lastrowid)
    found = next(model for model in models(database) if model.fingerprint == encoder.fingerprint)
    if dtype not in (None, found.dtype):
        raise LibraryError(
            f"The library holds the vectors of {found.name} as {found.dtype}; {dtype} needs another one."
        )
    return found


def known_photos(database: sqlite3.Connection, root: int, model: Model) -> dict[str, KnownPhoto]:
    """The photos of a root by path."""
    rows = database.execute(
        f"SELECT path, id, size, mtime_ns, id IN (SELECT photo_id FROM {model.table}) FROM photos WHERE root_id = ?",
        (root,),
    )
    return {restored(path): KnownPhoto(id, size, mtime, bool(has)) for path, id, size, mtime, has in rows}


def known_failures(database: sqlite3.Connection, root: int) -> dict[str, tuple[int, int]]:
    """Size and mtime of the files that could not be read, by path."""
    rows = database.execute("SELECT path, size, mtime_ns FROM failures WHERE root_id = ?", (root,))
    return {restored(path): (size, mtime_ns) for path, size, mtime_ns in rows}


def select_photos(database: sqlite3.Connection, columns: str, filters: Filters) -> list[sqlite3.Row]:
    """Columns of photos and roots, of the photos that pass. ValueError for a `where` that SQLite does not take."""
    condition, values = filters.sql()
    query = f"SELECT {columns} FROM photos JOIN roots ON roots.id = photos.root_id WHERE {condition}"
    try:
        return database.execute(query, values).fetchall()
    except (sqlite3.Error, sqlite3.Warning) as error:
        if filters.where is None:
            raise
        raise ValueError(f"The filter is not SQL over the table photos: {error}") from error


def photo_at(database: sqlite3.Connection, path: Path) -> int | None:
    """The number of the photo in a file, if the library has it."""
    for folder in path.parents:
        place = (stored(str(folder)), stored(path.relative_to(folder).as_posix()))
        query = "SELECT photos.id FROM photos JOIN roots ON roots.id = root_id WHERE roots.path = ? AND photos.path = ?"
        if row := database.execute(query, place).fetchone():
            return int(row[0])
    return None


def sizes(database: sqlite3.Connection) -> set[int]:
    """The sizes of all files in the library: a new file of another size is no copy of one."""
    return {row[0] for row in database.execute("SELECT DISTINCT size FROM photos")}


def same_content(database: sqlite3.Connection, content: bytes) -> list[tuple[int, int, str]]:
    """(id, root, path) of the photos with these bytes."""
    rows = database.execute("SELECT id, root_id, path FROM photos WHERE hash = ?", (content,))
    return [(id, root, restored(path)) for id, root, path in rows]


def put_photo(database: sqlite3.Connection, root: int, model: Model, photo: NewPhoto) -> int:
    """Add a photo with its vectors, or put them in place of what its path held; its number stays."""
    photo_id = _put_row(database, root, photo.found, photo.hash, vars(photo.facts))
    put_vectors(database, model, photo_id, photo.features, photo.seconds)
    return photo_id


def put_vectors(
    database: sqlite3.Connection, model: Model, photo: int, features: Features, seconds: Sequence[float | None]
) -> None:
    """Put (n, E) unit vectors, those of the frames at `seconds`, in place of what the photo had of the model."""
    database.execute(f"DELETE FROM {model.table} WHERE photo_id = ?", (photo,))
    database.executemany(
        f"INSERT INTO {model.table} (photo_id, vector, second) VALUES (?, ?, ?)",
        [
            (photo, vector.tobytes(), second)
            for vector, second in zip(features.astype(model.numbers), seconds, strict=True)
        ],
    )


def put_copy(database: sqlite3.Connection, original: int, root: int, found: FoundFile) -> None:
    """Add a file whose bytes the library knows from another: its facts, and its vectors of all models."""
    row = dict(database.execute("SELECT * FROM photos WHERE id = ?", (original,)).fetchone())
    photo_id = _put_row(database, root, found, row["hash"], row)
    for model in models(database):
        database.execute(f"DELETE FROM {model.table} WHERE photo_id = ?", (photo_id,))
        database.execute(
            f"INSERT INTO {model.table} (photo_id, vector, second) "
            f"SELECT ?, vector, second FROM {model.table} WHERE photo_id = ? ORDER BY id",
            (photo_id, original),
        )


def move_photo(database: sqlite3.Connection, photo: int, root: int, found: FoundFile) -> None:
    """Give a photo, whose bytes have not changed, another path or mtime; its number and vectors stay."""
    overwritten = database.execute(
        "SELECT id FROM photos WHERE root_id = ? AND path = ? AND id <> ?", (root, stored(found.path), photo)
    )
    forget_photos(database, [row[0] for row in overwritten])
    database.execute(
        "UPDATE photos SET root_id = ?, path = ?, size = ?, mtime_ns = ?, source = ?, text = ?, fields = ? "
        "WHERE id = ?",
        (root, stored(found.path), found.size, found.mtime_ns, *_described(found), photo),
    )
    _clear_failure(database, root, found.path)


def describe_photos(database: sqlite3.Connection, root: int, rows: Iterable[FoundFile]) -> int:
    """Put what a catalogue says now of pictures that have not changed; of how many it says something else."""
    return database.executemany(
        "UPDATE photos SET source = ?1, text = ?2, fields = ?3 WHERE root_id = ?4 AND path = ?5 "
        "AND (source IS NOT ?1 OR text IS NOT ?2 OR fields IS NOT ?3)",
        ((*_described(row), root, stored(row.path)) for row in rows),
    ).rowcount


def forget_photos(database: sqlite3.Connection, photos: Iterable[int]) -> None:
    """Delete photos; the database deletes their vectors with them."""
    database.executemany("DELETE FROM photos WHERE id = ?", ((photo,) for photo in photos))


def forget_vectors(database: sqlite3.Connection, photo: int) -> None:
    """Delete the vectors of a photo, of all models."""
    for model in models(database):
        database.execute(f"DELETE FROM {model.table} WHERE photo_id = ?", (photo,))


def forget_model(database: sqlite3.Connection, model: Model) -> int:
    """Delete a model with its vectors, and photos that have vectors of no other; how many vectors they were."""
    with transaction(database):
        count = int(database.execute(f"SELECT count(*) FROM {model.table}").fetchone()[0])
        database.execute(f"DELETE FROM {model.table}")  # so that each is noted as gone
        database.execute(f"DROP TABLE {model.table}")
        database.execute("DELETE FROM models WHERE id = ?", (model.id,))
        held = " UNION ".join(f"SELECT photo_id FROM {other.table}" for other in models(database))
        database.execute("DELETE FROM photos" + (f" WHERE id NOT IN ({held})" if held else ""))
    return count


def prune_gone(database: sqlite3.Connection) -> None:
    """Keep note only of the last vectors that went: a matrix that missed more is made anew anyway."""
    database.execute("DELETE FROM gone WHERE id <= (SELECT max(id) FROM gone) - ?", (_GONE_KEPT,))


def put_failure(
    database: sqlite3.Connection, root: int, found: FoundFile, reason: str, *, is_passing: bool = False
) -> None:
    """Note that a file cannot be read as it is now, and forget what it was before.

    What is passing is tried again the next time, and leaves what is known of the file as it is.
    """
    path, size = stored(found.path), -1 if is_passing else found.size
    row = (root, path, size, found.mtime_ns, reason, time.time())
    database.execute("INSERT OR REPLACE INTO failures VALUES (?, ?, ?, ?, ?, ?)", row)
    photo = database.execute("SELECT id FROM photos WHERE root_id = ? AND path = ?", (root, path)).fetchone()
    if photo is not None and not is_passing:
        forget_photos(database, [photo[0]])


def forget_failures(database: sqlite3.Connection, root: int, paths: Iterable[str]) -> None:
    """Delete the notes on files that are gone."""
    database.executemany(
        "DELETE FROM failures WHERE root_id = ? AND path = ?", [(root, stored(path)) for path in paths]
    )


def iter_vectors(database: sqlite3.Connection, model: Model, *, after: int = 0) -> Iterator[tuple[int, int, bytes]]:
    """(id, photo, vector) of a model's table in the order of their numbers, beginning after one."""
    yield from database.execute(f"SELECT id, photo_id, vector FROM {model.table} WHERE id > ? ORDER BY id", (after,))


def unpack(vector: bytes, model: Model) -> Features:
    """One stored vector as (E,) float32."""
    values = np.frombuffer(vector, model.numbers)
    if len(values) != model.width:
        raise LibraryError(f"A vector of {model.name} has {len(values)} numbers where {model.width} belong.")
    return values.astype(np.float32)


def _put_row(
    database: sqlite3.Connection, root: int, found: FoundFile, content: bytes, facts: Mapping[str, object]
) -> int:
    """The number of a path's photo, new or as it was; another picture there takes the old one's vectors with it."""
    place = (root, stored(found.path))
    before = database.execute("SELECT id, hash FROM photos WHERE root_id = ? AND path = ?", place).fetchone()
    if before is not None and before["hash"] != content:
        forget_vectors(database, before["id"])
    columns = ("root_id", "path", "size", "mtime_ns", "source", "text", "fields", "hash", *FACTS, "indexed_at")
    changed = ", ".join(f"{name} = excluded.{name}" for name in columns[2:])
    row = database.execute(
        f"INSERT INTO photos ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))}) "
        f"ON CONFLICT (root_id, path) DO UPDATE SET {changed} RETURNING id",
        (
            *(*place, found.size, found.mtime_ns, *_described(found), content),
            *(*(facts[name] for name in FACTS), time.time()),
        ),
    ).fetchone()
    _clear_failure(database, root, found.path)
    return int(row[0])


def _described(found: FoundFile) -> tuple[str | bytes | None, str | None, str | None]:
    return None if found.source is None else stored(found.source), found.text, found.fields


def _clear_failure(database: sqlite3.Connection, root: int, path: str) -> None:
    database.execute("DELETE FROM failures WHERE root_id = ? AND path = ?", (root, stored(path)))
