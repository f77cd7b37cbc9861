"""What a photo says of itself: when, with what and where it was taken. Cameras write nonsense; nonsense is left out."""

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any, Final

from diptych.images import ImageHeader

# EXIF 2.32, sections 4.6.4 to 4.6.6
_MAKE, _MODEL, _CHANGED = 0x010F, 0x0110, 0x0132
_TAKEN, _DIGITISED, _ZONE_TAKEN, _ZONE_DIGITISED, _ZONE_CHANGED = 0x9003, 0x9004, 0x9011, 0x9012, 0x9010
_SOUTH_OR_NORTH, _LATITUDE, _EAST_OR_WEST, _LONGITUDE = 1, 2, 3, 4
_ZONE: Final = re.compile(r"[+-](0\d|1[0-4]):[0-5]\d")


@dataclass(frozen=True, kw_only=True)
class PhotoFacts:
    """`taken_at` is the camera's clock in ISO 8601 to the second, `taken_zone` as +02:00; places are in degrees."""

    width: int
    height: int
    format: str
    taken_at: str | None = None
    taken_zone: str | None = None
    camera: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    seconds: float | None = None  # how long a video is


FACTS: Final = tuple(each.name for each in fields(PhotoFacts))
"""Their names, which are those of the columns too."""


def facts_of(header: ImageHeader) -> PhotoFacts:
    """The facts that a library keeps of a picture."""
    taken_at, zone = _taken(header.exif)
    latitude, longitude = _place(header.gps)
    return PhotoFacts(
        width=header.size[0],
        height=header.size[1],
        format=header.format,
        taken_at=taken_at,
        taken_zone=zone,
        camera=_camera(header.exif),
        latitude=latitude,
        longitude=longitude,
    )


def _taken(exif: Mapping[int, Any]) -> tuple[str | None, str | None]:
    """The clock's time and zone: of the shot, else of the scan, else of the last change."""
    for time, zone in ((_TAKEN, _ZONE_TAKEN), (_DIGITISED, _ZONE_DIGITISED), (_CHANGED, _ZONE_CHANGED)):
        if found := _time(exif.get(time)):
            offset = _text(exif.get(zone))
            return found, offset if offset and _ZONE.fullmatch(offset) else None
    return None, None


def _time(value: object) -> str | None:
    text = _text(value)
    if text is None:
        return None
    for form in ("%Y:%m:%d %H:%M:%S", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", "%Y:%m:%d %H:%M"):
        try:
            return datetime.strptime(text[:19], form).isoformat(timespec="seconds")
        except ValueError:
            continue
    return None


def _camera(exif: Mapping[int, Any]) -> str | None:
    """Make and model; the make once, where the model begins with it."""
    make, model = _text(exif.get(_MAKE)), _text(exif.get(_MODEL))
    if make and model:
        return model if model.lower().startswith(make.split()[0].lower()) else f"{make} {model}"
    return model or make


def _place(gps: Mapping[int, Any]) -> tuple[float | None, float | None]:
    latitude = _degrees(gps.get(_LATITUDE), gps.get(_SOUTH_OR_NORTH), "S")
    longitude = _degrees(gps.get(_LONGITUDE), gps.get(_EAST_OR_WEST), "W")
    if latitude is None or longitude is None or abs(latitude) > 90 or abs(longitude) > 180:
        return None, None
    if latitude == 0 == longitude:  # what a camera writes that knows no place
        return None, None
    return latitude, longitude


def _degrees(value: Any, side: object, negative: str) -> float | None:  # noqa: ANN401 (what a camera wrote)
    """Degrees, minutes and seconds as one number."""
    try:
        degrees, minutes, seconds = (float(part) for part in value)
    except (TypeError, ValueError, ZeroDivisionError):
        return None
    found = degrees + minutes / 60 + seconds / 3600
    if not math.isfinite(found):
        return None
    return round(-found if (_text(side) or "").upper().startswith(negative) else found, 7)


def _text(value: object) -> str | None:
    """The words of a tag without the NULs and blanks that cameras fill it up with."""
    if isinstance(value, bytes):
        value = value.decode("utf-8", errors="replace")
    if not isinstance(value, str):
        return None
    return " ".join(value.replace("\0", " ").split())[:200] or None
