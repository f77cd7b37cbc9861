"""The one truth of a library: an SQLite file, private to its owner, brought to this version's tables when opened."""

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Final

from diptych.errors import DiptychError
from diptych.library.filters import distance_km
from diptych.library.schema import MIGRATIONS, VERSION
from diptych.library.walk import LIBRARY_FILE

_APPLICATION: Final = 0x44495054  # "DIPT" in the file's header, so that no other database is taken for a library
PATIENCE_SECONDS: Final = 10.0
"""How long a lock is waited for, by default: who writes to a library holds it for one commit."""


class LibraryError(DiptychError):
    """A library that is not there, not one, damaged, of a later version, or held by another process."""


class LibraryBusyError(LibraryError):
    """A library whose database another process has locked for longer than is waited."""


class NoVectorsError(LibraryError):
    """A library that is empty, or was indexed with other models only."""


class NoPhotoError(LibraryError):
    """A photo that the library does not hold, or no longer."""


def create(folder: Path) -> None:
    """Make an empty library where there is none. LibraryError for a folder that holds other things."""
    try:
        if folder.exists() and any(folder.iterdir()) and not (folder / LIBRARY_FILE).exists():
            raise LibraryError(f"{folder} holds other files and no library; give --library a new folder.")
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor = os.open(folder / LIBRARY_FILE, os.O_CREAT | os.O_RDWR, 0o600)
        os.close(descriptor)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise LibraryError(
            f"{folder} cannot hold a library ({reason}): give a folder that can be written to."
        ) from error


def connect(folder: Path, *, patience_seconds: float = PATIENCE_SECONDS) -> sqlite3.Connection:
    """A connection in autocommit mode, for one thread; its rows are `sqlite3.Row`.

    Raises LibraryError where there is no library, or none that this version can use.
    """
    path = folder / LIBRARY_FILE
    if not path.is_file():
        raise LibraryError(f"There is no library in {folder}: `diptych index FOLDER` makes one.")
    try:
        database = sqlite3.connect(path, timeout=patience_seconds, isolation_level=None)
    except sqlite3.Error as error:
        raise LibraryError(f"{path} cannot be opened ({error}).") from error
    try:
        database.row_factory = sqlite3.Row
        database.create_function("distance_km", 4, distance_km, deterministic=True)
        database.execute("PRAGMA foreign_keys = ON")
        _use_wal(database, patience_seconds)
        database.execute("PRAGMA synchronous = NORMAL")  # a power cut may cost the last commits, never the file
        _migrate(database, path)
    except sqlite3.DatabaseError as error:
        database.close()
        raise _unusable(path, error) from error
    except LibraryError:
        database.close()
        raise
    return database


@contextmanager
def transaction(database: sqlite3.Connection) -> Iterator[None]:
    """All of the block, or nothing of it. LibraryError for a full or read-only disk, or one that others write to."""
    try:
        database.execute("BEGIN IMMEDIATE")
        yield
        database.execute("COMMIT")
    except BaseException as error:
        if database.in_transaction:  # a full disk ends it
            database.execute("ROLLBACK")
        if isinstance(error, sqlite3.OperationalError):
            raise _unwritable(database, error) from error
        raise


def faults(database: sqlite3.Connection) -> list[str]:
    """What SQLite's own check finds wrong with the file; nothing if it is whole."""
    with closing(database.execute("PRAGMA integrity_check")) as rows:
        found = [str(row[0]) for row in rows]
    return [] if found == ["ok"] else found


def _use_wal(database: sqlite3.Connection, patience_seconds: float) -> None:
    """Let readers go on while somebody writes: the file keeps it.

    While another process does the same to a new library, SQLite says at once that it is locked, whatever the timeout.
    """
    end = time.monotonic() + patience_seconds
    while True:
        try:
            database.execute("PRAGMA journal_mode = WAL")
        except sqlite3.OperationalError as error:
            if not is_busy(error) or time.monotonic() >= end:
                raise
        else:
            return
        time.sleep(0.01)


def _migrate(database: sqlite3.Connection, path: Path) -> None:
    """Bring the tables to VERSION, each step whole or not at all, whichever of two processes is first."""
    if _pragma(database, "user_version") == VERSION and _pragma(database, "application_id") == _APPLICATION:
        return
    with transaction(database):
        version, application = _pragma(database, "user_version"), _pragma(database, "application_id")
        is_new = version == 0 and not database.execute("SELECT 1 FROM sqlite_master LIMIT 1").fetchone()
        if application != _APPLICATION and not is_new:
            raise LibraryError(f"{path} is a database of something else; give --library another folder.")
        if version > VERSION:
            raise LibraryError(
                f"{path} was written by a later Diptych (tables of version {version}, this one knows {VERSION}): "
                "upgrade Diptych."
            )
        for number, migrate in enumerate(MIGRATIONS[version:], start=version + 1):
            migrate(database)
            database.execute(f"PRAGMA user_version = {number}")
        database.execute(f"PRAGMA application_id = {_APPLICATION}")


def _pragma(database: sqlite3.Connection, name: str) -> int:
    return int(database.execute(f"PRAGMA {name}").fetchone()[0])


def is_busy(error: Exception) -> bool:
    """Whether it says that another process has the database locked."""
    if isinstance(error, sqlite3.OperationalError):
        return _code(error) in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
    return isinstance(error, LibraryBusyError)


def _code(error: sqlite3.Error) -> int:
    """SQLite's primary code; 0 for what Python's module finds itself."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _unwritable(database: sqlite3.Connection, error: sqlite3.OperationalError) -> LibraryError:
    path = database.execute("PRAGMA database_list").fetchone()[2]
    if is_busy(error):
        return _busy(path)
    if _code(error) == sqlite3.SQLITE_FULL:
        return LibraryError(f"{path} cannot grow: its disk is full. What was committed is kept; make room and go on.")
    return LibraryError(f"{path} cannot be written now ({error}).")


def _unusable(path: Path, error: sqlite3.DatabaseError) -> LibraryError:
    if is_busy(error):
        return _busy(path)
    if isinstance(error, sqlite3.OperationalError):  # read-only, no space
        return LibraryError(f"{path} cannot be used now ({error}).")
    return LibraryError(f"{path} is damaged ({error}): put a copy of it back, or move it away and index again.")


def _busy(path: Path | str) -> LibraryError:
    return LibraryBusyError(f"{path} is locked by another program: wait until that is done, or end it.")
