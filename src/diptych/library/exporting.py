"""A library's vectors to a file; and what such a file says, read again and believed no further than it can be true."""

import sqlite3
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

import numpy as np

from diptych.library.cells import RowFault
from diptych.library.embedding_files import write_embeddings
from diptych.library.embedding_rows import COLUMNS, ROWS_AT_ONCE, EmbeddingFile, Row, json_object
from diptych.library.metadata import FACTS, PhotoFacts
from diptych.library.paths import LOCATED, restored, source_of
from diptych.library.photos import Model, VectorDtype
from diptych.library.reading import HASH_BYTES
from diptych.library.walk import FoundFile

_NEEDED: Final = ("size", "mtime_ns", "hash", "width", "height", "format")
_HEX: Final = frozenset("0123456789abcdef")


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
    """None for a file that was made elsewhere."""
    model = (file.about or {}).get("model")
    if not isinstance(model, dict) or model.get("width") != file.width:
        return None
    name, fingerprint = model.get("name"), model.get("fingerprint")
    if not (isinstance(name, str) and isinstance(fingerprint, str)):
        return None
    return ExportedModel(name=name, fingerprint=fingerprint, embed_dim=file.width)


def exported_roots(file: EmbeddingFile) -> dict[str, tuple[str, str | None]]:
    """Kind and settings of the roots by path, as far as they are what a library writes."""
    found: dict[str, tuple[str, str | None]] = {}
    roots = (file.about or {}).get("roots")
    for each in roots if isinstance(roots, list) else ():
        path, kind, settings = map((each if isinstance(each, dict) else {}).get, ("path", "kind", "settings"))
        if isinstance(path, str) and kind in ("folder", "table") and (settings is None or _is_object(settings)):
            found[path] = (kind, settings)
    return found


def exported_photo(key: str, row: Row) -> tuple[FoundFile, bytes, PhotoFacts]:
    """The file, hash and facts of a row's photo. Raises RowFault for what no library writes."""
    for name, kind in COLUMNS.items():
        value = row.get(name)
        is_missing = value is None and name not in _NEEDED
        if not is_missing and not isinstance(value, (int, float) if kind is float else kind):
            raise RowFault(f"no {name}, or one of another type")
    if len(row["hash"]) != 2 * HASH_BYTES or not _HEX.issuperset(row["hash"]):
        raise RowFault("a hash that is none")
    if row.get("fields") is not None and not _is_object(row["fields"]):
        raise RowFault("fields that are no JSON object")
    found = FoundFile(key, row["size"], row["mtime_ns"], row.get("source"), row.get("text"), row.get("fields"))
    facts: dict[str, Any] = {name: row.get(name) for name in FACTS}
    return found, bytes.fromhex(row["hash"]), PhotoFacts(**facts)


def _is_object(text: object) -> bool:
    return isinstance(text, str) and json_object(text) is not None
