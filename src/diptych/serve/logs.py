"""What the server says while it runs: JSON lines on stderr that hold nothing of what was asked or sent."""

import logging
import re
import secrets
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

import orjson
from starlette.datastructures import Headers
from starlette.routing import Mount, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from diptych.serve.guards.prefix import own_path
from diptych.serve.metrics import Metrics
from diptych.serve.problems import as_problem

_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")
_GONE: Final = 499  # the client went away before there was an answer


def write(event: str, **facts: object) -> None:
    """One line."""
    line = orjson.dumps({"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "event": event, **facts})
    sys.stderr.write(line.decode() + "\n")


def describe(error: BaseException) -> dict[str, object]:
    """The kind of an error and where it was raised, without its text, which may repeat what was sent."""
    frames = [
        f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(error.__traceback__, limit=-30)
    ]
    cause = error.__cause__ or error.__context__
    facts: dict[str, object] = {"error": type(error).__qualname__, "frames": frames}
    return facts if cause is None or cause is error else {**facts, "cause": describe(cause)}


class RequestLog:
    """Writes a line for each request and counts it; what the application fails at is answered and written too.

    Routes go by their patterns, which say nothing of what was asked for.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, routes: Sequence[Route | Mount]) -> None:
        self._app, self._metrics, self._routes = app, metrics, routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and note what comes back."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        request = _Request(scope, receive, send)
        path = own_path(scope)
        with self._metrics.in_flight():
            try:
                await self._app(scope, request.receive, request.send)
            except Exception as error:  # noqa: BLE001 (nobody else is left to say it)
                write("failure", id=request.id, route=self._pattern(scope, path), **describe(error))
                if request.status is None:
                    await as_problem(error).response()(scope, receive, request.send)
        status = request.status or _GONE
        route = self._pattern(scope, path)
        self._metrics.note_request(scope["method"], route, status, request.seconds)
        write(
            "request",
            method=scope["method"],
            route=route,
            status=status,
            ms=round(1000 * request.seconds, 1),
            bytes_in=request.bytes_in,
            bytes_out=request.bytes_out,
            id=request.id,
        )

    def _pattern(self, scope: Scope, path: str) -> str:
        """The pattern of the route, also where a guard did not let the request come to it."""
        route = scope.get("route")
        if route is not None:
            return route.path
        return next((each.path for each in self._routes if each.path_regex.match(path)), "none")


class _Request:
    """What is noted of one request: `seconds` are those to the answer's head."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = Headers(scope=scope).get("x-request-id", "")
        self.id = given if _ID.fullmatch(given) else secrets.token_hex(8)
        self.status: int | None = None
        self.bytes_in = self.bytes_out = 0
        self._started = time.perf_counter()
        self._answered: float | None = None
        self._receive, self._send = receive, send

    @property
    def seconds(self) -> float:
        return (self._answered or time.perf_counter()) - self._started

    async def receive(self) -> Message:
        message = await self._receive()
        self.bytes_in += len(message.get("body", b""))
        return message

    async def send(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self.status, self._answered = message["status"], time.perf_counter()
            message = {**message, "headers": [*message.get("headers", ()), (b"x-request-id", self.id.encode())]}
        self.bytes_out += len(message.get("body", b""))
        await self._send(message)


class _JsonLines(logging.Handler):
    """Errors of the parts below, by the first line of what they say: further lines may show values."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write it."""
        lines = record.getMessage().splitlines()
        error = record.exc_info[1] if record.exc_info else None
        write("error", source=record.name, detail=lines[0] if lines else "", **(describe(error) if error else {}))


def install() -> None:
    """Have uvicorn and asyncio say their errors in such lines, and warnings where they come from only."""
    handler = _JsonLines(logging.ERROR)
    for name in ("uvicorn", "asyncio"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [handler], False
        logger.setLevel(logging.ERROR)
    warnings.showwarning = _write_warning  # type: ignore[assignment]


def _write_warning(message: Warning | str, category: type[Warning], filename: str, lineno: int, *_: object) -> None:
    place = f"{filename.rpartition('site-packages/')[2]}:{lineno}"
    write("warning", kind=category.__name__, place=place)
