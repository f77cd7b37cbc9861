"""Requests that are not as their schema has them, as one problem that says what to write instead."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.responses import Response

from diptych.serve.mismatches import Mismatch, find_mismatches, shown
from diptych.serve.problems import Problem
from diptych.serve.schemas import schema_of

_MOST: Final = 20
# What a parameter must be, by the type of pydantic's error.
_KINDS: Final = {
    "int_parsing": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "float_parsing": "a number",
    "finite_number": "a finite number",
    "enum": "{expected}",
    "greater_than_equal": "at least {ge:,}",
    "less_than_equal": "at most {le:,}",
    "string_type": "a text",
}
_UNKNOWN: Final = "as /openapi.json has it"


def fault(field: str, detail: str) -> Problem:
    """The problem of one field that is at fault."""
    return _problem([Mismatch(f"/{field}", f"{field} {detail}")])


def no_json(error: ValueError) -> Problem:
    """The problem of a body that cannot be parsed."""
    return _problem([Mismatch("", f"The body is no valid JSON ({error})")])


def no_body(model: type[BaseModel]) -> Problem:
    """The problem of a request without a body, where `model` is needed."""
    schema = schema_of(model)
    fields = ", ".join(schema.get("required") or schema["properties"])
    return _problem([Mismatch("", f"There is no body: send JSON, an object with {fields}")])


def body_fault(body: object, model: type[BaseModel]) -> Problem:
    """The problem of a body that `model` does not take."""
    found = find_mismatches(body, schema_of(model), _MOST)
    return _problem(found or [Mismatch("", f"The body must be {_UNKNOWN}")])


def install(app: FastAPI) -> None:
    """Have what FastAPI finds wrong with parameters answered so; bodies it does not see."""

    async def answer(request: Request, error: Exception) -> Response:
        assert isinstance(error, RequestValidationError)
        return _problem([_of_parameter(each) for each in error.errors()[:_MOST]]).response()

    app.add_exception_handler(RequestValidationError, answer)


def _of_parameter(error: Mapping[str, Any]) -> Mismatch:
    name = str(error["loc"][-1])
    kind = _KINDS.get(error["type"], _UNKNOWN).format(**error.get("ctx", {}))
    return Mismatch(f"/{name}", f"{name} must be {kind}, got {shown(error['input'])}")


def _problem(found: Sequence[Mismatch]) -> Problem:
    first = found[0].detail
    items = [each._asdict() for each in found]
    detail = first if first.endswith("?") else f"{first}."
    return Problem(422, "invalid-request", "The request is not valid", detail, items=items)
