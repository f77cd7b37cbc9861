"""Errors as the API answers them: RFC 9457's problem details, one shape for all."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final, get_args

import orjson
from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Mount, Route

from diptych.library.query import QueryError
from diptych.serve.problem_types import Slug
from diptych.serve.schemas import listed

_TYPE = "urn:diptych:problem:"
_MEDIA_TYPE = "application/problem+json"
_TEXT = {"type": "string"}
SCHEMA: dict[str, Any] = {
    "title": "Problem",
    "description": "What is wrong with a request (RFC 9457).",
    "type": "object",
    "required": ["type", "title", "status", "detail"],
    "properties": {
        "type": {"enum": [_TYPE + slug for slug in get_args(Slug)]},
        "title": _TEXT,
        "status": {"type": "integer"},
        "detail": {**_TEXT, "description": "What is wrong, what was got, what to do."},
        "message": {**_TEXT, "description": "The detail again, for clients written for OpenAI."},
        "items": {
            "type": "array",
            "description": "Those at fault, where several things were sent.",
            "items": {
                "type": "object",
                "properties": {"index": {"type": "integer"}, "field": _TEXT, "detail": _TEXT},
            },
        },
    },
}
# What OpenAPI says of every error, in place of FastAPI's own 422.
RESPONSES: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "Problem details (RFC 9457)",
        "content": {_MEDIA_TYPE: {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }
}


class Problem(Exception):  # noqa: N818 (RFC 9457's word)
    """What is wrong, what was got and what to do; `items` says so of each that is at fault, by its index."""

    def __init__(
        self,
        status: int,
        slug: Slug,
        title: str,
        detail: str,
        *,
        items: Sequence[Mapping[str, Any]] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.status, self.slug, self.title, self.detail = status, slug, title, detail
        self.items, self.headers = items, headers

    def described(self) -> dict[str, Any]:
        """The members of the JSON object."""
        members = {"type": _TYPE + self.slug, "title": self.title, "status": self.status, "detail": self.detail}
        return {**members, "items": list(self.items)} if self.items else members

    def response(self) -> Response:
        """The answer to a request that ends with it."""
        # What clients written for OpenAI show of an error is its `message`; RFC 9457 lets a problem have more members.
        members = {**self.described(), "message": self.detail}
        return Response(orjson.dumps(members), self.status, self.headers, media_type=_MEDIA_TYPE)


def busy(detail: str, retry_seconds: int) -> Problem:
    """The problem of a server that has as much work as it takes."""
    return Problem(429, "busy", "The server is busy", detail, headers={"Retry-After": str(retry_seconds)})


def invalid(detail: str) -> Problem:
    """The problem of a request that its schema lets through and that asks for nothing that can be done."""
    return Problem(422, "invalid-request", "The request is not valid", detail)


@contextmanager
def judging_values() -> Iterator[None]:
    """Have a ValueError of the block, which must do no more than judge what was sent, answered with its text."""
    try:
        yield
    except ValueError as error:
        raise Problem(422, "bad-value", "A value is not as it must be", str(error)) from error


def as_problem(error: Exception) -> Problem:
    """What an error means to who asked; of one that is not about the request, no word of its own."""
    match error:
        case Problem():
            return error
        case QueryError():
            return Problem(422, "bad-query", "The query cannot be used", str(error))
        case MemoryError():
            return Problem(503, "out-of-memory", "Not enough memory", "There is not enough memory for this: send less.")
    return Problem(
        500, "failed", "The server failed", "Something went wrong here that is not your doing; its log says more."
    )


def install(app: FastAPI, routes: Sequence[Route | Mount]) -> None:
    """Have every error of the app, which has these routes, answered in this shape."""

    async def answer(request: Request, error: Exception) -> Response:
        return as_problem(error).response()

    async def answer_http(request: Request, error: Exception) -> Response:
        assert isinstance(error, HTTPException)
        if error.status_code == 405:
            return _wrong_method(request, routes).response()
        if error.status_code not in _PLAIN:
            raise error
        return _PLAIN[error.status_code].response()

    app.add_exception_handler(Problem, answer)
    app.add_exception_handler(QueryError, answer)
    app.add_exception_handler(Exception, answer)  # what Starlette answers so goes on to the log
    app.add_exception_handler(HTTPException, answer_http)


_PLAIN: Final = {
    400: Problem(
        422, "malformed-form", "The form cannot be read", "Send its fields url-encoded, or in parts with a boundary."
    ),
    404: Problem(404, "not-found", "Not found", "There is nothing here: /openapi.json lists what there is."),
}
_OF_FILES: Final = ("GET",)


def _wrong_method(request: Request, routes: Sequence[Route | Mount]) -> Problem:
    """With the methods of all routes that the address has: Starlette names those of the first."""
    scope = request.scope
    prefix = scope.get("app_root_path", scope["root_path"])  # a mount puts itself before the latter
    here = [route for route in routes if route.path_regex.match(scope["path"].removeprefix(prefix))]
    methods = {method for route in here for method in getattr(route, "methods", _OF_FILES)}
    allowed = sorted(methods | {"HEAD"} if "GET" in methods else methods)
    detail = f"This address takes no {scope['method']}: send {listed(allowed)}."
    return Problem(405, "wrong-method", "Wrong method", detail, headers={"Allow": ", ".join(allowed)})
