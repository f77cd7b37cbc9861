"""Requests that are not as their schema has them, as one problem that says what to write instead."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final, get_type_hints

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from pydantic_core import PydanticCustomError
from starlette.responses import Response

from diptych.serve.mismatches import Mismatch, find_mismatches
from diptych.serve.problems import Problem
from diptych.serve.schemas import schema_of

_MOST: Final = 20
_SAID: Final = "said"  # the type of errors that are in our own words
_KINDS: Final = {
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "greater_than_equal": "{ge} at least",
    "greater_than": "above {gt}",
    "less_than_equal": "{le} at most",
    "literal_error": "{expected}",
}


def said(text: str) -> PydanticCustomError:
    """What a validator raises to have its own words answered."""
    return PydanticCustomError(_SAID, "{text}", {"text": text})


def fault(field: str, detail: str) -> Problem:
    """The problem of one field that is at fault."""
    return _problem([Mismatch(f"/{field}", f"{field} {detail}")])


def no_json(where: str) -> Problem:
    """The problem of a body that cannot be parsed."""
    return _problem([Mismatch("", f"The body is no valid JSON {where}")])


def body_fault(body: object, model: type[BaseModel], errors: Callable[[], Sequence[Any]]) -> Problem:
    """The problem of a body that `model` does not take; `errors` gives pydantic's, of which each takes 90 us."""
    schema = schema_of(model)
    if body is None:
        fields = ", ".join(schema.get("required") or schema["properties"])
        return _problem([Mismatch("", f"There is no body: send JSON, an object with {fields}")])
    return _problem(find_mismatches(body, schema, _MOST) or [_as_pydantic_says(each) for each in errors()[:_MOST]])


def install(app: FastAPI) -> None:
    """Have what FastAPI finds wrong answered so."""

    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _request_fault(request, error).response()

    app.add_exception_handler(RequestValidationError, answer)


def _request_fault(request: Request, error: RequestValidationError) -> Problem:
    errors = error.errors()
    first = errors[0]
    if first["loc"][0] != "body":
        return _problem([_of_parameter(each) for each in errors[:_MOST]])
    if first["type"] == "json_invalid":  # the place is a character's
        return no_json(f"from character {first['loc'][-1]} on")
    for each in errors:
        if each["type"] == _SAID:
            return _problem([Mismatch(_pointer(each["loc"]), each["msg"])])
    hints = get_type_hints(request.scope["route"].endpoint)
    models = [hint for name, hint in hints.items() if name != "return" and isinstance(hint, type)]
    model = next(each for each in models if issubclass(each, BaseModel))
    return body_fault(error.body, model, lambda: errors)


def _of_parameter(error: Mapping[str, Any]) -> Mismatch:
    name = str(error["loc"][-1])
    if error["type"] == "missing":
        return Mismatch(f"/{name}", f"{name} is needed")
    kind = _KINDS.get(error["type"])
    if kind is None:
        return _as_pydantic_says(error)
    got = str(error["input"])
    shown = repr(got) if len(got) <= 40 else f"a text of {len(got):,} characters"
    return Mismatch(f"/{name}", f"{name} must be {kind.format(**error.get('ctx', {}))}, got {shown}")


def _as_pydantic_says(error: Mapping[str, Any]) -> Mismatch:
    return Mismatch(_pointer(error["loc"]), f"{_pointer(error['loc']) or 'The body'}: {str(error['msg'])[:300]}")


def _pointer(place: Sequence[object]) -> str:
    return "".join(f"/{str(part)[:100]}" for part in place if part not in ("body", "query", "path"))


def _problem(found: Sequence[Mismatch]) -> Problem:
    first = found[0].detail
    items = [each._asdict() for each in found]
    detail = first if first.endswith("?") else f"{first}."
    return Problem(422, "invalid-request", "The request is not valid", detail, items=items)
