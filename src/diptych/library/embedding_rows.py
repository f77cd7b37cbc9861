"""Vectors with what they belong to, as they are written to files and read, whatever the files' format."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

from diptych.encode.encoder import Features

Row: TypeAlias = Mapping[str, Any]
Write: TypeAlias = Callable[[Sequence[Row], Features], None]

ROWS_AT_ONCE: Final = 4_096
COLUMNS: Final[Mapping[str, type]] = {
    **{"id": int, "path": str, "root": str, "key": str, "source": str, "size": int, "mtime_ns": int, "hash": str},
    **{"width": int, "height": int, "format": str, "taken_at": str, "taken_zone": str, "camera": str},
    **{"latitude": float, "longitude": float, "seconds": float, "text": str, "fields": str, "second": float},
}
"""What is said of each vector; docs/photo-library.md says what it means. Any may be None."""


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Some rows in order, and their vectors (n, E): of NaN where a row has none, or one of another width."""

    rows: list[dict[str, Any]]
    vectors: Features


class EmbeddingFile(Protocol):
    """A file to read. `about` is what the writer said of the model and the roots; None if it was not Diptych."""

    path: Path
    about: dict[str, Any] | None
    width: int
    count: int

    def chunks(self) -> Iterator[Chunk]:
        """All rows, a few thousand at a time, with those of `COLUMNS` that the file has."""


def json_object(text: str | bytes | None) -> dict[str, Any] | None:
    """A JSON object, or None for whatever is none: NaN and Infinity, which Python writes, are no JSON."""
    try:
        found = json.loads(text or "null", parse_constant=_refuse)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is no JSON")


def short_reason(error: Exception) -> str:
    """What an error says, on one line."""
    return " ".join(str(error).split())[:200]
