"""Connections that are slow or silent, send without an end, or are too many, are closed."""

import asyncio
from typing import Any, Final

import orjson
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from diptych.serve.problems import Problem

_HEAD_BYTES: Final = 64_000
_BESIDE_BYTES: Final = 64_000  # within a body and none of it: lengths of chunks, headers after the last
_MOST_WAITING: Final = 100  # requests that are sent before the first is answered
_FILES_WANTED: Final = 16_384


class GuardedConnection(HttpToolsProtocol):
    """uvicorn's connection, which waits for whatever is begun without an end, and takes as much as comes."""

    most_connections = 500
    head_seconds = 10.0
    rest_seconds = 30.0  # for what is left of a body after its answer
    read_seconds = 60.0  # in which a client reads something of an answer

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 (uvicorn's own)
        super().__init__(*arguments, **named)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = self._beside_bytes = 0
        self._is_in_body = False
        self._rest_timer: asyncio.TimerHandle | None = None
        self._read_timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take the connection, or not."""
        super().connection_made(transport)
        if len(self.connections) > self.most_connections:
            return transport.abort()
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait no longer."""
        self._end_head()
        self._end_rest()
        self._end_reading()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes, and count those of a head that has not ended."""
        if self._is_in_body:
            self._beside_bytes += len(data)
        else:
            self._await_head()
        super().data_received(data)
        if self._is_in_body and self._beside_bytes > _BESIDE_BYTES:
            self.transport.abort()
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
        self._is_in_body, self._beside_bytes = True, 0
        super().on_headers_complete()
        if len(self.pipeline) > _MOST_WAITING:
            self.transport.abort()

    def on_body(self, body: bytes) -> None:
        """Some of its body."""
        self._beside_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """All of it is there."""
        self._is_in_body = False
        self._end_rest()
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """It is answered, perhaps before all of it was there: nobody waits for the rest, and nothing else bounds it."""
        super().on_response_complete()
        if self._is_in_body and self.cycle.response_complete:
            self._rest_timer = self.loop.call_later(self.rest_seconds, self.transport.close)

    def pause_writing(self) -> None:
        """The client is slower than the answer."""
        super().pause_writing()
        self._await_reading()

    def resume_writing(self) -> None:
        """It has read on."""
        self._end_reading()
        super().resume_writing()

    def timeout_keep_alive_handler(self) -> None:
        """Close, once what was sent last is read."""
        super().timeout_keep_alive_handler()
        self._await_reading()

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

    def _end_rest(self) -> None:
        if self._rest_timer is not None:
            self._rest_timer.cancel()
            self._rest_timer = None

    def _await_reading(self, before: int | None = None) -> None:
        """Give up a client that has read nothing for a while. Nothing is written meanwhile."""
        self._end_reading()
        left = self.transport.get_write_buffer_size()
        if before is not None and left >= before:
            self.transport.abort()
        elif left:
            self._read_timer = self.loop.call_later(self.read_seconds, self._await_reading, left)

    def _end_reading(self) -> None:
        if self._read_timer is not None:
            self._read_timer.cancel()
            self._read_timer = None

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


def connection_type(most: int) -> type[GuardedConnection]:
    """The connections of a server that takes so many at once."""

    class Connection(GuardedConnection):
        most_connections = most

    return Connection


def make_room() -> int:
    """Have this process open as many files as the system lets it; how many connections half of them are."""
    try:
        import resource
    except ImportError:  # Windows
        return GuardedConnection.most_connections
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _FILES_WANTED if hard == resource.RLIM_INFINITY else min(_FILES_WANTED, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
        soft = wanted
    return max(100, (wanted if soft == resource.RLIM_INFINITY else soft) // 2)
