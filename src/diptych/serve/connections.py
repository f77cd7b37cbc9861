"""Connections that take too long over their headers, send too many of them, or are too many themselves, are closed."""

import asyncio
from typing import Any, Final

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from diptych.serve.problems import Problem

_HEAD_BYTES: Final = 64_000
_FILES_WANTED: Final = 16_384


class GuardedConnection(HttpToolsProtocol):
    """uvicorn's connection, which waits for headers without an end and takes as many as come."""

    most_connections = 500
    head_seconds = 10.0

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 (uvicorn's own)
        super().__init__(*arguments, **named)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = 0
        self._is_in_body = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or not."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            return transport.abort()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._end_head()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, and count those of a head that has not ended."""
        if not self._is_in_body:
            self._await_head()
        super().data_received(data)
        if self._head_timer is not None:
            self._head_bytes += len(data)
            if self._head_bytes > _HEAD_BYTES:
                self._close(Problem(431, "too-large", "The headers are too large", f"{_HEAD_BYTES:,} bytes at most."))

    def on_message_begin(self) -> None:
        """A request begins."""
        self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is there."""
        self._end_head()
        self._is_in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        """All of it is there."""
        self._is_in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP."""
        self._close(Problem(400, "no-http", "This is no HTTP request", msg))

    def _await_head(self) -> None:
        if self._head_timer is None:
            self._head_bytes = 0
            self._head_timer = self.loop.call_later(self.head_seconds, self._refuse_slow)

    def _end_head(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _refuse_slow(self) -> None:
        self._head_timer = None
        if self.cycle is not None and not self.cycle.response_complete:
            return self._await_head()  # it has sent something too early, and its answer is still being made
        self._close(Problem(408, "too-slow", "The headers are too slow", f"{self.head_seconds:g} s at most."))

    def _close(self, problem: Problem) -> None:
        self._end_head()
        if self.transport.is_closing():
            return
        body = orjson.dumps(problem.described())
        head = (
            f"HTTP/1.1 {problem.status} {problem.title}\r\ncontent-type: application/problem+json\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n\r\n"
        )
        self.transport.write(head.encode() + body)
        self.transport.close()


def make_room() -> None:
    """Have this process open as many files as the system lets it, half of them for connections."""
    try:
        import resource
    except ImportError:  # Windows
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_WANTED if hard == resource.RLIM_INFINITY else min(_FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    GuardedConnection.most_connections = max(100, (wanted if soft == resource.RLIM_INFINITY else soft) // 2)
