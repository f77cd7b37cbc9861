"""Connections that are slow or silent, send without an end, or are too many, are closed."""

import asyncio
import sys
from collections.abc import Callable
from typing import Any, Final

from starlette.types import ASGIApp
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from diptych.serve.problems import Problem
from diptych.serve.unread import SCOPE, large_head, no_http, slow_head

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
    refuse: Callable[[Problem], ASGIApp] = staticmethod(Problem.response)  # the answer to what never was a request

    def __init__(self, *arguments: Any, **named: Any) -> None:  # noqa: ANN401 (uvicorn's own)
        super().__init__(*arguments, **named)
        self._head_timer: asyncio.TimerHandle | None = None
        self._head_bytes = self._beside_bytes = 0
        self._is_in_body = self._is_refused = False
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
        if self._is_refused:
            return
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
                self._refuse(large_head(_HEAD_BYTES))

    def on_message_begin(self) -> None:
        """A request begins."""
        self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """Its head is there. A Problem, which goes through the parser, for one too large that came at once."""
        self._end_head()
        if len(self.url) + sum(len(name) + len(value) for name, value in self.headers) > _HEAD_BYTES:
            raise large_head(_HEAD_BYTES)
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
        """Answer what the parser's error, which is being handled, is about."""
        error = sys.exception()
        assert error is not None
        raised = error.__context__  # by what the parser called
        self._refuse(raised if isinstance(raised, Problem) else no_http(error))

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
        self._refuse(slow_head(self.head_seconds))

    def _refuse(self, problem: Problem) -> None:
        """Answer what is no request, in place of the one whose body it breaks off, and close."""
        self._end_head()
        if self.transport.is_closing():
            return
        self._is_refused = True
        if self.cycle is not None and not self.cycle.response_complete:
            if self.cycle.response_started:
                return self.transport.abort()
            self.cycle.disconnected = True
            self.cycle.message_event.set()
        self.cycle = RequestResponseCycle(
            scope={**SCOPE, "server": self.server, "client": self.client, "scheme": self.scheme},  # type: ignore[typeddict-item]
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=False,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=False,
            keep_alive=False,
            on_response=self.on_response_complete,
        )
        self._start_asgi_task(self.cycle, self.refuse(problem))  # type: ignore[arg-type]


def connection_type(most: int, refuse: Callable[[Problem], ASGIApp]) -> type[GuardedConnection]:
    """The connections of a server that takes so many at once, and answers what is no request so."""

    class Connection(GuardedConnection):
        most_connections = most

    Connection.refuse = staticmethod(refuse)

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
