"""Bodies of requests, as JSON or where there are pictures as a form too, to one validated model."""

from collections.abc import Collection
from typing import Any, Final, TypeVar

from fastapi import Request
from pydantic import BaseModel, ValidationError
from pydantic_core import from_json

from diptych.serve.faults import body_fault, no_body, no_json
from diptych.serve.multipart import FILES, read_form, values_of
from diptych.serve.problems import Problem
from diptych.serve.schemas import Schema, schema_of

Body = TypeVar("Body", bound=BaseModel)

_JSON, _FORM = "application/json", "multipart/form-data"
_OR_FORM: Final = f", or {_FORM} with files named {FILES}"


async def read_json(request: Request, model: type[Body], default: Body | None = None) -> Body:
    """The JSON body as `model` has it; `default`, if there is one, where there is no body.

    A Problem for another content type (415), and for what is no JSON or not as `model` has it (422). JSON is held to
    its types: "1" is no number, and true is not 1.
    """
    if default is not None and not await request.body():
        return default
    return await _from_json(request, model)


async def read_request(
    request: Request, model: type[Body], *, at_commas: Collection[str] = ()
) -> tuple[Body, list[bytes]]:
    """The body as `model` has it, and the files that were uploaded as `image`, in their order.

    The body is JSON, as `read_json` has it, or a form of the same fields: those that take a list may be repeated, and
    given once may be a JSON list; what is nested is JSON. Those named in `at_commas` that a form gives once are split
    there.
    """
    if _content_type(request) != _FORM:
        return await _from_json(request, model, _OR_FORM), []
    fields, uploads = await read_form(request)
    return _validated(values_of(fields, schema_of(model), at_commas), model), uploads


def json_body(model: type[BaseModel], *, is_required: bool = True) -> Schema:
    """`openapi_extra` of a route that reads `model` by `read_json`."""
    return {"requestBody": {"required": is_required, "content": {_JSON: {"schema": schema_of(model)}}}}


def both_bodies(model: type[BaseModel]) -> Schema:
    """`openapi_extra` of a route that reads `model` by `read_request`."""
    schema = schema_of(model)
    file = {"type": "array", "items": {"type": "string", "format": "binary"}, "description": "Files of pictures."}
    form = {key: value for key, value in schema.items() if key != "examples"}
    form["properties"] = {**schema["properties"], FILES: file}
    return {"requestBody": {"required": True, "content": {_JSON: {"schema": schema}, _FORM: {"schema": form}}}}


async def _from_json(request: Request, model: type[Body], otherwise: str = "") -> Body:
    body = await request.body()
    if not body:
        raise no_body(model)
    kind = _content_type(request)
    if kind != _JSON:
        detail = f"The content type is {kind[:100] or 'not given'}: send {_JSON}{otherwise}."
        raise Problem(415, "unsupported-media-type", "Unsupported content type", detail)
    try:
        # Unlike json.loads it refuses half of a surrogate pair, which could be neither answered nor kept.
        content = from_json(body, allow_inf_nan=False)
    except ValueError as error:
        raise no_json(error) from None
    return _validated(content, model)


def _content_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _validated(content: Any, model: type[Body]) -> Body:  # noqa: ANN401 (any JSON)
    try:
        return model.model_validate(content, strict=True)
    except ValidationError:
        raise body_fault(content, model) from None
