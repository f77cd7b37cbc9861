"""A library's vectors to a file; and what such a file says, read again and believed no further than it can be true."""

import json
import os
import re
import sqlite3
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from diptych.library.catalogue_root import CatalogueRoot
from diptych.library.cells import RowFault, clean, value_of
from diptych.library.database import LibraryError
from diptych.library.embedding_files import write_embeddings
from diptych.library.embedding_rows import COLUMNS, ROWS_AT_ONCE, EmbeddingFile, Row, json_object
from diptych.library.metadata import FACTS, PhotoFacts
from diptych.library.paths import LOCATED, restored, source_of
from diptych.library.photos import Model, VectorDtype
from diptych.library.reading import HASH_BYTES
from diptych.library.roots import FolderRoot
from diptych.library.walk import FoundFile

_NEEDED: Final = ("size", "mtime_ns", "hash", "width", "height", "format")
_HEX: Final = frozenset("0123456789abcdef")
_MOST: Final = 2**63 - 1  # of SQLite's whole numbers
_LEAST: Final = {"mtime_ns": -_MOST, "latitude": -90, "longitude": -180}
_LARGEST: Final = {"latitude": 90, "longitude": 180}
_TIME: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d", re.ASCII)

Described: TypeAlias = tuple[str, str | None]
"""Kind and settings of a root, as the table of roots has them."""


@dataclass(frozen=True, kw_only=True)
class ExportedModel:
    """The model of a file that was exported from a library."""

    name: str
    fingerprint: str
    embed_dim: int


def export_library(
    database: sqlite3.Connection, model: Model, target: Path, *, dtype: VectorDtype | None = None
) -> int:
    """Write all vectors of a model with what is known of their photos; how many they are. ValueError for a bad name."""
    kind: VectorDtype = dtype or model.dtype
    width = np.dtype(model.numbers)
    database.execute("BEGIN")  # one moment for all that follows
    try:
        count = int(database.execute(f"SELECT count(*) FROM {model.table}").fetchone()[0])
        rows = database.execute(
            f"SELECT photos.*, vectors.vector, vectors.second, {LOCATED} FROM {model.table} AS vectors "
            "JOIN photos ON photos.id = photo_id JOIN roots ON roots.id = root_id ORDER BY photos.id, vectors.id"
        )
        about = _about(database, model)
        with write_embeddings(target, about, width=model.width, count=count, dtype=kind) as write:
            while some := list(islice(rows, ROWS_AT_ONCE)):
                vectors = np.frombuffer(b"".join(row["vector"] for row in some), width)
                write([_plain(row) for row in some], vectors.reshape(len(some), model.width))
    finally:
        database.execute("ROLLBACK")
    return count


def _about(database: sqlite3.Connection, model: Model) -> dict[str, Any]:
    roots = database.execute("SELECT path, kind, settings FROM roots ORDER BY id")
    return {
        "version": 1,
        "model": {"name": model.name, "fingerprint": model.fingerprint, "width": model.width},
        "roots": [{"path": restored(row[0]), "kind": row[1], "settings": row[2]} for row in roots],
    }


def _plain(row: sqlite3.Row) -> dict[str, Any]:
    found = {name: row[name] for name in COLUMNS if name not in ("root", "key", "path", "source")}
    source = None if row["source"] is None else restored(row["source"])
    located = {"root": restored(row["root"]), "key": restored(row["path"]), "source": source}
    return {**found, **located, "path": str(source_of(row)), "hash": row["hash"].hex()}


def exported_model(file: EmbeddingFile) -> ExportedModel | None:
    """None for a file that was made elsewhere. LibraryError for a model that no library can have written."""
    model = (file.about or {}).get("model")
    if not isinstance(model, dict) or "fingerprint" not in model or model.get("width") != file.width:
        return None
    name, fingerprint = model.get("name"), model["fingerprint"]
    is_named = isinstance(name, str) and name and clean(name) == name
    if not (is_named and isinstance(fingerprint, str) and fingerprint.isascii() and fingerprint.isalnum()):
        raise LibraryError(f"{file.path} does not say of which model it is: export it again.")
    return ExportedModel(name=str(name), fingerprint=fingerprint, embed_dim=file.width)


def exported_roots(file: EmbeddingFile) -> dict[str, Described | None]:
    """Kind and settings of the roots that the file describes, by path; None where it is not what a library writes."""
    found: dict[str, Described | None] = {}
    roots = (file.about or {}).get("roots")
    for each in roots if isinstance(roots, list) else ():
        path, kind, settings = map((each if isinstance(each, dict) else {}).get, ("path", "kind", "settings"))
        if isinstance(path, str):
            found[path] = (str(kind), settings) if _can_be_gone_through(Path(path), kind, settings) else None
    return found


def _can_be_gone_through(path: Path, kind: object, settings: object) -> bool:
    if kind == "folder" and settings is None:
        return True
    if kind not in ("folder", "table") or not isinstance(settings, str):
        return False
    given = json_object(settings) or {}
    try:
        root = (FolderRoot if kind == "folder" else CatalogueRoot).from_settings(path, settings)
        known = json.loads(root.settings)
    except (TypeError, ValueError, RecursionError):  # other names than a root has, or what is no JSON
        return False
    if kind == "folder":
        return given.keys() <= known.keys() and all(isinstance(value, bool) for value in known.values())
    is_text = all(value is None or _is_storable(value) for value in known.values())
    return given.keys() <= known.keys() and is_text and known["image_column"] is not None


def check_root(root: str) -> None:
    """Raises RowFault for a root that `index` could not go through, or should not."""
    if root == os.sep:
        raise RowFault("a root that is the whole machine, which the next `index` would go through")
    is_path = "\0" not in root and os.path.isabs(root) and os.path.normpath(root) == root  # noqa: PTH117 (of each row)
    if not is_path:
        raise RowFault("a root that is no absolute path")
    check_name(root)


def check_name(name: str) -> None:
    """Raises RowFault for what no file can be called."""
    try:
        os.fsencode(name)
    except UnicodeEncodeError as error:
        raise RowFault("a path that no file can have") from error


def exported_photo(key: str, row: Row) -> tuple[FoundFile, bytes, PhotoFacts]:
    """The file, hash and facts of a row's photo. Raises RowFault for what no library writes."""
    for name, kind in COLUMNS.items():
        value = row.get(name)
        if value is None and name not in _NEEDED:
            continue
        if isinstance(value, bool) or not isinstance(value, (int, float) if kind is float else kind):
            raise RowFault(f"no {name}, or one of another type")
        if isinstance(value, int | float) and not _LEAST.get(name, 0) <= value <= _LARGEST.get(name, _MOST):
            raise RowFault(f"a {name} that cannot be")
    for name in ("format", "taken_zone", "camera", "text"):
        if row.get(name) is not None and not _is_storable(row[name]):
            raise RowFault(f"a {name} that is no text")
    if row.get("source") is not None:
        check_name(row["source"])
    if row.get("taken_at") is not None and not _TIME.fullmatch(row["taken_at"]):
        raise RowFault("a taken_at that is no time")
    if len(row["hash"]) != 2 * HASH_BYTES or not _HEX.issuperset(row["hash"]):
        raise RowFault("a hash that is none")
    if row.get("fields") is not None and not _are_fields(row["fields"]):
        raise RowFault("fields that are no JSON object of values")
    found = FoundFile(key, row["size"], row["mtime_ns"], row.get("source"), row.get("text"), row.get("fields"))
    facts: dict[str, Any] = {name: row.get(name) for name in FACTS}
    return found, bytes.fromhex(row["hash"]), PhotoFacts(**facts)


def _is_storable(text: object) -> bool:
    """Whether SQLite keeps it as it is: not with lone halves of surrogate pairs, or with a NUL."""
    return isinstance(text, str) and "\0" not in text and text.encode(errors="replace").decode() == text


def _are_fields(text: str) -> bool:
    """Whether they are as a catalogue's row has them: texts, numbers, and lists of these."""
    found = json_object(text)
    if found is None or not _is_storable(text):
        return False
    return all(clean(name) == name and value_of(value) == value for name, value in found.items())
