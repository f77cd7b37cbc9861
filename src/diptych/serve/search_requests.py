"""What a search may ask for. Nothing of it is a path, or SQL."""

from dataclasses import replace
from typing import Annotated, Final

from pydantic import BaseModel, ConfigDict, Field

from diptych.library.field_filters import FieldFilter, Operator
from diptych.library.filters import Filters, Near
from diptych.serve.problems import judging_values
from diptych.serve.root_names import RootNames
from diptych.serve.schemas import WHOLE

_LARGEST: Final = 2**63 - 1  # that the database can hold
_PICTURE: Final = "A data URI, base64, or an http(s) address where the server allows these."
_STRICT: Final = ConfigDict(extra="forbid", allow_inf_nan=False)
_QUERY: Final = "two dogs + 0.5:snow - people + photo:17"
Top = Annotated[int, Field(ge=1, le=200, description="How many photos."), WHOLE]
Side = Annotated[int, Field(ge=1, le=1_000_000), WHOLE]
Skip = Annotated[int, Field(ge=0, le=10_000), WHOLE]
PhotoId = Annotated[int, Field(ge=1, le=_LARGEST), WHOLE]


class Place(BaseModel):
    """A place, and how far from it."""

    model_config = _STRICT
    latitude: float = Field(ge=-90, le=90, description="Degrees, north positive.")
    longitude: float = Field(ge=-180, le=180, description="Degrees, east positive.")
    km: float = Field(gt=0)


class FieldCondition(BaseModel):
    """What a column of a table must hold."""

    model_config = _STRICT
    name: str = Field(min_length=1, max_length=200)
    op: Operator = "="
    value: str | int | float = Field(union_mode="smart")


class SearchFilters(BaseModel):
    """All of what is given must hold."""

    model_config = _STRICT
    since: str | None = Field(default=None, max_length=19, description="Taken in or after 2024, 2024-05 or 2024-05-31.")
    until: str | None = Field(default=None, max_length=19, description="Taken in or before.")
    camera: str | None = Field(default=None, max_length=200, description="A part of the camera's name.")
    format: str | None = Field(default=None, max_length=40, description="jpg, png, heic, tif ...")
    min_side: Side | None = Field(default=None, description="Pixels of the shorter side.")
    near: Place | None = None
    root: str | None = Field(default=None, max_length=200, description="A root's name, as /v1/library has it.")
    fields: list[FieldCondition] = Field(default_factory=list, max_length=32)

    def resolve(self, names: RootNames) -> Filters:
        """The same for the library. A Problem for a root that there is not, and for what cannot be asked."""
        filters = Filters() if self.root is None else names.find(self.root).filters
        with judging_values():
            return replace(
                filters,
                since=self.since,
                until=self.until,
                camera=self.camera,
                format=self.format,
                min_side=self.min_side,
                near=None if self.near is None else Near(**self.near.model_dump()),
                fields=tuple(FieldFilter(name=each.name, op=each.op, value=each.value) for each in self.fields),
            )


class ImageTerm(BaseModel):
    """A picture to find the like of, or with a negative weight the unlike."""

    model_config = _STRICT
    image: str = Field(description=_PICTURE)
    weight: float = 1.0


class SearchRequest(BaseModel):
    """What to find; some words or some picture are needed."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"query": "two dogs in snow", "top": 5, "filters": {"since": "2023"}}]},
        **_STRICT,
    )
    query: str | None = Field(default=None, description=f"Words, or terms: {_QUERY}.")
    images: list[str | ImageTerm] | None = Field(default=None, description=f"Pictures to find the like of. {_PICTURE}")
    top: Top = 20
    skip: Skip = Field(default=0, description="How many of the best to leave out, for the next page.")
    threshold: float | None = Field(default=None, ge=-1, le=1, description="The least cosine.")
    min_relevance: float | None = Field(default=None, ge=0, le=1, description="The least relevance, for words alone.")
    filters: SearchFilters = SearchFilters()


class SimilarRequest(BaseModel):
    """One photo of the library, or one picture."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"photo": 17, "top": 5}]}, **_STRICT)
    photo: PhotoId | None = Field(default=None, description="A photo's number.")
    image: str | None = Field(default=None, description=_PICTURE)
    top: Top = 20
    filters: SearchFilters = SearchFilters()
