"""What never becomes a request is answered, guarded, logged and counted like what does."""

import json
import re
import time

import httpx
import pytest

import raw_http
from serve_command import ServeCommand

REST = b"HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
HANDSHAKE = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(505)  # how TLS begins
NO_HTTP = {
    "another protocol": b"EHLO mail.example\r\n\r\n",
    "no method of HTTP": b"FOO / " + REST,
    "a method in small letters": b"get / " + REST,
    "TLS": HANDSHAKE,
    "an address in UTF-8": "GET /é ".encode() + REST,
    "an address with a space": b"GET /a b " + REST,
    "an address that is none": b"GET http://[ " + REST,
    "another version": b"GET / HTTP/3.0\r\nHost: 127.0.0.1\r\n\r\n",
    "a length that is no number": b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
}
LARGE = {
    "a long address": b"GET /" + b"x" * 70_000 + b" " + REST,
    "a long query": b"GET /healthz?" + b"x" * 64_001 + b" " + REST,
    "a long header": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\nX-Filler: " + b"x" * 90_000 + b"\r\n\r\n",
    "many headers": b"GET / HTTP/1.1\r\nHost: 127.0.0.1\r\n" + b"X-Filler: x\r\n" * 9_000 + b"\r\n",
}


def parse(answer: bytes) -> httpx.Response:
    """An answer as it came over the wire."""
    head, _, body = answer.partition(b"\r\n\r\n")
    lines = [line.split(b": ", 1) for line in head.split(b"\r\n")[1:]]
    return httpx.Response(raw_http.status_of(answer), headers=[(name, value) for name, value in lines], content=body)


@pytest.fixture(params=[*NO_HTTP, *LARGE])
def refused(request: pytest.FixtureRequest, served: ServeCommand) -> tuple[str, httpx.Response]:
    return request.param, parse(raw_http.exchange(served.url, {**NO_HTTP, **LARGE}[request.param]))


def test_what_is_no_request_is_a_problem_that_says_what_to_do(refused: tuple[str, httpx.Response]) -> None:
    sent, answer = refused
    status, slug, advice = (
        (400, "no-http", ("by http", "TLS", "method", "percent-encoded"))
        if sent in NO_HTTP
        else (431, "too-large", ("64,000 bytes", "in a body"))
    )
    problem = answer.json()
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert (problem["status"], problem["type"]) == (status, f"urn:diptych:problem:{slug}")
    assert problem["message"] == problem["detail"]
    assert all(words in problem["detail"] for words in advice)
    assert "xxx" not in problem["detail"]
    assert "callback" not in problem["detail"]


def test_what_is_no_request_keeps_browsers_strict_and_ends_the_connection(
    refused: tuple[str, httpx.Response], client: httpx.Client
) -> None:
    ours = refused[1].headers
    others = client.get("/nothing").headers
    assert set(others) <= set(ours)
    assert {name: ours[name] for name in others if "-policy" in name} == {
        name: others[name] for name in others if "-policy" in name
    }
    assert (ours["cache-control"], ours["connection"]) == ("no-store", "close")


def test_what_is_no_request_has_a_line_in_the_log(refused: tuple[str, httpx.Response], served: ServeCommand) -> None:
    answer = refused[1]
    line = json.loads(served.wait_for(re.escape(answer.headers["x-request-id"])).string)
    known = {"event": "request", "method": "none", "route": "none", "status": answer.status_code}
    assert {key: line[key] for key in known} == known
    assert "xxx" not in str(line)


def test_what_is_no_request_is_counted(served: ServeCommand, client: httpx.Client) -> None:
    def count() -> float:
        sample = r'^diptych_requests_total{method="none",route="none",status="400"} (\S+)$'
        found = re.search(sample, client.get("/metrics").text, re.MULTILINE)
        return float(found[1]) if found else 0

    before = count()
    raw_http.exchange(served.url, HANDSHAKE)
    until = time.monotonic() + 30
    while count() == before and time.monotonic() < until:
        time.sleep(0.01)
    assert count() == before + 1


def test_an_address_and_headers_within_the_limit_are_taken(served: ServeCommand) -> None:
    head = raw_http.head("GET", "/healthz?" + "x" * 60_000, served.url, X_Filler="x" * 3_000, Connection="close")
    assert raw_http.status_of(raw_http.exchange(served.url, head)) == 200


def test_a_body_that_breaks_off_is_answered_once(served: ServeCommand) -> None:
    head = raw_http.head("POST", "/v1/embeddings", served.url, Transfer_Encoding="chunked")
    answer = raw_http.exchange(served.url, head, b"zz\r\n", b"zz\r\n")
    assert (raw_http.status_of(answer), answer.count(b"HTTP/1.1 400")) == (400, 1)
