"""uvicorn's server, stopped so that whatever has reached it is answered."""

import asyncio
import ctypes
import selectors
import signal
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import uvicorn

from diptych.serve.state import Server

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_SO_ATTACH_FILTER: Final = 26  # Linux's; Python has no name for it
_HANDSHAKE_SECONDS: Final = 0.2  # in which a connection that has begun is made, unless it is a very slow one
_LAST_WORD_SECONDS: Final = 1.0  # in which a connection that is kept may bring one more request


class GracefulServer(uvicorn.Server):
    """Serves until SIGINT or SIGTERM, answers what has come by then, and returns; a second signal ends it at once.

    uvicorn's own stop resets connections that wait to be accepted, and closes those that have been accepted and whose
    request is on its way.
    """

    def __init__(self, config: uvicorn.Config, server: Server, *, when_ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._server, self._when_ready = server, when_ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Begin to accept, and say so."""
        await super().startup(sockets)
        self._when_ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take what has come, answer it, and end."""
        self._server.is_stopping = True
        # Of all answers to requests that begin from now on.
        self.server_state.default_headers = [*self.server_state.default_headers, (b"connection", b"close")]
        for sock in sockets or ():
            await _take_all(sock)
        for listener in self.servers:
            listener.close()
        until = asyncio.get_running_loop().time() + _LAST_WORD_SECONDS
        while self.server_state.connections and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(0.01)
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Stop at the first signal, and let the second do what it does to any process."""
        before = {number: signal.signal(number, self.handle_exit) for number in _SIGNALS}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def handle_exit(self, sig: int, frame: object) -> None:
        """Begin to stop."""
        self.should_exit = True
        for number in _SIGNALS:
            signal.signal(number, signal.SIG_DFL)


async def _take_all(sock: socket.socket) -> None:
    """Have the loop accept whoever has begun to connect, while nobody else can begin."""
    with suppress(OSError):  # elsewhere than on Linux, who connects just before the socket closes is reset
        _drop_new(sock)
        await asyncio.sleep(_HANDSHAKE_SECONDS)
    while _has_waiting(sock):
        await asyncio.sleep(0.001)


def _drop_new(sock: socket.socket) -> None:
    """Have the kernel drop what opens a connection; whoever sent it tries again after a second, and finds nobody.

    The filter is in the kernel's classic BPF: a packet with SYN and without ACK among its TCP flags is cut to nothing.
    """
    load_flags, keep_bits, jump_if_equal, give_back = 0x30, 0x54, 0x15, 0x06
    program = b"".join(
        struct.pack("=HBBI", *instruction)
        for instruction in (
            (load_flags, 0, 0, 13),
            (keep_bits, 0, 0, 0x12),
            (jump_if_equal, 0, 1, 0x02),
            (give_back, 0, 0, 0),
            (give_back, 0, 0, 0xFFFFFFFF),
        )
    )
    held = ctypes.create_string_buffer(program)
    sock.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HP", len(program) // 8, ctypes.addressof(held)))


def _has_waiting(sock: socket.socket) -> bool:
    """Whether a connection waits to be accepted."""
    with selectors.DefaultSelector() as selector:
        selector.register(sock, selectors.EVENT_READ)
        return bool(selector.select(0))
