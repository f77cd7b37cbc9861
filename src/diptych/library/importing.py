"""Vectors of a file into a library: a library's export, or vectors made elsewhere. Nothing is encoded."""

import hashlib
import os
import sqlite3
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeAlias

import numpy as np

from diptych.encode.encoder import Features
from diptych.errors import ImageError
from diptych.library import photos
from diptych.library.cells import RowFault
from diptych.library.database import LibraryError, transaction
from diptych.library.embedding_rows import EmbeddingFile, Row
from diptych.library.exporting import check_name, check_root, exported_photo, exported_roots
from diptych.library.metadata import PhotoFacts
from diptych.library.paths import stored
from diptych.library.photos import Model, NewPhoto
from diptych.library.reading import HASH_BYTES, PhotoFile
from diptych.library.walk import FoundFile

_COMMIT_PHOTOS: Final = 2_000
_UNIT: Final = 2e-3  # what float16 may take from a length of 1: such rows are stored as they are
_FOLDER: Final = ("folder", None)  # kind and settings of a root
_ROUNDING: Final = 1e-3  # of a number, relative: float16 takes half of that
_LONGEST: Final = 1e9  # seconds: thirty years
_MET: Final = """
CREATE TEMP TABLE IF NOT EXISTS met (   -- the photos that came in this import: not in memory, for there may be many
    photo INTEGER PRIMARY KEY,
    vectors INTEGER NOT NULL,           -- how many of its vectors, from the first, are those of the file by now
    outcome TEXT NOT NULL
)
"""


@dataclass(kw_only=True)
class ImportReport:
    """What has been done so far with `total` rows. `refused` counts rows by what is wrong with them."""

    total: int
    done: int = 0  # rows
    added: int = 0  # photos
    unchanged: int = 0  # photos that the library had already, with these vectors
    changed: int = 0  # photos that it had with others, in whose place these are now
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
_Seconds: TypeAlias = Sequence[float | None]
_Outcome: TypeAlias = Literal["added", "unchanged", "changed", "kept"]


class _Importer:
    def __init__(self, database: sqlite3.Connection, file: EmbeddingFile, model: Model, place: Place | None) -> None:
        self._database, self._file, self._model, self._place = database, file, model, place
        self._report = ImportReport(total=file.count)
        self._outcomes: Counter[_Outcome] = Counter()
        self._described = {} if place is not None else exported_roots(file)
        self._numbers: dict[str, int] = {}
        self._top = "" if place is None else str(place.root)

    def run(self) -> Iterator[ImportReport]:
        """Photos in transactions of a few thousand; the rows of one need not stand together."""
        self._database.execute(_MET)
        self._database.execute("DELETE FROM met")
        photos_of_rows = groupby(self._items(), key=lambda item: (item.root, item.key))
        frames = ((*whose, list(items)) for whose, items in photos_of_rows)
        while some := list(islice(frames, _COMMIT_PHOTOS)):
            with transaction(self._database):
                for root, key, items in some:
                    try:
                        self._put(root, key, items)
                    except RowFault as fault:
                        self._report.refused[str(fault)] += len(items)
            yield self._counted()
        with transaction(self._database):
            self._shorten()
        yield self._counted()

    def _counted(self) -> ImportReport:
        report, counts = self._report, self._outcomes
        report.added, report.unchanged = counts["added"], counts["unchanged"]
        report.changed, report.kept = counts["changed"], counts["kept"]
        return report

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
        if not (isinstance(root, str) and root and isinstance(key, str) and key and "\0" not in key):
            raise RowFault("no path")
        if root not in self._numbers:
            check_root(root)
        described = self._described.get(root, _FOLDER)
        if described is None:
            raise RowFault("a root with settings that none has")
        check_name(key)
        return root, _below(root, key) if described[0] == "folder" else key

    def _put(self, root: str, key: str, items: list[_Item]) -> None:
        number = self._number(root)
        known = self._database.execute(
            "SELECT id, hash FROM photos WHERE root_id = ? AND path = ?", (number, stored(key))
        ).fetchone()
        features = np.stack([item.vector for item in items])
        seconds = tuple(_moment(item.row.get("second")) for item in items)
        met = None if known is None else self._met(known["id"])
        if met is not None:
            self._go_on(known["id"], *met, features, seconds)
        elif known is None:
            found, content, facts = self._describe(root, key, items[0].row)
            photo = NewPhoto(found=found, hash=content, facts=facts, features=features, seconds=seconds)
            self._note(photos.put_photo(self._database, number, self._model, photo), len(items), "added")
        elif not self._is_same(known["hash"], root, key, items[0].row):
            self._note(known["id"], 0, "kept")
        else:
            self._go_on(known["id"], 0, None, features, seconds)

    def _describe(self, root: str, key: str, row: Row) -> _Described:
        if self._place is None:
            return exported_photo(key, row)
        return _unseen(root, key) if self._place.unseen else _seen(root, key)

    def _is_same(self, content: bytes, root: str, key: str, row: Row) -> bool:
        """Whether the library's photo has the bytes that the vectors are of; made elsewhere, they do not say which."""
        return self._place is not None or self._describe(root, key, row)[1] == content

    def _met(self, photo: int) -> tuple[int, _Outcome] | None:
        row = self._database.execute("SELECT vectors, outcome FROM met WHERE photo = ?", (photo,)).fetchone()
        return None if row is None else (row[0], row[1])

    def _note(self, photo: int, vectors: int, outcome: _Outcome, before: _Outcome | None = None) -> None:
        if before is not None:
            self._outcomes[before] -= 1
        self._outcomes[outcome] += 1
        self._database.execute("INSERT OR REPLACE INTO met VALUES (?, ?, ?)", (photo, vectors, outcome))

    def _go_on(self, photo: int, done: int, before: _Outcome | None, features: Features, seconds: _Seconds) -> None:
        """The next vectors of a photo whose first `done` are the file's: it has them, or they replace what follows."""
        if before == "kept":
            return
        query = f"SELECT id, vector, second FROM {self._model.table} WHERE photo_id = ? ORDER BY id LIMIT -1 OFFSET ?"
        held = self._database.execute(query, (photo, done)).fetchall()
        if self._are_same(held[: len(features)], features, seconds):
            self._note(photo, done + len(features), before or "unchanged", before)
            return
        self._forget([row["id"] for row in held])
        self._database.executemany(
            f"INSERT INTO {self._model.table} (photo_id, vector, second) VALUES (?, ?, ?)",
            [(photo, row.tobytes(), at) for row, at in zip(features.astype(self._model.numbers), seconds, strict=True)],
        )
        outcome: _Outcome = "added" if before == "added" or not (held or done) else "changed"
        self._note(photo, done + len(features), outcome, before)

    def _are_same(self, held: list[sqlite3.Row], features: Features, seconds: _Seconds) -> bool:
        """Whether vectors of the library are these, but for what float16 rounds."""
        if [row["second"] for row in held] != list(seconds):
            return False
        content, given = b"".join(row["vector"] for row in held), features.astype(self._model.numbers)
        if len(content) != given.nbytes:
            return False
        return content == given.tobytes() or np.allclose(
            np.frombuffer(content, given.dtype).reshape(given.shape), given, rtol=_ROUNDING, atol=1e-6
        )

    def _shorten(self) -> None:
        """Take away frames that photos have beyond those of the file."""
        held = f"(SELECT count(*) FROM {self._model.table} WHERE photo_id = photo)"
        longer = self._database.execute(
            f"SELECT photo, vectors FROM met WHERE outcome = 'unchanged' AND vectors < {held}"
        ).fetchall()
        for photo, vectors in longer:
            query = f"SELECT id FROM {self._model.table} WHERE photo_id = ? ORDER BY id LIMIT -1 OFFSET ?"
            self._forget([row["id"] for row in self._database.execute(query, (photo, vectors))])
            self._note(photo, vectors, "changed", "unchanged")

    def _forget(self, vectors: Sequence[int]) -> None:
        self._database.executemany(f"DELETE FROM {self._model.table} WHERE id = ?", ((each,) for each in vectors))

    def _number(self, root: str) -> int:
        """That of a root in the library; one that is there already keeps its settings."""
        if root not in self._numbers:
            known = self._database.execute("SELECT id FROM roots WHERE path = ?", (stored(root),)).fetchone()
            kind, settings = self._described.get(root) or _FOLDER
            self._numbers[root] = (
                photos.put_root(self._database, Path(root), kind=kind, settings=settings) if known is None else known[0]
            )
        return self._numbers[root]


def _below(root: str, path: object) -> str:
    """A path, absolute or relative to the root, as one in the root."""
    if not isinstance(path, str) or not path or "\0" in path:
        raise RowFault("no path")
    check_name(path)
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
    """When in a video; pandas has NaN where there is none."""
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value:
        return None
    if not 0 <= value < _LONGEST:
        raise RowFault("a second that cannot be")
    return float(value)
