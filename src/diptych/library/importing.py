"""Vectors of a file into a library: a library's export, or vectors made elsewhere. Nothing is encoded."""

import hashlib
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Final, NamedTuple, TypeAlias

import numpy as np

from diptych.encode.encoder import Features
from diptych.errors import ImageError
from diptych.library import photos
from diptych.library.cells import RowFault
from diptych.library.database import LibraryError, transaction
from diptych.library.embedding_rows import EmbeddingFile, Row
from diptych.library.exporting import exported_photo, exported_roots
from diptych.library.metadata import PhotoFacts
from diptych.library.paths import stored
from diptych.library.photos import Model, NewPhoto
from diptych.library.reading import HASH_BYTES, PhotoFile
from diptych.library.walk import FoundFile

_COMMIT_PHOTOS: Final = 2_000
_UNIT: Final = 2e-3  # what float16 may take from a length of 1: such rows are stored as they are
_FOLDER: Final = ("folder", None)  # kind and settings of a root


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
    vector: Features


_Described: TypeAlias = tuple[FoundFile, bytes, PhotoFacts]


class _Importer:
    def __init__(self, database: sqlite3.Connection, file: EmbeddingFile, model: Model, place: Place | None) -> None:
        self._database, self._file, self._model, self._place = database, file, model, place
        self._report = ImportReport(total=file.count)
        self._described = exported_roots(file) if place is None else {}
        self._numbers: dict[str, int] = {}
        self._top = "" if place is None else str(place.root)

    def run(self) -> Iterator[ImportReport]:
        """Photos in transactions of a few thousand."""
        photos_of_rows = groupby(self._items(), key=lambda item: (item.root, item.key))
        frames = ((*whose, list(items)) for whose, items in photos_of_rows)
        while some := list(islice(frames, _COMMIT_PHOTOS)):
            with transaction(self._database):
                for root, key, items in some:
                    try:
                        self._put(root, key, items)
                    except RowFault as fault:
                        self._report.refused[str(fault)] += len(items)
            yield self._report
        yield self._report

    def _items(self) -> Iterator[_Item]:
        for chunk in self._file.chunks():
            units, is_vector = _units(chunk.vectors)
            for row, vector, is_one in zip(chunk.rows, units, is_vector, strict=True):
                self._report.done += 1
                try:
                    if not is_one:
                        raise RowFault("no vector of this width, or one of zeros or of what are no numbers")
                    yield _Item(*self._located(row), row, vector)
                except RowFault as fault:
                    self._report.refused[str(fault)] += 1

    def _located(self, row: Row) -> tuple[str, str]:
        """The root, and the path in it, which never leads out of it."""
        if self._place is not None:
            return self._top, _below(self._top, row["path"])
        root, key = row.get("root"), row.get("key")
        if not (isinstance(root, str) and root and isinstance(key, str) and key):
            raise RowFault("no path")
        is_folder = self._described.get(root, _FOLDER)[0] == "folder"
        return root, _below(root, key) if is_folder else key

    def _put(self, root: str, key: str, items: list[_Item]) -> None:
        number = self._number(root)
        known = self._database.execute(
            "SELECT id, hash FROM photos WHERE root_id = ? AND path = ?", (number, stored(key))
        ).fetchone()
        features = np.stack([item.vector for item in items])
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
            return exported_photo(key, row)
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


def _below(root: str, path: object) -> str:
    """A path, absolute or relative to the root, as one in the root."""
    if not isinstance(path, str) or not path or "\0" in path:
        raise RowFault("no path")
    top = os.path.join(os.path.normpath(root), "")  # noqa: PTH118 (of a million rows: paths as objects cost a minute)
    whole = os.path.normpath(os.path.join(top, path))  # noqa: PTH118 (links are not looked at: it may not be here)
    if not whole.startswith(top) or whole == top:
        raise RowFault("a path that is not below its root")
    return whole[len(top) :].replace(os.sep, "/")


def _units(vectors: Features) -> tuple[Features, list[bool]]:
    """(n, E) rows brought to unit length, and of each whether it is a vector at all."""
    lengths = np.linalg.norm(vectors.astype(np.float64), axis=1)
    is_vector = (lengths > 0) & (lengths < np.inf)
    scales = np.where(is_vector & (np.abs(lengths - 1) > _UNIT), lengths, 1)
    return (vectors / scales[:, None]).astype(np.float32), is_vector.tolist()


def _seen(root: str, key: str) -> _Described:
    """What the file itself says."""
    file = PhotoFile(Path(root), FoundFile(key, 0, 0))
    try:
        file.read()
    except (ImageError, OSError) as error:
        raise RowFault("a file that is not there or cannot be read (--unseen)") from error
    if file.facts is None:
        raise RowFault("a file that is no picture")
    return file.found, file.hash, file.facts


def _unseen(root: str, key: str) -> _Described:
    """What `index` takes for changed, once it meets the file; the hash, which no file has, is of its path."""
    content = hashlib.sha256(os.fsencode(f"{root}\0{key}")).digest()[:HASH_BYTES]
    return FoundFile(key, 0, 0), content, PhotoFacts(width=0, height=0, format="")


def _moment(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None
