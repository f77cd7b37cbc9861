"""Bodies of requests, read whole and within limits before anything is done with them."""

import asyncio
import re
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from diptych.serve.config import Limits
from diptych.serve.guards.client import refuse_early, run_while_waited_for
from diptych.serve.guards.prefix import own_path
from diptych.serve.problems import Problem
from diptych.serve.room import Hold, Room

_TAKE_BODIES: Final = frozenset({"POST", "PUT", "PATCH"})
_LOGIN_BYTES: Final = 4_096  # of who has not shown a key yet
_JSON: Final = re.compile(rb"\s*[\[{]")
# Possessive, and with an end for texts without one, so that no byte is looked at twice.
_TEXTS_AND_COMMAS: Final = re.compile(rb',|"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)


class BodyGuard:
    """Calls the application once the body is there, and stops it when the client has gone."""

    def __init__(self, app: ASGIApp, limits: Limits, room: Room) -> None:
        self._app, self._limits, self._room = app, limits, room

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Read, then pass on."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        if scope["method"] not in _TAKE_BODIES:
            return await run_while_waited_for(self._app, scope, b"", receive, send)
        with self._room.hold() as hold:
            try:
                body = await self._read(scope, receive, hold)
            except Problem as problem:
                return await refuse_early(problem, receive, send)
            if body is None:
                return None
            if (excess := excess_of(body, self._limits.json_values)) is not None:
                return await excess.response()(scope, receive, send)
            await run_while_waited_for(self._app, scope, body, receive, send)

    async def _read(self, scope: Scope, receive: Receive, hold: Hold) -> bytes | None:
        """The body, or None where the client went away before its end."""
        most = _LOGIN_BYTES if own_path(scope) == "/login" else self._limits.body_bytes
        if _declared(scope) > most:
            raise _too_large(most)
        body = bytearray()
        try:
            async with asyncio.timeout(self._limits.upload_seconds):
                while True:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        return None
                    body += message.get("body", b"")
                    if len(body) > most:
                        raise _too_large(most)
                    hold.resize(len(body))
                    if not message.get("more_body", False):
                        return bytes(body)
        except TimeoutError:
            raise self._too_slow() from None

    def _too_slow(self) -> Problem:
        detail = f"The body did not arrive within {self._limits.upload_seconds:g} s: send less at once."
        return Problem(408, "too-slow", "The upload is too slow", detail)


def _declared(scope: Scope) -> int:
    """Content-Length, which the HTTP parser has checked; 0 without one."""
    return next((int(value) for name, value in scope["headers"] if name == b"content-length"), 0)


def excess_of(body: bytes, most: int) -> Problem | None:
    """What is wrong with JSON of more values than any honest request holds.

    Read into objects they may take 64 times the room of their text, and an error for each takes 90 us to describe.
    """
    if body.count(b",") <= most or not _JSON.match(body):
        return None
    if all(count <= 2 * most for count, _ in enumerate(_TEXTS_AND_COMMAS.finditer(body))):
        return None
    detail = f"The JSON holds more than {most:,} values: send less at once."
    return Problem(413, "too-large", "The request is too large", detail)


def _too_large(most: int) -> Problem:
    detail = f"The body is larger than the {most:,} bytes that are taken here: send less at once."
    return Problem(413, "too-large", "The request is too large", detail)
