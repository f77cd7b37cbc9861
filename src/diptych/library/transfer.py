"""A library's vectors to a file and back, and vectors made elsewhere into a library. Nothing is encoded."""

import hashlib
import json
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias

import numpy as np

from diptych.errors import ImageError
from diptych.library import photos
from diptych.library.database import LibraryError, transaction
from diptych.library.embedding_files import COLUMNS, EmbeddingFile, Numbers, Row, write_embeddings
from diptych.library.metadata import PhotoFacts
from diptych.library.paths import LOCATED, restored, source_of, stored
from diptych.library.photos import Model, NewPhoto, VectorDtype
from diptych.library.reading import HASH_BYTES, PhotoFile
from diptych.library.walk import FoundFile

_ROWS_AT_ONCE: Final = 4_096
_COMMIT_PHOTOS: Final = 2_000
_UNIT: Final = 2e-3  # what float16 may take from a length of 1: such rows are stored as they are
_NEEDED: Final = ("size", "mtime_ns", "hash", "width", "height", "format")
_FACTS: Final = ("width", "height", "format", "taken_at", "taken_zone", "camera", "latitude", "longitude", "seconds")


@dataclass(kw_only=True)
class ImportReport:
    """What has been done so far with `total` rows. `refused` counts rows by what is wrong with them."""

    total: int
    done: int = 0  # rows
    added: int = 0  # photos
    unchanged: int = 0  # photos that the library had already, with these vectors
    kept: int = 0  # photos that are other pictures in the library, and stay as they are there
    refused: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where pictures lie whose vectors were made elsewhere: under `root`, absolute.

    With `unseen` they need not be there and are not opened; the next `index` of the root looks at them.
    """

    root: Path
    unseen: bool = False


class _Fault(Exception):  # noqa: N818 (of a row, counted and never shown as an error)
    """Why a row is refused."""


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
            while some := list(islice(rows, _ROWS_AT_ONCE)):
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


@dataclass(frozen=True, kw_only=True)
class ExportedModel:
    """The model of a file that was exported from a library."""

    name: str
    fingerprint: str
    embed_dim: int


def exported_model(file: EmbeddingFile) -> ExportedModel | None:
    """None for a file that was made elsewhere."""
    model = (file.about or {}).get("model")
    if not isinstance(model, dict) or model.get("width") != file.width:
        return None
    name, fingerprint = model.get("name"), model.get("fingerprint")
    if not (isinstance(name, str) and isinstance(fingerprint, str)):
        return None
    return ExportedModel(name=name, fingerprint=fingerprint, embed_dim=file.width)


def import_embeddings(
    database: sqlite3.Connection, file: EmbeddingFile, model: Model, place: Place | None
) -> Iterator[ImportReport]:
    """Put the rows of a file into a library, as vectors of `model`; a report after each commit, the last at the end.

    Without a `place` they are those of a library, whose rows say all. Doing it twice is doing it once. Raises
    LibraryError where the width is another, and midway for a file that is damaged: what was committed stays.
    """
    if file.width != model.width:
        raise LibraryError(f"The vectors have {file.width} numbers, and those of {model.name} have {model.width}.")
    yield from _Importer(database, file, model, place).run()


class _Item(NamedTuple):
    """A row with its vector, of unit length, and whose it is."""

    root: str
    key: str
    row: Row
    vector: Numbers


_Described: TypeAlias = tuple[FoundFile, bytes, PhotoFacts]


class _Importer:
    def __init__(self, database: sqlite3.Connection, file: EmbeddingFile, model: Model, place: Place | None) -> None:
        self._database, self._file, self._model, self._place = database, file, model, place
        self._report = ImportReport(total=file.count)
        self._described = _described_roots(file.about) if place is None else {}
        self._numbers: dict[str, int] = {}

    def run(self) -> Iterator[ImportReport]:
        """Photos in transactions of a few thousand."""
        photos_of_rows = groupby(self._items(), key=lambda item: (item.root, item.key))
        frames = ((*whose, list(items)) for whose, items in photos_of_rows)
        while some := list(islice(frames, _COMMIT_PHOTOS)):
            with transaction(self._database):
                for root, key, items in some:
                    try:
                        self._put(root, key, items)
                    except _Fault as fault:
                        self._report.refused[str(fault)] += len(items)
            yield self._report
        yield self._report

    def _items(self) -> Iterator[_Item]:
        for chunk in self._file.chunks():
            lengths = np.linalg.norm(chunk.vectors, axis=1).tolist()
            for row, vector, length in zip(chunk.rows, chunk.vectors, lengths, strict=True):
                self._report.done += 1
                try:
                    yield _Item(*self._located(row), row, _unit(vector, length))
                except _Fault as fault:
                    self._report.refused[str(fault)] += 1

    def _located(self, row: Row) -> tuple[str, str]:
        """The root, and the path in it, which never leads out of it."""
        if self._place is not None:
            return str(self._place.root), _below(self._place.root, row["path"])
        root, key = row.get("root"), row.get("key")
        if not (isinstance(root, str) and root and isinstance(key, str) and key):
            raise _Fault("no path")
        is_folder = self._described.get(root, _FOLDER)[0] == "folder"
        return root, _below(Path(root), key) if is_folder else key

    def _put(self, root: str, key: str, items: list[_Item]) -> None:
        number = self._number(root)
        known = self._database.execute(
            "SELECT id, hash FROM photos WHERE root_id = ? AND path = ?", (number, stored(key))
        ).fetchone()
        features = np.stack([item.vector for item in items]).astype(np.float32)
        seconds = tuple(_moment(item.row.get("second")) for item in items)
        if known is None:
            found, content, facts = self._describe(root, key, items[0].row)
            photo = NewPhoto(found=found, hash=content, facts=facts, features=features, seconds=seconds)
            photos.put_photo(self._database, number, self._model, photo)
            self._report.added += 1
        elif not self._is_same(known["hash"], root, key, items[0].row):
            self._report.kept += 1
        elif self._vectors_of(known["id"]) == len(items):
            self._report.unchanged += 1
        else:
            photos.put_vectors(self._database, self._model, known["id"], features, seconds)
            self._report.added += 1

    def _describe(self, root: str, key: str, row: Row) -> _Described:
        if self._place is None:
            return _exported(key, row)
        return _unseen(root, key) if self._place.unseen else _seen(root, key)

    def _is_same(self, content: bytes, root: str, key: str, row: Row) -> bool:
        """Whether the library's photo has the bytes that the vectors are of; made elsewhere, they do not say which."""
        return self._place is not None or self._describe(root, key, row)[1] == content

    def _vectors_of(self, photo: int) -> int:
        query = f"SELECT count(*) FROM {self._model.table} WHERE photo_id = ?"
        return int(self._database.execute(query, (photo,)).fetchone()[0])

    def _number(self, root: str) -> int:
        """That of a root in the library; one that is there already keeps its settings."""
        if root not in self._numbers:
            known = self._database.execute("SELECT id FROM roots WHERE path = ?", (stored(root),)).fetchone()
            kind, settings = self._described.get(root, _FOLDER)
            self._numbers[root] = (
                photos.root_id(self._database, Path(root), kind=kind, settings=settings) if known is None else known[0]
            )
        return self._numbers[root]


_FOLDER: Final = ("folder", None)


def _described_roots(about: dict[str, Any] | None) -> dict[str, tuple[str, str | None]]:
    """Kind and settings of the roots by path, as far as they are what a library writes."""
    found: dict[str, tuple[str, str | None]] = {}
    roots = (about or {}).get("roots")
    for each in roots if isinstance(roots, list) else ():
        path, kind, settings = map((each if isinstance(each, dict) else {}).get, ("path", "kind", "settings"))
        if isinstance(path, str) and kind in ("folder", "table") and (settings is None or _is_object(settings)):
            found[path] = (kind, settings)
    return found


def _below(root: Path, path: object) -> str:
    """A path, absolute or relative to the root, as one in the root."""
    if not isinstance(path, str) or not path or "\0" in path:
        raise _Fault("no path")
    inside = os.path.relpath(os.path.normpath(root / path), root)  # links are not looked at: the file may not be here
    if inside == "." or Path(inside).parts[0] == "..":
        raise _Fault("a path that is not below its root")
    return inside.replace(os.sep, "/")


def _unit(vector: Numbers, length: float) -> Numbers:
    if not 0 < length < np.inf:
        raise _Fault("no vector of this width, or one of zeros or of what are no numbers")
    return vector if abs(length - 1) <= _UNIT else vector / length


def _exported(key: str, row: Row) -> _Described:
    """What a library's file says of a photo."""
    for name, kind in COLUMNS.items():
        value = row.get(name)
        is_missing = value is None and name not in _NEEDED
        if not is_missing and not isinstance(value, (int, float) if kind is float else kind):
            raise _Fault(f"no {name}, or one of another type")
    if len(row["hash"]) != 2 * HASH_BYTES or not set(row["hash"]) <= set("0123456789abcdef"):
        raise _Fault("a hash that is none")
    if row.get("fields") is not None and not _is_object(row["fields"]):
        raise _Fault("fields that are no JSON object")
    found = FoundFile(key, row["size"], row["mtime_ns"], row.get("source"), row.get("text"), row.get("fields"))
    facts: dict[str, Any] = {name: row.get(name) for name in _FACTS}
    return found, bytes.fromhex(row["hash"]), PhotoFacts(**facts)


def _seen(root: str, key: str) -> _Described:
    """What the file itself says."""
    file = PhotoFile(Path(root), FoundFile(key, 0, 0))
    try:
        file.read()
    except (ImageError, OSError) as error:
        raise _Fault("a file that is not there or cannot be read (--unseen)") from error
    if file.facts is None:
        raise _Fault("a file that is no picture")
    return file.found, file.hash, file.facts


def _unseen(root: str, key: str) -> _Described:
    """What `index` takes for changed, once it meets the file; the hash, which no file has, is of its path."""
    content = hashlib.sha256(os.fsencode(f"{root}\0{key}")).digest()[:HASH_BYTES]
    return FoundFile(key, 0, 0), content, PhotoFacts(width=0, height=0, format="")


def _moment(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def _is_object(text: object) -> bool:
    try:
        return isinstance(text, str) and isinstance(json.loads(text), dict)
    except ValueError:
        return False
