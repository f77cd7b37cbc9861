"""All that is known of one photo."""

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from diptych.library.database import NoPhotoError
from diptych.library.paths import LOCATED, Source, source_of
from diptych.library.photos import Model

_FACTS: Final = (
    *("id", "size", "mtime_ns", "hash", "width", "height", "format"),
    *("taken_at", "camera", "latitude", "longitude", "seconds", "text"),
)


@dataclass(frozen=True, kw_only=True)
class PhotoDetails:
    """A photo as it was when it was indexed; `size` is in bytes, places in degrees.

    `moments` are the seconds of a video's frames that the model has seen, of one `seconds` long.
    `is_embedded` says that its bytes lie in the table that names it.
    """

    id: int
    source: Source
    is_from_table: bool
    is_embedded: bool
    size: int
    mtime_ns: int
    hash: bytes
    width: int
    height: int
    format: str
    taken_at: str | None
    camera: str | None
    latitude: float | None
    longitude: float | None
    seconds: float | None
    text: str | None
    fields: Mapping[str, Any] | None
    moments: tuple[float, ...]


def photo_details(database: sqlite3.Connection, model: Model | None, photo: int) -> PhotoDetails:
    """What is known of a photo, with its moments by a model. Raises NoPhotoError."""
    row = database.execute(
        f"SELECT {', '.join(f'photos.{name}' for name in _FACTS)}, fields, {LOCATED} "
        "FROM photos JOIN roots ON roots.id = root_id WHERE photos.id = ?",
        (photo,),
    ).fetchone()
    if row is None:
        raise NoPhotoError(f"There is no photo {photo}.")
    moments = [] if model is None else _moments(database, model, photo)
    return PhotoDetails(
        source=source_of(row),
        is_from_table=row["kind"] != "folder",
        is_embedded=row["kind"] != "folder" and row["source"] is None,
        fields=None if row["fields"] is None else json.loads(row["fields"]),
        moments=tuple(moments),
        **{name: row[name] for name in _FACTS},
    )


def _moments(database: sqlite3.Connection, model: Model, photo: int) -> list[float]:
    query = f"SELECT second FROM {model.table} WHERE photo_id = ? AND second IS NOT NULL ORDER BY second"
    return [row[0] for row in database.execute(query, (photo,))]
