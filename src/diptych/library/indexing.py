"""Folders and catalogues to a library: what is new is read, encoded and committed; what is known is not even opened."""

import sqlite3
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import BinaryIO, TypeVar, cast

import numpy as np

from diptych.encode.encoder import Encoder, Features
from diptych.errors import ImageError
from diptych.images import ImageSource
from diptych.library import photos
from diptych.library.database import transaction
from diptych.library.jobs import Job
from diptych.library.photos import KnownPhoto, Model, NewPhoto
from diptych.library.reading import ChangingFileError, EncoderInput, IndexedFile, TransientReadError
from diptych.library.roots import Root
from diptych.library.walk import FoundFile

_COMMIT_SECONDS, _COMMIT_PHOTOS = 5.0, 500
Stored = TypeVar("Stored")


@dataclass(kw_only=True)
class IndexReport:
    """What a run has done so far; `total` is the number of files to look into, `unchanged` those beside them."""

    total: int = 0
    done: int = 0
    encoded: int = 0
    moved: int = 0
    copied: int = 0
    failed: int = 0
    changing: int = 0  # that were written to, or went, while they were read
    unchanged: int = 0
    forgotten: int = 0
    described: int = 0  # rows of catalogues that say something else now
    known_failures: int = 0
    absent_roots: list[str] = field(default_factory=list)
    unread_folders: list[str] = field(default_factory=list)
    links: int = 0
    faults: list[str] = field(default_factory=list)  # rows of catalogues that name no picture


@dataclass(frozen=True, kw_only=True)
class _Changes:
    """What a scan found against what is stored."""

    number: int
    root: Root
    to_read: list[FoundFile]
    missing: dict[str, KnownPhoto]


def index(
    database: sqlite3.Connection,
    roots: Sequence[Root],
    encoder: Callable[[], Encoder],
    model: Model,
    *,
    retry_failures: bool = False,
) -> Iterator[IndexReport]:
    """Bring the library to what the roots hold; the report as it grows, after each commit and at the end.

    The encoder, which is the model's, is asked for once there is something to encode. A kill loses what was not
    committed: at most what was encoded in 5 seconds, or 500 photos.
    """
    report = IndexReport()
    with Job(database, [str(root.path) for root in roots], model, report) as job:
        changes = [found for root in roots if (found := _changes(database, root, model, retry_failures, report))]
        report.total = sum(len(each.to_read) for each in changes)
        yield replace(report)
        indexer = _Indexer(database, encoder, model, report, job)
        indexer.missing = {each.number: dict(each.missing) for each in changes}
        for each in changes:
            if each.to_read:
                yield from indexer.read(each)
        with transaction(database):
            for each in changes:
                left = indexer.missing[each.number]
                photos.forget_photos(database, (known.id for known in left.values()))
                report.forgotten += len(left)
                database.execute("UPDATE roots SET scanned_at = ? WHERE id = ?", (time.time(), each.number))
            photos.prune_gone(database)
    yield replace(report)


def _changes(
    database: sqlite3.Connection, root: Root, model: Model, retry_failures: bool, report: IndexReport
) -> _Changes | None:
    """None for a root that is not there, or that holds nothing where photos were: an unplugged disk's mount point."""
    scan = root.scan()
    with transaction(database):
        number = photos.put_root(database, root.path, kind=root.kind, settings=root.settings)
    known = _beginning(scan.within, photos.known_photos(database, number, model))
    failures = _beginning(scan.within, photos.known_failures(database, number))
    to_read, gone, missing = [], set(failures), dict(known)
    for found in scan.found:
        before = missing.pop(found.path, None)
        gone.discard(found.path)
        state = (found.size, found.mtime_ns)
        if before is not None and before.has_vector and (before.size, before.mtime_ns) == state:
            report.unchanged += 1
        elif failures.get(found.path) == state and not retry_failures:
            report.known_failures += 1
        else:
            to_read.append(found)
    report.unread_folders += [str(root.path / each) for each in scan.unread if each]
    report.links += scan.links
    report.faults += scan.faults
    if "" in scan.unread or (known and len(missing) == len(known) and not to_read):
        report.absent_roots.append(str(root.path / scan.within))
        return None
    unread = scan.unread
    missing = {path: photo for path, photo in missing.items() if not path.startswith(unread)} if unread else missing
    with transaction(database):
        photos.forget_failures(database, number, [path for path in gone if not (unread and path.startswith(unread))])
        if root.kind != "folder":
            report.described += photos.describe_photos(database, number, scan.found)
    return _Changes(number=number, root=root, to_read=to_read, missing=missing)


def _beginning(within: str, by_path: dict[str, Stored]) -> dict[str, Stored]:
    return {path: each for path, each in by_path.items() if path.startswith(within)} if within else by_path


@dataclass(kw_only=True)
class _Pending:
    """A file on its way: how many of its inputs are still to come, what the others gave."""

    root: int
    file: IndexedFile
    left: int
    seconds: list[float | None] = field(default_factory=list)
    features: list[Features] = field(default_factory=list)
    error: ImageError | None = None


class _Indexer:
    """Files through the encoder, in order; what is ready waits for the next commit."""

    def __init__(
        self, database: sqlite3.Connection, encoder: Callable[[], Encoder], model: Model, report: IndexReport, job: Job
    ) -> None:
        self.database, self.encoder, self.model, self.report, self.job = database, encoder, model, report, job
        self.missing: dict[int, dict[str, KnownPhoto]] = {}
        self._sizes = photos.sizes(database)
        self._under_way: deque[tuple[_Pending, EncoderInput]] = deque()  # those that the encoder has
        self._given: dict[int, Features | ImageError] = {}  # what it gave of them, by their number
        self._seen = 0  # the number of the first that is under way
        self._ready: list[tuple[int, NewPhoto]] = []
        self._failed: list[tuple[int, FoundFile, str, bool]] = []
        self._committed_at = time.monotonic()

    def read(self, changes: _Changes) -> Iterator[IndexReport]:
        """Encode and commit the files of one root."""
        self._seen, self._given = 0, {}

        def fail(position: int, _: ImageSource, error: ImageError) -> None:
            self._given[position] = error
            self._advance()
            if self._is_due():
                self.commit()

        try:
            for rows in self.encoder().iter_images(self._unknown(changes), on_error=fail):
                self._given.update(zip(rows.indices.tolist(), rows.features, strict=True))
                self._advance()
                if self._is_due():
                    self.commit()
                    yield replace(self.report)
        except (KeyboardInterrupt, GeneratorExit):  # what was encoded is worth a commit
            self.commit()
            raise
        self.commit()
        yield replace(self.report)

    def commit(self) -> None:
        """All that is ready, with its vectors, at once."""
        with transaction(self.database):
            for root, photo in self._ready:
                photos.put_photo(self.database, root, self.model, photo)
            for root, found, reason, is_passing in self._failed:
                photos.put_failure(self.database, root, found, reason, is_passing=is_passing)
            self.job.note()
        self._ready, self._failed = [], []
        self._committed_at = time.monotonic()

    def _unknown(self, changes: _Changes) -> Iterator[BinaryIO]:
        """Inputs of the files whose content the library does not have; the others are moved or copied as they come."""
        for file in changes.root.open(changes.to_read):
            # What has no size, such as an address, would have to be fetched to know it.
            if file.found.size and file.found.size in self._sizes and self._is_known_content(changes.number, file):
                self.report.done += 1
                continue
            pending = _Pending(root=changes.number, file=file, left=0)
            try:
                inputs = file.inputs()
            except ImageError as error:
                pending.error = error
                self._finish(pending)
                continue
            pending.left = len(inputs)
            for each in inputs:
                self._under_way.append((pending, each))
                yield cast(BinaryIO, each)

    def _advance(self) -> None:
        """Hand on what the encoder gave, as far as it is whole: a batch's failures come before its rows."""
        while self._seen in self._given:
            given = self._given.pop(self._seen)
            self._seen += 1
            pending, source = self._under_way.popleft()
            if isinstance(given, ImageError):
                pending.error = given
            elif source.second is None or source.second not in pending.seconds:  # two may meet one frame
                pending.features.append(given)
                pending.seconds.append(source.second)
            pending.left -= 1
            if pending.left == 0:
                self._finish(pending)

    def _finish(self, pending: _Pending) -> None:
        """A file of which all has come: to the photos, or to the failures where none of it could be read."""
        file = pending.file
        self.report.done += 1
        if pending.features:
            assert file.facts is not None  # it was decoded
            features, seconds = np.stack(pending.features), tuple(pending.seconds)
            photo = NewPhoto(found=file.found, hash=file.hash, facts=file.facts, features=features, seconds=seconds)
            self._ready.append((pending.root, photo))
            self.report.encoded += 1
            return
        assert pending.error is not None
        if isinstance(pending.error, ChangingFileError):
            self.report.changing += 1
            return
        self.report.failed += 1
        is_passing = isinstance(pending.error, TransientReadError)
        self._failed.append((pending.root, file.found, _reason(file, pending.error), is_passing))

    def _is_known_content(self, root: int, file: IndexedFile) -> bool:
        """Whether a file is one that the library has, moved, touched or copied; then that is noted."""
        try:
            file.identify()
        except ImageError:
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

    def _is_due(self) -> bool:
        waiting = len(self._ready) + len(self._failed)
        return waiting >= _COMMIT_PHOTOS or time.monotonic() - self._committed_at >= _COMMIT_SECONDS


def _reason(file: IndexedFile, error: ImageError) -> str:
    """Without the path, which stands beside it."""
    return str(error).removeprefix(f"{file.name}: ").removeprefix(f"{file.name!a}: ")
