"""Connections that are slow, endless or many, at a server of the guarded kind with an application of no account."""

import asyncio
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from threading import Thread

import pytest
import uvicorn
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

import raw_http
from diptych.serve.connections import GuardedConnection

HEAD_SECONDS, READ_SECONDS, MOST_CONNECTIONS = 0.6, 2.5, 8
PATIENCE_SECONDS = 15  # of the tests, on a busy machine
LARGE = 20_000_000  # more than a connection takes that nobody reads from


class Connection(GuardedConnection):
    """One of less patience."""

    head_seconds, most_connections = HEAD_SECONDS, MOST_CONNECTIONS
    rest_seconds, read_seconds = HEAD_SECONDS, READ_SECONDS


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers with what was sent, takes its time where the path says so, or does not wait for it."""
    if scope["path"] == "/slow":
        await asyncio.sleep(2 * HEAD_SECONDS)
    if scope["path"] in ("/early", "/large"):
        return await PlainTextResponse(b"x" * (LARGE if scope["path"] == "/large" else 1))(scope, receive, send)
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if not message.get("more_body", False):
            break
    await PlainTextResponse(body or b"fine")(scope, receive, send)


@pytest.fixture(scope="module")
def server() -> uvicorn.Server:
    """One whose idle connections are kept for longer than any test takes."""
    return uvicorn.Server(
        uvicorn.Config(app, http=Connection, log_config=None, lifespan="off", ws="none", timeout_keep_alive=60)
    )


@pytest.fixture(scope="module")
def url(server: uvicorn.Server) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        thread = Thread(target=server.run, kwargs={"sockets": [sock]})
        thread.start()
        yield f"http://127.0.0.1:{sock.getsockname()[1]}"
        server.should_exit = True
        thread.join()


def is_answered(url: str) -> bool:
    since = time.perf_counter()
    answer = raw_http.exchange(url, raw_http.head("GET", "/", url, Connection="close"))
    return answer.endswith(b"fine") and time.perf_counter() - since < PATIENCE_SECONDS


def wait_until_nobody_is_connected(server: uvicorn.Server) -> None:
    until = time.perf_counter() + PATIENCE_SECONDS
    while server.server_state.connections:
        assert time.perf_counter() < until
        time.sleep(0.01)


def send_until_closed(connection: socket.socket, block: bytes, most: int = 50_000_000) -> int:
    """How many bytes the other side lets come, about."""
    sent = 0
    try:
        while sent < most:
            connection.sendall(block)
            sent += len(block)
    except (BrokenPipeError, ConnectionResetError):
        pass
    return sent


@pytest.mark.parametrize("before", [b"", b"\r\n" * 3, b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n"])
def test_headers_that_come_byte_by_byte_keep_nobody_waiting_and_are_given_up(url: str, before: bytes) -> None:
    since, byte_seconds = time.perf_counter(), 0.05
    with closing(raw_http.connect(url)) as connection:
        connection.sendall(before)
        head = raw_http.head("GET", "/" + "x" * 400, url)
        assert len(head) * byte_seconds > PATIENCE_SECONDS
        for byte in head:
            connection.sendall(bytes([byte]))
            connection.settimeout(byte_seconds)
            try:
                answer = connection.recv(65_536)
            except TimeoutError:
                continue
            if b"408" in answer:
                break
        connection.settimeout(PATIENCE_SECONDS)
        assert b"urn:diptych:problem:too-slow" in answer + raw_http.read_to_end(connection)
        assert HEAD_SECONDS - 0.1 < time.perf_counter() - since < PATIENCE_SECONDS
    assert is_answered(url)


def test_a_connection_that_says_nothing_is_closed(url: str) -> None:
    assert raw_http.status_of(raw_http.exchange(url)) == 408


def test_line_breaks_for_ever_are_no_sign_of_life(url: str) -> None:
    with closing(raw_http.connect(url)) as connection:
        connection.sendall(raw_http.head("GET", "/", url))
        assert raw_http.read_answer(connection).endswith(b"fine")
        connection.settimeout(HEAD_SECONDS / 10)
        answer, since = b"", time.perf_counter()
        while not answer and time.perf_counter() - since < PATIENCE_SECONDS:
            connection.sendall(b"\r\n")
            try:
                answer = connection.recv(65_536)
            except TimeoutError:
                continue
        assert raw_http.status_of(answer) == 408


def test_an_answer_that_takes_long_is_waited_for(url: str) -> None:
    head = raw_http.head("GET", "/slow", url, Connection="close")
    assert raw_http.exchange(url, head + b"\r\n").endswith(b"fine")


def test_a_long_body_is_no_long_head(url: str) -> None:
    body = b"x" * 300_000
    head = raw_http.head("POST", "/", url, Content_Length=len(body), Connection="close")
    with closing(raw_http.connect(url)) as connection:
        connection.sendall(head + body[:10])
        time.sleep(1.5 * HEAD_SECONDS)
        connection.sendall(body[10:])
        assert raw_http.read_to_end(connection).endswith(body)


@pytest.mark.parametrize("endless", [b"X-Filler: " + b"x" * 90_000, b"X-Filler: x\r\n" * 9_000, b"x" * 90_000])
def test_headers_without_an_end_are_refused(url: str, endless: bytes) -> None:
    answer = raw_http.exchange(url, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + endless)
    assert not answer or raw_http.status_of(answer) in (400, 431)  # what was on its way may make the answer be lost


def test_what_is_no_http_is_told_so(url: str) -> None:
    answer = raw_http.exchange(url, b"EHLO mail.example\r\n\r\n")
    assert (raw_http.status_of(answer), b"application/problem+json" in answer) == (400, True)


def test_beyond_the_most_connections_the_last_is_closed(url: str, server: uvicorn.Server) -> None:
    wait_until_nobody_is_connected(server)
    with ExitStack() as stack:
        held = [stack.enter_context(closing(raw_http.connect(url))) for _ in range(MOST_CONNECTIONS)]
        for connection in held:  # each waits for its body, for which there is no hurry here
            connection.sendall(raw_http.head("POST", "/", url, Content_Length=1))
        assert raw_http.exchange(url) == b""
        held[0].sendall(b"x")
        assert raw_http.status_of(raw_http.read_answer(held[0])) == 200
    wait_until_nobody_is_connected(server)
    assert is_answered(url)


@pytest.mark.parametrize("path", ["/", "/early"])
@pytest.mark.parametrize("endless", [b"a:b\r\n", b"x"])
def test_what_follows_a_body_has_an_end(url: str, path: str, endless: bytes) -> None:
    with closing(raw_http.connect(url)) as connection:
        connection.sendall(raw_http.head("POST", path, url, Transfer_Encoding="chunked") + b"1\r\nx\r\n0\r\n")
        assert send_until_closed(connection, endless * 2_000) < 20_000_000
    assert is_answered(url)


def test_a_body_whose_answer_is_given_already_is_not_waited_for(url: str) -> None:
    head = raw_http.head("POST", "/early", url, Content_Length=100)
    since = time.perf_counter()
    assert raw_http.status_of(raw_http.exchange(url, head, b"x")) == 200
    assert HEAD_SECONDS - 0.1 < time.perf_counter() - since < PATIENCE_SECONDS


def test_a_connection_whose_body_comes_after_the_answer_is_kept(url: str) -> None:
    for _ in range(20):  # until this process was not kept waiting itself
        with closing(raw_http.connect(url)) as connection:
            since = time.perf_counter()
            connection.sendall(raw_http.head("POST", "/early", url, Content_Length=2) + b"x")
            assert raw_http.status_of(raw_http.read_answer(connection)) == 200
            connection.sendall(b"x")
            if time.perf_counter() - since > HEAD_SECONDS / 2:
                continue
            time.sleep(1.5 * HEAD_SECONDS)
            connection.sendall(raw_http.head("GET", "/", url))
            assert raw_http.status_of(raw_http.read_answer(connection)) == 200
            return
    raise AssertionError("the rest of the body was never sent in time")


def test_more_requests_at_once_than_anybody_sends_are_not_kept(url: str) -> None:
    some, many = (raw_http.head("GET", "/", url) * count for count in (50, 5_000))
    with closing(raw_http.connect(url)) as connection:
        connection.sendall(some)
        answers = b""
        while answers.count(b"fine") < 50:
            chunk = connection.recv(65_536)
            assert chunk
            answers += chunk
    with closing(raw_http.connect(url)) as connection:
        assert send_until_closed(connection, many) < 20_000_000
    assert is_answered(url)


def test_a_client_that_does_not_read_is_given_up_and_one_that_reads_slowly_is_not(
    url: str, server: uvicorn.Server
) -> None:
    with closing(raw_http.connect(url)) as silent, closing(raw_http.connect(url)) as slow:
        silent.sendall(raw_http.head("GET", "/large", url, Connection="close"))
        slow.sendall(raw_http.head("GET", "/large", url, Connection="close"))
        received, since = 0, time.perf_counter()
        while block := slow.recv(300_000):
            received += len(block)
            time.sleep(0.08)
        assert received > LARGE
        assert time.perf_counter() - since > 2 * READ_SECONDS
        wait_until_nobody_is_connected(server)
        assert len(raw_http.read_to_end(silent)) < LARGE
