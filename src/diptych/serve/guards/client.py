"""Clients that still send when they are answered, and those that go away before."""

import asyncio
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from diptych.serve.problems import Problem

_LINGER_SECONDS: Final = 2.0
_LINGER_BYTES: Final = 64_000_000


async def refuse_early(problem: Problem, receive: Receive, send: Send) -> None:
    """Answer before the body has ended, and give the client a moment to read that.

    Where a connection is closed while bytes still arrive, the other side may lose the answer (RFC 9112, 9.6).
    """
    response = problem.response()
    headers = [*response.raw_headers, (b"connection", b"close")]
    await send({"type": "http.response.start", "status": problem.status, "headers": headers})
    await send({"type": "http.response.body", "body": response.body, "more_body": True})
    left = _LINGER_BYTES
    try:
        async with asyncio.timeout(_LINGER_SECONDS):
            while left > 0:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body", False):
                    break
                left -= len(message.get("body", b""))
    except TimeoutError:
        pass
    await send({"type": "http.response.body"})


async def run_while_waited_for(app: ASGIApp, scope: Scope, body: bytes, receive: Receive, send: Send) -> None:
    """The application with a body that was read; it is cancelled when the client goes away before the answer's end."""
    waiting: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]
    gone, has_answered = asyncio.Event(), False
    running = asyncio.current_task()
    assert running is not None

    async def replay() -> Message:
        if waiting:
            return waiting.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def note_end(message: Message) -> None:
        nonlocal has_answered
        has_answered = message["type"] == "http.response.body" and not message.get("more_body", False)
        await send(message)

    async def watch() -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        gone.set()
        if not has_answered:
            running.cancel()

    watching = asyncio.create_task(watch())
    try:
        await app(scope, replay, note_end)
    except asyncio.CancelledError:
        if not gone.is_set() or running.uncancel():
            raise
    finally:
        watching.cancel()
