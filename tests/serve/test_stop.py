"""A stop under load: what the server accepted is answered whole, and then it ends with status 0."""

import http.client
import json
import signal
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable
from urllib.parse import urlsplit

import pytest

from serve_command import ServeCommand, StartServer

_CLIENTS = 6
_JSON = {"Content-Type": "application/json"}


class Hammer:
    """A client that asks until it is not let in any more, and notes how each of its requests ended."""

    def __init__(self, url: str, number: int, *, keeps_alive: bool) -> None:
        self.address = urlsplit(url).netloc
        self.number, self.keeps_alive = number, keeps_alive
        self.ends: Counter[str] = Counter()
        self.thread = threading.Thread(target=self._ask_on, daemon=True)
        self.thread.start()

    def _ask_on(self) -> None:
        connection = http.client.HTTPConnection(self.address, timeout=30)
        is_reused = False
        while True:
            end = self._ask(connection)
            self.ends[f"{end} on a kept connection" if is_reused and end != "answered" else end] += 1
            is_reused = self.keeps_alive and connection.sock is not None
            if end != "answered" and not is_reused:
                return
            if not is_reused:
                connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> str:
        text = f"client {self.number}, request {self.ends.total()}"
        try:
            if connection.sock is None:
                connection.connect()
        except ConnectionError:
            return "refused"
        try:
            connection.request(
                "POST", "/v1/embeddings", json.dumps({"input": text}), {"Content-Type": "application/json"}
            )
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            return f"lost: {type(error).__name__}"
        return "answered" if answer.status == 200 and json.loads(body)["data"] else f"status {answer.status}"


def wait_until(is_so: Callable[[], bool], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_stop_under_load_loses_no_request(number: signal.Signals, start_server: StartServer) -> None:
    server = start_server()
    clients = [Hammer(server.url, i, keeps_alive=i % 2 == 0) for i in range(_CLIENTS)]
    wait_until(lambda: min(client.ends.total() for client in clients) > 20)
    assert server.stop(number) == 0
    for client in clients:
        client.thread.join(30)
    ends = sum((client.ends for client in clients), Counter())
    assert ends.keys() == {"answered", "refused"}, ends
    assert ends["refused"] == _CLIENTS
    assert not [line for line in server.stderr[1:] if not line.startswith("{")]


def post_head(body: bytes) -> bytes:
    head = f"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: application/json\r\n\r\n".encode()


def read_answer(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    return b"".join(iter(lambda: connection.recv(65_536), b""))


def connect(server: ServeCommand) -> socket.socket:
    place = urlsplit(server.url)
    assert place.hostname
    return socket.create_connection((place.hostname, place.port or 0), timeout=30)


def is_refused(server: ServeCommand) -> bool:
    try:
        connect(server).close()
    except ConnectionRefusedError:
        return True
    return False


def test_a_request_whose_body_is_on_its_way_is_answered(start_server: StartServer) -> None:
    server, body = start_server(), b'{"input": "a dog"}'
    with connect(server) as connection:
        connection.sendall(post_head(body) + body[:7])
        time.sleep(0.2)
        server.process.terminate()
        wait_until(lambda: is_refused(server))
        time.sleep(1.5)  # longer than an idle connection is kept
        connection.sendall(body[7:])
        answer = read_answer(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"}")
    assert server.process.wait(30) == 0


def test_a_connection_that_is_kept_has_a_last_word(start_server: StartServer) -> None:
    server = start_server()
    place = urlsplit(server.url).netloc
    connection = http.client.HTTPConnection(place, timeout=30)
    connection.request("GET", "/readyz")
    assert connection.getresponse().read().startswith(b'{"status":"ready"')
    held = connection.sock
    server.process.terminate()
    time.sleep(0.3)
    connection.request("GET", "/readyz")
    assert connection.sock is held
    answer = connection.getresponse()
    assert (answer.status, answer.getheader("connection")) == (503, "close")
    assert json.loads(answer.read())["detail"] == "It was told to stop, and takes nothing new."
    assert server.process.wait(30) == 0


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_second_signal_ends_it_at_once(number: signal.Signals, start_server: StartServer) -> None:
    server = start_server()
    with connect(server) as connection:
        connection.sendall(post_head(b"{}")[:-2])  # headers without an end
        server.process.terminate()
        time.sleep(0.3)
        assert server.process.poll() is None
        started = time.monotonic()
        assert server.stop(number) == -number
    assert time.monotonic() - started < 5


def test_an_idle_server_stops_soon_and_says_nothing(start_server: StartServer) -> None:
    server = start_server()
    started = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started < 10  # on a busy machine; what is being answered may take 60
    assert len(server.stderr) == 1
