"""The tables of a library, as steps from each version of them to the next. A step that was released never changes."""

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
    revision INTEGER NOT NULL DEFAULT 0,    -- one more whenever a vector comes or goes
    added_at REAL NOT NULL
);
CREATE TABLE failures (
    root_id INTEGER NOT NULL REFERENCES roots (id) ON DELETE CASCADE,
    path NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    reason TEXT NOT NULL,
    failed_at REAL NOT NULL,
    PRIMARY KEY (root_id, path)
);
"""

MIGRATIONS: Final = (_FIRST,)
VERSION: Final = len(MIGRATIONS)


def vectors_table(model_id: int) -> str:
    """The table of one model: a row for each photo that it has seen."""
    name = f"vectors_{model_id}"
    return f"""
    CREATE TABLE {name} (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        photo_id INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
        vector BLOB NOT NULL                -- of unit length, little-endian
    );
    CREATE INDEX {name}_by_photo ON {name} (photo_id);
    """
