"""Roots moved and removed, and the check that a library is what it should be."""

import json
import os
import sqlite3
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from diptych.library import photos
from diptych.library.background import is_as_measured
from diptych.library.database import LibraryError, faults, transaction
from diptych.library.jobs import recent_jobs
from diptych.library.matrix import is_as_derived, open_matrix
from diptych.library.paths import LOCATED, Source, absolute, restored, source_of, stored
from diptych.library.photos import Model, iter_vectors, unpack
from diptych.library.reading import HASH_BYTES

_UNIT = 2e-3  # what float16 may take from a length of 1


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """How much was looked at, and a line on each thing that is not as it should be."""

    photos: int
    vectors: int
    faults: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A file that could not be read as it was, and why; it is tried again once it changes."""

    source: Source
    reason: str


def check(database: sqlite3.Connection, folder: Path) -> CheckReport:
    """The database by SQLite's own check; every photo with its vectors; every vector whole and of unit length."""
    found = [f"the database: {fault}" for fault in faults(database)]
    count, vectors = int(database.execute("SELECT count(*) FROM photos").fetchone()[0]), 0
    bad_hashes = database.execute("SELECT count(*) FROM photos WHERE length(hash) <> ?", (HASH_BYTES,)).fetchone()[0]
    found += [f"{bad_hashes} photos have no whole hash"] if bad_hashes else []
    for row in database.execute("PRAGMA foreign_key_check"):
        found.append(f"a row of {row[0]} belongs to no {row[2]}")
    for model in photos.models(database):
        checked, lines = _check_vectors(database, folder, model)
        vectors += checked
        found += lines
    for row in database.execute(_without_vectors(photos.models(database))):
        found.append(f"{source_of(row)} has no vector of any model: index its root again")
    return CheckReport(photos=count, vectors=vectors, faults=tuple(found))


def describe_library(database: sqlite3.Connection, folder: Path) -> dict[str, Any]:
    """What a library holds and what was last done to it, as plain data."""
    return {
        "folder": str(folder),
        "bytes": sum(file.stat().st_size for file in folder.rglob("*") if file.is_file()),
        "roots": list_roots(database),
        "models": [
            {
                "name": model.name,
                "fingerprint": model.fingerprint,
                "width": model.width,
                "dtype": model.dtype,
                "vectors": database.execute(f"SELECT count(*) FROM {model.table}").fetchone()[0],
            }
            for model in photos.models(database)
        ],
        "jobs": recent_jobs(database),
    }


def list_roots(database: sqlite3.Connection) -> list[dict[str, Any]]:
    """The roots as plain data, by path: of each how many photos it has, and when it was last gone through."""
    rows = database.execute(
        "SELECT path, kind, (SELECT count(*) FROM photos WHERE root_id = roots.id) AS photos, "
        "(SELECT count(*) FROM failures WHERE root_id = roots.id) AS failures, scanned_at FROM roots ORDER BY path"
    )
    return [{**dict(row), "path": restored(row["path"])} for row in rows]


def list_failures(database: sqlite3.Connection) -> list[Failure]:
    """The files that could not be read, by path."""
    rows = database.execute(
        "SELECT roots.path AS root, kind, failures.path AS path, NULL AS source, reason "
        "FROM failures JOIN roots ON roots.id = root_id ORDER BY 1, 3"
    )
    return [Failure(source=source_of(row), reason=row["reason"]) for row in rows]


def remove_root(database: sqlite3.Connection, root: Path) -> int:
    """Forget a root and its photos; how many they were. The files themselves stay. LibraryError for no root."""
    number, _ = _root(database, root)
    count = int(database.execute("SELECT count(*) FROM photos WHERE root_id = ?", (number,)).fetchone()[0])
    with transaction(database):
        database.execute("DELETE FROM roots WHERE id = ?", (number,))
    return count


def relocate_root(database: sqlite3.Connection, old: Path, new: Path) -> int:
    """Note that a root's files lie elsewhere now; how many photos it has. Nothing is read or computed again."""
    number, kind = _root(database, old)
    if kind == "folder" and not new.is_dir():
        raise LibraryError(f"{new} is not a folder: give the one where the photos of {old} lie now.")
    if kind != "folder" and not new.is_file():
        raise LibraryError(f"{new} is not a file: give the table that {old} is now.")
    with transaction(database):
        if database.execute("SELECT 1 FROM roots WHERE path = ? AND id <> ?", (stored(str(new)), number)).fetchone():
            raise LibraryError(f"{new} is a root of the library already: `diptych library remove` one of the two.")
        database.execute("UPDATE roots SET path = ? WHERE id = ?", (stored(str(new)), number))
    return int(database.execute("SELECT count(*) FROM photos WHERE root_id = ?", (number,)).fetchone()[0])


def _root(database: sqlite3.Connection, path: Path) -> tuple[int, str]:
    """The number and kind of a root, by its name as it was given or with links resolved: it may be a link by now."""
    for name in (os.path.abspath(path.expanduser()), str(absolute(path))):  # noqa: PTH100 (resolves no links)
        row = database.execute("SELECT id, kind FROM roots WHERE path = ?", (stored(name),)).fetchone()
        if row is not None:
            return int(row["id"]), str(row["kind"])
    roots = [restored(row[0]) for row in database.execute("SELECT path FROM roots ORDER BY path")]
    raise LibraryError(f"{path} is not a root of the library; its roots are: {', '.join(roots) or 'none'}.")


def _check_vectors(database: sqlite3.Connection, folder: Path, model: Model) -> tuple[int, list[str]]:
    """How many vectors a model has, and what is wrong with them."""
    count, lines = 0, []
    for _, photo, vector in iter_vectors(database, model):
        count += 1
        try:
            length = float(np.linalg.norm(unpack(vector, model)))
        except LibraryError as error:
            lines.append(f"photo {photo}: {error}")
            continue
        if not abs(length - 1) <= _UNIT:
            lines.append(f"photo {photo}: its vector of {model.name} has the length {length:.4g} and not 1")
    if not lines and not is_as_derived(database, folder, model):
        lines.append(f"the matrix of {model.name} is not what the database has: delete {folder}/matrix-{model.id}")
    elif not lines and not is_as_measured(folder, model, open_matrix(database, folder, model)):
        lines.append(f"the background of {model.name} is not as measured: delete {folder}/background-{model.id}")
    return count, lines


def _without_vectors(models: list[Model]) -> str:
    held = " UNION ".join(f"SELECT photo_id FROM {model.table}" for model in models)
    query = f"SELECT {LOCATED} FROM photos JOIN roots ON roots.id = root_id"
    return query + (f" WHERE photos.id NOT IN ({held})" if held else "")


def list_formats(database: sqlite3.Connection) -> list[str]:
    """The formats of photos, that of the most first."""
    rows = database.execute("SELECT format FROM photos GROUP BY format ORDER BY count(*) DESC, format")
    return [row[0] for row in rows]


def list_cameras(database: sqlite3.Connection) -> list[str]:
    """The cameras of photos, that of the most first."""
    rows = database.execute(
        "SELECT camera FROM photos WHERE camera IS NOT NULL GROUP BY camera ORDER BY count(*) DESC, camera"
    )
    return [row[0] for row in rows]


def list_field_names(database: sqlite3.Connection) -> list[str]:
    """The columns of catalogues that photos can be filtered by, that of the most photos first."""
    rows = database.execute(
        "SELECT field.key FROM photos, json_each(photos.fields) AS field WHERE photos.fields IS NOT NULL "
        "GROUP BY field.key ORDER BY count(*) DESC, field.key"
    )
    return [row[0] for row in rows]


def list_photos(database: sqlite3.Connection) -> list[dict[str, Any]]:
    """All photos as plain data, by path."""
    rows = database.execute(
        "SELECT photos.id, width, height, format, taken_at, taken_zone, camera, latitude, longitude, seconds, text, "
        f"fields, lower(hex(hash)) AS hash, {LOCATED} FROM photos JOIN roots ON roots.id = root_id "
        "ORDER BY root, photos.path"
    )
    plain = []
    for row in rows:
        facts = {name: row[name] for name in row.keys() if name not in ("root", "kind", "path", "source")}  # noqa: SIM118
        facts["fields"] = None if row["fields"] is None else json.loads(row["fields"])
        plain.append({"id": facts.pop("id"), "path": str(source_of(row)), **facts})
    return plain
