"""The tables of a library, as steps from each version of them to the next. A step that was released never changes."""

import sqlite3
from collections.abc import Callable, Iterator
from typing import Final

# paths: text, or the bytes of a name that is not UTF-8. Times of files are nanoseconds, of events Unix seconds.
_FIRST: Final = """
CREATE TABLE roots (
    id INTEGER PRIMARY KEY,
    path NOT NULL UNIQUE,                   -- absolute
    scanned_at REAL                         -- when it was last gone through to the end
);
CREATE TABLE photos (
    id INTEGER PRIMARY KEY AUTOINCREMENT,   -- never given twice
    root_id INTEGER NOT NULL REFERENCES roots (id) ON DELETE CASCADE,
    path NOT NULL,                          -- in its root, parts joined by /
    size INTEGER NOT NULL,                  -- bytes
    mtime_ns INTEGER NOT NULL,
    hash BLOB NOT NULL,                     -- of the whole file: the first 16 bytes of its SHA-256
    width INTEGER NOT NULL,                 -- of the upright picture
    height INTEGER NOT NULL,
    format TEXT NOT NULL,                   -- Pillow's name of it: JPEG, HEIF ...
    taken_at TEXT,                          -- the camera's clock: 2024-05-31T18:20:05
    taken_zone TEXT,                        -- +02:00, where the camera says so
    camera TEXT,
    latitude REAL,                          -- degrees, north and east positive
    longitude REAL,
    indexed_at REAL NOT NULL,
    UNIQUE (root_id, path)
);
CREATE INDEX photos_by_hash ON photos (hash);
CREATE INDEX photos_by_time ON photos (taken_at);
CREATE TABLE models (
    id INTEGER PRIMARY KEY,                 -- its vectors are in the table vectors_ID
    fingerprint TEXT NOT NULL UNIQUE,       -- weights and preprocessing
    name TEXT NOT NULL,                     -- what loads it
    width INTEGER NOT NULL,                 -- E
    dtype TEXT NOT NULL CHECK (dtype IN ('float16', 'float32')),
    revision INTEGER NOT NULL DEFAULT 0,    -- no longer used
    added_at REAL NOT NULL
);
CREATE TABLE failures (
    root_id INTEGER NOT NULL REFERENCES roots (id) ON DELETE CASCADE,
    path NOT NULL,
    size INTEGER NOT NULL,                  -- -1: never as it was, so it is tried again
    mtime_ns INTEGER NOT NULL,
    reason TEXT NOT NULL,
    failed_at REAL NOT NULL,
    PRIMARY KEY (root_id, path)
);
"""

# Videos, catalogues and what was done. A video has a vector for each of several frames.
_SECOND: Final = """
ALTER TABLE roots ADD COLUMN kind TEXT NOT NULL DEFAULT 'folder';   -- or 'table': path is that of a catalogue
ALTER TABLE roots ADD COLUMN settings TEXT;                         -- how it is gone through, as JSON
ALTER TABLE photos ADD COLUMN seconds REAL;                         -- how long a video is
ALTER TABLE photos ADD COLUMN source TEXT;                          -- of a catalogue: a file, an address, or nothing
ALTER TABLE photos ADD COLUMN text TEXT;                            -- of a catalogue
ALTER TABLE photos ADD COLUMN fields TEXT;                          -- of a catalogue: its other columns, as JSON
CREATE TABLE jobs (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    process INTEGER NOT NULL,
    started_at REAL NOT NULL,
    ended_at REAL,                          -- none: it goes on, or was killed
    outcome TEXT,                           -- done, interrupted, or what went wrong
    roots TEXT NOT NULL,                    -- a JSON list
    model_id INTEGER REFERENCES models (id) ON DELETE SET NULL,
    total INTEGER NOT NULL,
    done INTEGER NOT NULL,
    failed INTEGER NOT NULL
);
CREATE TABLE gone (                         -- vectors that were deleted, the last of them
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    model_id INTEGER NOT NULL,
    vector_id INTEGER NOT NULL
);
"""

# Labels that people classify with again and again, and what models made of them.
_THIRD: Final = """
CREATE TABLE label_sets (
    name TEXT PRIMARY KEY,
    content TEXT NOT NULL,                  -- labels and templates as JSON
    created_at REAL NOT NULL
);
CREATE TABLE label_set_features (
    name TEXT NOT NULL REFERENCES label_sets (name) ON DELETE CASCADE,
    fingerprint TEXT NOT NULL,              -- of the model
    dtype TEXT NOT NULL,                    -- that it computed in
    features BLOB NOT NULL,                 -- (K, E) float32, little-endian, of unit length
    PRIMARY KEY (name, fingerprint, dtype)
);
"""


def _first(database: sqlite3.Connection) -> None:
    _run(database, _FIRST)


def _second(database: sqlite3.Connection) -> None:
    _run(database, _SECOND)
    for row in database.execute("SELECT id FROM models").fetchall():
        database.execute(f"ALTER TABLE vectors_{row[0]} ADD COLUMN second REAL")
        _note_what_goes(database, row[0])


def _third(database: sqlite3.Connection) -> None:
    _run(database, _THIRD)


MIGRATIONS: Final[tuple[Callable[[sqlite3.Connection], None], ...]] = (_first, _second, _third)
VERSION: Final = len(MIGRATIONS)


def add_vectors_table(database: sqlite3.Connection, model_id: int) -> None:
    """The table of one model: a row for each photo that it has seen, or for each frame of a video."""
    name = f"vectors_{model_id}"
    _run(
        database,
        f"""
        CREATE TABLE {name} (
            id INTEGER PRIMARY KEY AUTOINCREMENT,
            photo_id INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
            vector BLOB NOT NULL,               -- of unit length, little-endian
            second REAL                         -- when in a video
        );
        CREATE INDEX {name}_by_photo ON {name} (photo_id);
        """,
    )
    _note_what_goes(database, model_id)


def _note_what_goes(database: sqlite3.Connection, model_id: int) -> None:
    """Have the database itself note each vector that is deleted, whichever way: what was made of them is stale then."""
    database.execute(
        f"CREATE TRIGGER vectors_{model_id}_go AFTER DELETE ON vectors_{model_id} "
        f"BEGIN INSERT INTO gone (model_id, vector_id) VALUES ({model_id}, OLD.id); END"
    )


def _run(database: sqlite3.Connection, script: str) -> None:
    for statement in _statements(script):
        database.execute(statement)


def _statements(script: str) -> Iterator[str]:
    """A script's statements one by one: `executescript` would commit before the first."""
    statement = ""
    for line in script.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            yield statement
            statement = ""
