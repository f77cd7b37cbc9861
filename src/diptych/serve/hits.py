"""A photo that was found, as the API answers it."""

from typing import Any, Final

from pydantic import BaseModel, ConfigDict, Field, JsonValue

from diptych.calibration import MATCH_THRESHOLD
from diptych.library.search import Hit
from diptych.serve.root_names import RootNames

_EXAMPLE: Final[dict[str, JsonValue]] = {
    "id": 17,
    "name": "2024/beach.jpg",
    "root": "holiday",
    "score": 0.31,
    "relevance": 0.93,
    "matches": True,
    "width": 4032,
    "height": 3024,
    "taken_at": "2024-05-31T18:20:05",
    "second": None,
    "text": None,
    "fields": None,
}


class PhotoFacts(BaseModel):
    """What every answer says of a photo."""

    id: int = Field(description="Its number: photo:17 in a query, /v1/photos/17.")
    name: str = Field(description="Its path in its root, or its key in a table.")
    root: str = Field(description="The folder or the table that it is from, by name.")
    width: int = Field(description="Pixels of the upright picture.")
    height: int
    taken_at: str | None = Field(description="By the camera's clock.")
    text: str | None = Field(description="What a table says of it.")
    fields: dict[str, Any] | None = Field(description="The other columns of a table.")


class FoundPhoto(PhotoFacts):
    """A photo with how near it is."""

    model_config = ConfigDict(json_schema_extra={"examples": [_EXAMPLE]})
    score: float = Field(description="Its cosine with the query, -1 to 1.")
    relevance: float | None = Field(description="How far it stands out for words, 0 to 1; null for other queries.")
    matches: bool | None = Field(description=f"Whether its relevance is at least {MATCH_THRESHOLD:g}.")
    second: float | None = Field(description="Of a video: when the frame that was found is shown.")


class FoundPhotos(BaseModel):
    """The photos nearest to a query, best first."""

    hits: list[FoundPhoto]
    nothing_matches: bool | None = Field(
        description="Whether none stands out, so that these are but the nearest; null where that is not known, and "
        "where there are none, since filters or limits have let none through."
    )


def describe_hit(hit: Hit, names: RootNames) -> dict[str, Any]:
    """A `FoundPhoto`."""
    root, name = names.place(hit.source)
    facts = ("score", "relevance", "width", "height", "taken_at", "second", "text", "fields")
    return {
        "id": hit.id,
        "name": name,
        "root": root,
        "matches": None if hit.relevance is None else hit.relevance >= MATCH_THRESHOLD,
        **{fact: getattr(hit, fact) for fact in facts},
    }
