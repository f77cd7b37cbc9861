"""`/v1/label-sets`: labels kept in the library under a name, to classify with."""

from datetime import UTC, datetime
from functools import partial
from typing import Annotated, Any
from urllib.parse import quote

from fastapi import APIRouter, Path, Request
from fastapi.responses import JSONResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from diptych.library.label_sets import LabelSet
from diptych.library.library import PhotoLibrary
from diptych.serve.bodies import json_body, read_json
from diptych.serve.labels import GivenLabels, GivenTemplates, make_prompts, resolve_forms
from diptych.serve.problems import Problem, invalid
from diptych.serve.state import Shared
from diptych.serve.stored_sets import no_such_set

router = APIRouter(tags=["label sets"])
Name = Annotated[str, Path(description="A label set's name.", examples=["pets"])]
_MOST, _MOST_CHARACTERS = 1_000, 200_000  # sets, and of a set: a library is no place to fill up


class NewLabelSet(BaseModel):
    """Labels to keep under a name."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"name": "pets", "labels": ["dog", "cat"], "templates": "a photo of a {}."}]},
        extra="forbid",
    )
    name: str = Field(min_length=1, max_length=100, description="Without slashes, and not only dots.")
    labels: GivenLabels
    templates: GivenTemplates | None = None


class StoredLabelSet(BaseModel):
    """Labels kept under a name."""

    name: str
    labels: GivenLabels
    templates: GivenTemplates | None
    created_at: datetime


class LabelSets(BaseModel):
    """All of them, by name."""

    label_sets: list[StoredLabelSet]


@router.post("/v1/label-sets", status_code=201, response_model=StoredLabelSet, openapi_extra=json_body(NewLabelSet))
async def create_label_set(request: Request, server: Shared) -> Response:
    """Keep labels and templates under a name that is free; their texts are encoded now, once."""
    library = server.need_library()
    body = await read_json(request, NewLabelSet)
    _check_name(body.name)
    if (size := len(repr(body.model_dump()))) > _MOST_CHARACTERS:
        raise invalid(f"The set has {size:,} characters, and {_MOST_CHARACTERS:,} are the most: make several.")
    forms = resolve_forms(body.templates, server.config.limits)
    prompts = make_prompts(body.labels, forms, server.config.limits)
    labels = tuple(body.labels) if isinstance(body.labels, list) else body.labels
    templates = tuple(body.templates) if isinstance(body.templates, list) else body.templates

    def put(library: PhotoLibrary) -> LabelSet | None:
        _check_is_new(body.name, library)
        if not library.label_sets.put(body.name, labels, templates, classifier=classifier):
            raise _taken(body.name)
        return library.label_sets.find(body.name)

    await library.run(partial(_check_is_new, body.name))  # before the work
    classifier = await server.classifiers.build(forms, prompts)
    made = await library.run(put)
    if made is None:  # deleted in the meantime
        raise no_such_set(body.name)
    place = f"{server.config.root_path}/v1/label-sets/{quote(made.name, safe='')}"
    return JSONResponse(_described(made), status_code=201, headers={"Location": place})


@router.get("/v1/label-sets", response_model=LabelSets)
async def list_label_sets(server: Shared) -> dict[str, Any]:
    """All label sets, by name."""
    found = await server.need_library().run(lambda library: library.label_sets.all())
    return {"label_sets": [_described(each) for each in found]}


@router.get("/v1/label-sets/{name}", response_model=StoredLabelSet)
async def get_label_set(name: Name, server: Shared) -> dict[str, Any]:
    """The labels and templates of one set."""
    found = await server.need_library().run(lambda library: library.label_sets.find(name))
    if found is None:
        raise no_such_set(name)
    return _described(found)


@router.delete("/v1/label-sets/{name}", status_code=204)
async def delete_label_set(name: Name, server: Shared) -> Response:
    """Forget a set, and what was computed for it."""
    if not await server.need_library().run(lambda library: library.label_sets.delete(name)):
        raise no_such_set(name)
    return Response(status_code=204)


def _check_name(name: str) -> None:
    """A Problem for what would not stand in an address, or not in a list."""
    if not name.isprintable() or name != name.strip() or not name.strip(".") or set(name) & set("/\\"):
        raise invalid(
            "name: it is printable, without slashes, without spaces around it, and not only dots: choose another."
        )


def _check_is_new(name: str, library: PhotoLibrary) -> None:
    """A Problem for a name that is taken, or for more sets than are kept."""
    if library.label_sets.find(name) is not None:
        raise _taken(name)
    if len(library.label_sets.all()) >= _MOST:
        detail = f"There are {_MOST:,} already, the most that are kept: delete some."
        raise Problem(409, "too-many-label-sets", "Too many label sets", detail)


def _taken(name: str) -> Problem:
    detail = f"There is a label set {name!r} already: delete it first, or choose another name."
    return Problem(409, "label-set-exists", "The name is taken", detail)


def _described(found: LabelSet) -> dict[str, Any]:
    labels = list(found.labels) if isinstance(found.labels, tuple) else dict(found.labels)
    templates = list(found.templates) if isinstance(found.templates, tuple) else found.templates
    created_at = datetime.fromtimestamp(found.created_at, UTC).isoformat().replace("+00:00", "Z")
    return {"name": found.name, "labels": labels, "templates": templates, "created_at": created_at}
