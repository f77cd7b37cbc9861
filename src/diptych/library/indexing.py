"""Folders to a library: what is new is read, encoded and committed; what is known is not even opened."""

import sqlite3
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, cast

from diptych.encode.encoder import Encoder, Rows
from diptych.errors import ImageError
from diptych.images import PICTURE_SUFFIXES, ImageSource
from diptych.library import photos
from diptych.library.database import transaction
from diptych.library.photos import KnownPhoto, Model, NewPhoto
from diptych.library.reading import ChangingFileError, PhotoFile
from diptych.library.walk import FoundFile, Walk

_COMMIT_SECONDS, _COMMIT_PHOTOS = 5.0, 500


@dataclass(frozen=True, kw_only=True)
class IndexOptions:
    """How folders are gone through."""

    hidden: bool = False
    follow_links: bool = False
    retry_failures: bool = False


@dataclass(kw_only=True)
class IndexReport:
    """What a run has done so far; `total` is the number of files to look into, `unchanged` those beside them."""

    total: int = 0
    done: int = 0
    encoded: int = 0
    moved: int = 0
    copied: int = 0
    failed: int = 0
    unchanged: int = 0
    forgotten: int = 0
    known_failures: int = 0
    absent_roots: list[str] = field(default_factory=list)
    unread_folders: list[str] = field(default_factory=list)
    links: int = 0


@dataclass(frozen=True, kw_only=True)
class _Changes:
    """What a walk found against what is stored."""

    root: int
    folder: Path
    to_read: list[FoundFile]
    missing: dict[str, KnownPhoto]


def index(
    database: sqlite3.Connection, folders: Sequence[Path], encoder: Encoder, model: Model, options: IndexOptions
) -> Iterator[IndexReport]:
    """Bring the library to what the folders hold; the report as it grows, after each commit and at the end.

    A kill loses what was not committed: at most what was encoded in 5 seconds, or 500 photos.
    """
    report = IndexReport()
    changes = [found for folder in folders if (found := _changes(database, folder, model, options, report))]
    report.total = sum(len(each.to_read) for each in changes)
    yield report
    indexer = _Indexer(database, encoder, model, report)
    indexer.missing = {each.root: dict(each.missing) for each in changes}
    for each in changes:
        yield from indexer.read(each)
    with transaction(database):
        for each in changes:
            left = indexer.missing[each.root]
            photos.forget_photos(database, (known.id for known in left.values()))
            report.forgotten += len(left)
            database.execute("UPDATE roots SET scanned_at = ? WHERE id = ?", (time.time(), each.root))
    yield report


def _changes(
    database: sqlite3.Connection, folder: Path, model: Model, options: IndexOptions, report: IndexReport
) -> _Changes | None:
    """None for a root that is not there, or that holds nothing where photos were: an unplugged disk's mount point."""
    with transaction(database):
        root = photos.root_id(database, folder)
    known, failures = photos.known_photos(database, root, model), photos.known_failures(database, root)
    walk = Walk(root=folder, suffixes=PICTURE_SUFFIXES, hidden=options.hidden, follow_links=options.follow_links)
    to_read, gone = [], set(failures)
    missing = dict(known)
    for found in walk:
        before = missing.pop(found.path, None)
        gone.discard(found.path)
        state = (found.size, found.mtime_ns)
        if before is not None and before.has_vector and (before.size, before.mtime_ns) == state:
            report.unchanged += 1
        elif failures.get(found.path) == state and not options.retry_failures:
            report.known_failures += 1
        else:
            to_read.append(found)
    report.unread_folders += [str(folder / each) for each in walk.unread if each]
    report.links += walk.links
    if "" in walk.unread or (known and len(missing) == len(known) and not to_read):
        report.absent_roots.append(str(folder))
        return None
    unread = tuple(walk.unread)
    missing = {path: photo for path, photo in missing.items() if not path.startswith(unread)} if unread else missing
    with transaction(database):
        photos.forget_failures(database, root, [path for path in gone if not (unread and path.startswith(unread))])
    return _Changes(root=root, folder=folder, to_read=to_read, missing=missing)


class _Indexer:
    """Files through the encoder, in order; what is ready waits for the next commit."""

    def __init__(self, database: sqlite3.Connection, encoder: Encoder, model: Model, report: IndexReport) -> None:
        self.database, self.encoder, self.model, self.report = database, encoder, model, report
        self.missing: dict[int, dict[str, KnownPhoto]] = {}
        self._sizes = photos.sizes(database)
        self._ready: list[tuple[int, NewPhoto]] = []
        self._failed: list[tuple[int, FoundFile, str]] = []
        self._committed_at = time.monotonic()

    def read(self, changes: _Changes) -> Iterator[IndexReport]:
        """Encode and commit the files of one root."""
        under_way: deque[PhotoFile] = deque()
        first = 0  # the number that the encoder gives the first of them

        def fail(position: int, _: ImageSource, error: ImageError) -> None:
            file = under_way[position - first]
            self.report.failed += 1
            self.report.done += 1
            if not isinstance(error, ChangingFileError):
                self._failed.append((changes.root, file.found, _reason(file, error)))
            if self._is_due():
                self.commit()

        try:
            for rows in self.encoder.iter_images(self._unknown(changes, under_way), on_error=fail):
                self._take(changes.root, rows, under_way, first)
                for _ in range(int(rows.indices[-1]) + 1 - first):
                    under_way.popleft()
                first = int(rows.indices[-1]) + 1
                if self._is_due():
                    self.commit()
                    yield self.report
        except (KeyboardInterrupt, GeneratorExit):  # what was encoded is worth a commit
            self.commit()
            raise
        self.commit()
        yield self.report

    def commit(self) -> None:
        """All that is ready, with its vectors, at once."""
        with transaction(self.database):
            for root, photo in self._ready:
                photos.put_photo(self.database, root, self.model, photo)
            for root, found, reason in self._failed:
                photos.put_failure(self.database, root, found, reason)
        self._ready, self._failed = [], []
        self._committed_at = time.monotonic()

    def _unknown(self, changes: _Changes, under_way: deque[PhotoFile]) -> Iterator[BinaryIO]:
        """The files whose content the library does not have; the others are moved or copied as they come."""
        for found in changes.to_read:
            file = PhotoFile(changes.folder, found)
            if found.size in self._sizes and self._is_known_content(changes.root, file):
                self.report.done += 1
                continue
            under_way.append(file)
            yield cast(BinaryIO, file)  # as much of one as is needed to read it once

    def _is_known_content(self, root: int, file: PhotoFile) -> bool:
        """Whether a file is one that the library has, moved, touched or copied; then that is noted."""
        try:
            file.read_bytes()
        except (OSError, ImageError):
            return False  # the encoder meets it again, and says why
        same = photos.same_content(self.database, file.hash)
        has_vector = {id for id, *_ in same if self._has_vector(id)}
        for id, of_root, path in same:
            is_itself = (of_root, path) == (root, file.found.path)
            if id in has_vector and (is_itself or path in self.missing.get(of_root, ())):
                with transaction(self.database):
                    photos.move_photo(self.database, id, root, file.found)
                self.missing.get(of_root, {}).pop(path, None)
                self.report.moved += not is_itself
                return True
        if has_vector and not any((of_root, path) == (root, file.found.path) for _, of_root, path in same):
            with transaction(self.database):
                photos.put_copy(self.database, min(has_vector), root, file.found)
            self.report.copied += 1
            return True
        return False

    def _has_vector(self, photo: int) -> bool:
        query = f"SELECT 1 FROM {self.model.table} WHERE photo_id = ? LIMIT 1"
        return self.database.execute(query, (photo,)).fetchone() is not None

    def _take(self, root: int, rows: Rows, under_way: deque[PhotoFile], first: int) -> None:
        for position, features in zip(rows.indices.tolist(), rows.features, strict=True):
            file = under_way[position - first]
            assert file.facts is not None  # it was decoded
            photo = NewPhoto(found=file.found, hash=file.hash, facts=file.facts, features=features)
            self._ready.append((root, photo))
            self.report.encoded += 1
            self.report.done += 1

    def _is_due(self) -> bool:
        waiting = len(self._ready) + len(self._failed)
        return waiting >= _COMMIT_PHOTOS or time.monotonic() - self._committed_at >= _COMMIT_SECONDS


def _reason(file: PhotoFile, error: ImageError) -> str:
    """Without the path, which stands beside it."""
    return str(error).partition(": ")[2] if str(error).startswith(file.name) else str(error)
