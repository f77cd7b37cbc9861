"""HTTP by hand, for requests that no client library would send."""

import re
import socket
from contextlib import closing, suppress
from urllib.parse import urlsplit


def connect(url: str) -> socket.socket:
    """A connection to the server of an address."""
    parts = urlsplit(url)
    assert parts.hostname is not None
    return socket.create_connection((parts.hostname, parts.port or 80), timeout=60)


def read_to_end(connection: socket.socket) -> bytes:
    """What comes until the other side closes."""
    received = b""
    try:
        while chunk := connection.recv(65_536):
            received += chunk
    except ConnectionResetError:
        pass
    return received


def read_answer(connection: socket.socket) -> bytes:
    """One answer that says its length: its head and its body may come one after the other."""
    received = b""
    while not _is_whole(received) and (chunk := connection.recv(65_536)):
        received += chunk
    return received


def exchange(url: str, *pieces: bytes) -> bytes:
    """The answer to these bytes, up to the end of the connection, which may come before all of them are sent."""
    with closing(connect(url)) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                connection.sendall(piece)
        return read_to_end(connection)


def head(method: str, path: str, url: str, **headers: object) -> bytes:
    """The head of a request; an underscore in a header's name is a dash."""
    given = {"Host": urlsplit(url).netloc, **headers}
    lines = [f"{method} {path} HTTP/1.1", *(f"{name.replace('_', '-')}: {value}" for name, value in given.items())]
    return "\r\n".join([*lines, "", ""]).encode()


def _is_whole(answer: bytes) -> bool:
    head, end, body = answer.partition(b"\r\n\r\n")
    length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
    return bool(end) and length is not None and len(body) >= int(length[1])


def status_of(answer: bytes) -> int:
    """The status of an answer."""
    return int(answer.split(b" ", 2)[1])
