"""Bodies of requests, read whole and within limits before anything is done with them."""

import asyncio
import re
from collections.abc import Iterator
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
# Possessive, so that no byte is looked at twice.
_WITHIN_TEXT: Final = re.compile(rb'[^"\\]*+(?:\\.[^"\\]*+)*+', re.DOTALL)
_TEXT_OR_COMMA: Final = re.compile(rb'[,"]')
# A call into C keeps every thread waiting, the loop's too: a large body is looked through in pieces, on another thread.
_PIECE_BYTES: Final = 1 << 18
_LARGE_BYTES: Final = 1_000_000


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
            if (excess := await find_excess(body, self._limits.json_values)) is not None:
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


async def find_excess(body: bytes, most: int) -> Problem | None:
    """What is wrong with JSON of more values than any honest request holds.

    Read into objects they may take 64 times the room of their text, and an error for each takes 90 us to describe.
    """
    is_large = len(body) > _LARGE_BYTES
    if not (await asyncio.to_thread(_has_more, body, most) if is_large else _has_more(body, most)):
        return None
    detail = f"The JSON holds more than {most:,} values: send less at once."
    return Problem(413, "too-large", "The request is too large", detail)


def _has_more(body: bytes, most: int) -> bool:
    """Whether JSON holds more than 2 * `most` texts and commas between values, which is about `most` values."""
    if sum(body.count(b",", start, start + _PIECE_BYTES) for start in range(0, len(body), _PIECE_BYTES)) <= most:
        return False
    if not _JSON.match(body):
        return False
    return any(count > 2 * most for count, _ in enumerate(_texts_and_commas(body)))


def _texts_and_commas(body: bytes) -> Iterator[int]:
    """Where each begins; what is no JSON may have a text without an end."""
    place = 0
    while place < len(body):
        found = _TEXT_OR_COMMA.search(body, place, place + _PIECE_BYTES)
        if found is None:
            place += _PIECE_BYTES
            continue
        yield found.start()
        place = found.end() if found[0] == b"," else _end_of_text(body, found.end())


def _end_of_text(body: bytes, place: int) -> int:
    """The place after the quotation mark that ends the text that goes on at `place`."""
    while place < len(body):
        found = _WITHIN_TEXT.match(body, place, place + _PIECE_BYTES)
        assert found is not None
        if body[found.end() : found.end() + 1] == b'"':
            return found.end() + 1
        # Else at the end of the piece, or before a backslash that is its last byte.
        place = found.end() if found.end() > place else len(body)
    return place


def _too_large(most: int) -> Problem:
    detail = f"The body is larger than the {most:,} bytes that are taken here: send less at once."
    return Problem(413, "too-large", "The request is too large", detail)
