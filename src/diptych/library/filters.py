"""Which photos may be found at all: folder, time, camera, size, place, format, columns of a catalogue, as SQL."""

import difflib
import math
import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from diptych.library.field_filters import FieldFilter
from diptych.library.formats import known_formats, meant_formats
from diptych.library.paths import absolute, stored

_EARTH_KM: Final = 6_371.0
_NAMED: Final = 24  # columns or formats in one line
_LONGEST_NAME: Final = 100  # characters that are repeated
_DATE: Final = re.compile(r"\d{4}(-\d\d(-\d\d(T\d\d(:\d\d(:\d\d)?)?)?)?)?", re.ASCII)


class FilterError(ValueError):
    """Filters that no photo could pass; its text is one line."""


@dataclass(frozen=True, kw_only=True)
class Near:
    """A place in degrees, north and east positive, and how far from it."""

    latitude: float
    longitude: float
    km: float

    def __post_init__(self) -> None:
        if not (abs(self.latitude) <= 90 and abs(self.longitude) <= 180 and 0 < self.km < math.inf):
            raise ValueError(
                f"A place is latitude, longitude and a distance above 0, got {self.latitude}, {self.longitude} and "
                f"{self.km} km"
            )


@dataclass(frozen=True, kw_only=True)
class Filters:
    """All of what is given must hold. Dates are of the camera's clock, 2024, 2024-05 or 2024-05-31, both ends included.

    `folder` is one under which photos lie; `root` is the path of one that the library was filled from.
    `where` is SQL over the columns of the table `photos`, for those who own the library: never from a request.
    """

    folder: str | os.PathLike[str] | None = None
    root: str | os.PathLike[str] | None = None
    since: str | None = None
    until: str | None = None
    camera: str | None = None  # a part of the name, in any case
    format: str | None = None  # in any case; jpg is JPEG, tif TIFF and heic HEIF
    min_side: int | None = None  # pixels, of the shorter side
    near: Near | None = None
    fields: tuple[FieldFilter, ...] = ()
    where: str | None = None

    def __post_init__(self) -> None:
        for name, value in (("since", self.since), ("until", self.until)):
            if value is not None and not _is_date(value):
                raise FilterError(f"{name} must be a date such as 2024, 2024-05 or 2024-05-31, got {value[:40]!r}.")
        if self.since is not None and self.until is not None:
            common = min(len(self.since), len(self.until))
            if self.since[:common] > self.until[:common]:
                raise FilterError(f"No time is since {self.since} and until {self.until}: the earlier is since.")

    def __bool__(self) -> bool:
        return self != Filters()

    def sql(self) -> tuple[str, list[object]]:
        """A condition over `photos JOIN roots`, and the values of its question marks."""
        parts = list(self._parts())
        condition = " AND ".join(f"({part})" for part, _ in parts) or "1"
        return condition, [value for _, values in parts for value in values]

    def _parts(self) -> list[tuple[str, tuple[object, ...]]]:
        parts: list[tuple[str, tuple[object, ...]]] = []
        if self.folder is not None:
            folder = os.fsencode(str(absolute(self.folder)).rstrip("/") + "/")  # bytes: names need not be UTF-8
            whole = "coalesce(photos.source, rtrim(roots.path, '/') || '/' || photos.path)"
            parts.append((f"substr(CAST({whole} AS BLOB), 1, ?) = ?", (len(folder), folder)))
        if self.root is not None:
            parts.append(("roots.path = ?", (stored(os.fsdecode(self.root)),)))
        if self.since is not None:
            parts.append(("photos.taken_at >= ?", (self.since,)))
        if self.until is not None:  # "2024-05" ends with the last of what begins with it
            parts.append(("substr(photos.taken_at, 1, ?) <= ?", (len(self.until), self.until)))
        if self.camera is not None:
            parts.append(("instr(lower(photos.camera), lower(?)) > 0", (self.camera,)))
        if self.format is not None:
            formats = meant_formats(self.format)
            parts.append((f"photos.format IN ({', '.join('?' * len(formats))})", formats))
        if self.min_side is not None:
            parts.append(("min(photos.width, photos.height) >= ?", (self.min_side,)))
        if self.near is not None:
            place = (self.near.latitude, self.near.longitude, self.near.km)
            parts.append(("distance_km(photos.latitude, photos.longitude, ?, ?) <= ?", place))
        parts += [field.sql() for field in self.fields]
        if self.where is not None:
            parts.append((f"photos.id IN (SELECT id FROM photos WHERE {self.where})", ()))
        return parts


def check_names(filters: Filters, *, formats: Callable[[], list[str]], columns: Callable[[], list[str]]) -> None:
    """FilterError for a column that no photo has, and for a format that neither a photo has nor is read at all.

    `formats` and `columns` list those that the photos have.
    """
    if filters.fields:
        held = columns()
        for field in filters.fields:
            if field.name not in held:
                raise FilterError(_unknown("column", field.name, held))
    if filters.format is not None:
        meant, known = set(meant_formats(filters.format)), known_formats()
        if not meant & known and not meant & set(held := formats()):
            raise FilterError(_unknown("format", filters.format, [*held, *sorted(known - set(held))]))


def distance_km(
    latitude: float | None, longitude: float | None, other_latitude: float, other_longitude: float
) -> float | None:
    """Between two places in degrees along a great circle, by the haversine formula; None from nowhere."""
    if latitude is None or longitude is None:
        return None
    north, south = math.radians(latitude), math.radians(other_latitude)
    across = math.radians(longitude - other_longitude)
    half = math.sin((north - south) / 2) ** 2 + math.cos(north) * math.cos(south) * math.sin(across / 2) ** 2
    return 2 * _EARTH_KM * math.asin(min(1.0, math.sqrt(half)))


def _is_date(text: str) -> bool:
    """Whether it is a moment of the calendar, or as much of one as there is."""
    if not _DATE.fullmatch(text):
        return False
    parts = [int(part) for part in re.findall(r"\d+", text)]
    try:
        datetime(*parts, *(1, 1)[len(parts) - 1 :])  # type: ignore[arg-type]
    except ValueError:
        return False
    return True


def _unknown(kind: str, name: str, known: Sequence[str]) -> str:
    """That there is none of this name, with the nearest and those that there are."""
    cases = {each.lower(): each for each in known}
    near = difflib.get_close_matches(name[:_LONGEST_NAME].lower(), cases, 1)
    asked = f"did you mean {cases[near[0]]}? Known" if near else "known"
    more = f" and {len(known) - _NAMED:,} more" if len(known) > _NAMED else ""
    listed = ", ".join(known[:_NAMED]) or "none: they come with a table that is indexed"
    return f"There is no {kind} {name[:_LONGEST_NAME]!r}: {asked} are {listed}{more}."
