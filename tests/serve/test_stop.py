"""A stop under load: what the server accepted is answered whole, and then it ends with status 0."""

import http.client
import json
import signal
import socket
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import closing
from urllib.parse import urlsplit

import httpx
import pytest

import diptych
from diptych import DualEncoder
from hammering import PICTURES, TOO_LATE, Hammer, Kind
from metric_samples import read_samples
from serve_command import ServeCommand, StartServer

_QUICK = [Kind(texts=1)] * 6
_SLOW = [
    *[Kind(texts=2, has_pictures=True, uploads=True)] * 2,
    Kind(texts=0, has_pictures=True),
    Kind(texts=8, has_pictures=True),
]
LEAST_GRACE_SECONDS = 0.6
_LEAST_WAITING = 3 * len(PICTURES)  # images just before the signal, of three requests


def wait_until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.fixture(scope="module")
def postcard() -> DualEncoder:
    """What the servers compute with."""
    return diptych.load(dtype="float32", device="cpu")


def start_clients(server: ServeCommand, kinds: Sequence[Kind]) -> list[Hammer]:
    return [Hammer(server.url, number, kind, keeps_alive=number % 2 == 0) for number, kind in enumerate(kinds)]


def check_all_was_answered(clients: Sequence[Hammer], server: ServeCommand, encoder: DualEncoder) -> None:
    """Once the server has ended: each request was answered whole and rightly, until nobody was let in any more."""
    for client in clients:
        client.thread.join(90)
    ends = sum((client.ends for client in clients), Counter())
    ends.pop(TOO_LATE, None)
    assert ends.keys() == {"answered", "refused"}, ends
    assert ends["refused"] == len(clients)
    pictures = encoder.encode_images(PICTURES)
    assert [client.count_wrong(encoder, pictures) for client in clients] == [0] * len(clients)
    assert not [line for line in server.stderr[1:] if not line.startswith("{")]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_stop_under_load_loses_no_request(
    number: signal.Signals, start_server: StartServer, postcard: DualEncoder
) -> None:
    server = start_server()
    clients = start_clients(server, _QUICK)
    wait_until(lambda: min(len(client.times) for client in clients) > 20)
    assert server.stop(number) == 0
    check_all_was_answered(clients, server, postcard)


def test_a_stop_answers_all_images_that_wait(start_server: StartServer, postcard: DualEncoder) -> None:
    server = start_server()
    clients = start_clients(server, [*_SLOW, *_QUICK[:3]])
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as watcher:
        wait_until(lambda: all(client.times for client in clients))
        wait_until(lambda: read_samples(watcher)["diptych_waiting_items{kind=images}"] >= _LEAST_WAITING)
        signalled = time.monotonic()
        assert server.stop() == 0
    check_all_was_answered(clients, server, postcard)
    assert sum(client.times[-1] > signalled for client in clients if client.kind.has_pictures) >= 2


def post_head(body: bytes) -> bytes:
    head = f"POST /v1/embeddings HTTP/1.1\r\nHost: localhost\r\nContent-Length: {len(body)}\r\n"
    return f"{head}Content-Type: application/json\r\n\r\n".encode()


def read_answer(connection: socket.socket) -> bytes:
    """All that comes until the server closes."""
    return b"".join(iter(lambda: connection.recv(65_536), b""))


def connect(server: ServeCommand) -> socket.socket:
    place = urlsplit(server.url)
    assert place.hostname
    return socket.create_connection((place.hostname, place.port or 0), timeout=60)


def wait_until_in_hand(server: ServeCommand) -> None:
    """Until the server answers a request beside that for its metrics."""
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as watcher:
        wait_until(lambda: read_samples(watcher)["diptych_requests_in_flight{}"] == 2)


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
        wait_until_in_hand(server)
        server.process.terminate()
        wait_until(lambda: is_refused(server))
        time.sleep(1.5)  # longer than an idle connection is kept
        connection.sendall(body[7:])
        answer = read_answer(connection)
    assert answer.startswith(b"HTTP/1.1 200")
    assert answer.endswith(b"}")
    assert server.process.wait(90) == 0


def keep_connection(server: ServeCommand) -> http.client.HTTPConnection:
    """A connection over which something was asked, and that is kept."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=60)
    connection.request("GET", "/readyz")
    assert connection.getresponse().read().startswith(b'{"status":"ready"')
    assert connection.sock is not None
    return connection


def is_stopping(connection: http.client.HTTPConnection) -> bool:
    connection.request("GET", "/healthz")
    with connection.getresponse() as answer:
        answer.read()
        return answer.getheader("connection") == "close"


def last_word(server: ServeCommand) -> tuple[int, str | None, str] | None:
    """Status, header and detail of what a kept connection is answered after a signal; None for one that asked late."""
    with closing(keep_connection(server)) as connection, closing(keep_connection(server)) as watching:
        held = connection.sock
        before = began = time.monotonic()  # the server stops after `before`, and waits for a second
        server.process.terminate()
        try:
            while not is_stopping(watching):
                before, began = began, time.monotonic()
            connection.request("GET", "/readyz")
        except ConnectionError:
            assert time.monotonic() - before > LEAST_GRACE_SECONDS
            return None
        if time.monotonic() - before > LEAST_GRACE_SECONDS:
            return None
        assert connection.sock is held
        answer = connection.getresponse()
        return answer.status, answer.getheader("connection"), json.loads(answer.read())["detail"]


def test_a_connection_that_is_kept_has_a_last_word(start_server: StartServer) -> None:
    for _ in range(20):  # until this process was not kept waiting itself
        server = start_server()
        if said := last_word(server):
            assert said == (503, "close", "It was told to stop, and takes nothing new.")
            assert server.process.wait(90) == 0
            return
    raise AssertionError("nothing was ever asked in time")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT], ids=["SIGTERM", "SIGINT"])
def test_a_second_signal_ends_it_at_once(number: signal.Signals, start_server: StartServer) -> None:
    server = start_server()
    with connect(server) as connection:
        connection.sendall(post_head(b"{}"))  # whose body is waited for: half a minute
        wait_until_in_hand(server)
        server.process.terminate()
        wait_until(lambda: is_refused(server))
        assert server.process.poll() is None
        started = time.monotonic()
        assert server.stop(number) == -number
    assert time.monotonic() - started < 15


def test_an_idle_server_stops_soon_and_says_nothing(start_server: StartServer) -> None:
    server = start_server()
    started = time.monotonic()
    assert server.stop() == 0
    assert time.monotonic() - started < 30  # on a busy machine; what is being answered may take 60
    assert len(server.stderr) == 1
