"""Bodies: whatever a client sends or fails to send, others are answered, and memory is bounded."""

import asyncio
import base64
import io
import re
import struct
import time
import zlib
from collections.abc import Callable, Coroutine, Iterator
from contextlib import ExitStack, closing, contextmanager
from typing import Any

import httpx
import orjson
import pytest
from PIL import Image
from starlette.types import Message, Receive, Scope, Send

import raw_http
from diptych.serve.config import Limits
from diptych.serve.guards.body import BodyGuard, find_excess
from diptych.serve.metrics import Metrics
from diptych.serve.room import Room
from serve_command import ServeCommand, StartServer

PATH, JSON = "/v1/embeddings", "application/json"
GOOD = b'{"input": "a dog"}'
FINE = {"input": "a dog"}


def as_uri(image: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(image).decode()}"


def png_of(width: int, height: int) -> bytes:
    """A PNG in few bytes that says it is of that size, and whose rows are all there, packed."""
    rows = zlib.compressobj(9)
    row = b"\0" * (1 + (width + 7) // 8)
    packed = b"".join(rows.compress(row) for _ in range(height)) + rows.flush()
    chunks = ((b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)), (b"IDAT", packed), (b"IEND", b""))
    framed = (struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d)) for k, d in chunks)
    return b"\x89PNG\r\n\x1a\n" + b"".join(framed)


def slow_request(size: int) -> bytes:
    """A body of so many bytes that takes the model and the decoders a while."""
    picture = io.BytesIO()
    Image.new("RGB", (2_500, 2_500), (90, 60, 30)).save(picture, "JPEG", quality=30)
    return orjson.dumps({"input": [{"image": as_uri(picture.getvalue(), "image/jpeg")}] * size})


def metric(client: httpx.Client, name: str) -> float:
    found = re.search(rf"^{re.escape(name)} (\S+)$", client.get("/metrics").text, re.MULTILINE)
    assert found is not None, name
    return float(found[1])


def count_gone(server: ServeCommand) -> int:
    """How many requests were not waited for, by the log."""
    return sum(line.get("status") == 499 for line in server.logs())


def wait_until(is_so: Callable[[], bool], seconds: float = 60) -> None:
    until = time.perf_counter() + seconds
    while not is_so():
        assert time.perf_counter() < until
        time.sleep(0.02)


@contextmanager
def answered_meanwhile(client: httpx.Client) -> Iterator[None]:
    """After the block, and before what it began has ended, others are answered at once."""
    yield
    since = time.perf_counter()
    assert client.post(PATH, json=FINE).status_code == 200
    assert time.perf_counter() - since < 15  # half of what an upload may take


def seconds_of(client: httpx.Client, body: bytes) -> float:
    """How long the server takes to refuse a body, its way there included."""
    since = time.perf_counter()
    refused = client.post(PATH, content=body, headers={"Content-Type": JSON})
    seconds = time.perf_counter() - since
    assert (refused.status_code // 100, len(refused.content) < 10_000) == (4, True)
    return seconds


def test_a_body_over_the_limit_is_refused_by_its_length_before_it_is_sent(served: ServeCommand) -> None:
    head = raw_http.head("POST", PATH, served.url, Content_Type=JSON, Content_Length=10**12)
    with closing(raw_http.connect(served.url)) as connection:
        connection.sendall(head)
        answer = connection.recv(65_536)
        while not answer.endswith(b"}"):
            answer += connection.recv(65_536)
    assert (raw_http.status_of(answer), b"32,000,000 bytes" in answer) == (413, True)
    assert b"connection: close" in answer


def test_a_body_over_the_limit_is_refused_while_it_comes(start_server: StartServer) -> None:
    server = start_server("--max-body", 1)
    with httpx.Client(base_url=server.url, trust_env=False, timeout=60) as client:
        endless = (b" " * 100_000 for _ in range(200))
        refused = client.post(PATH, content=endless, headers={"Content-Type": JSON})
        assert (refused.status_code, refused.json()["type"]) == (413, "urn:diptych:problem:too-large")
        assert client.post(PATH, json=FINE).status_code == 200


def test_a_client_that_has_sent_all_of_a_body_that_is_too_large_reads_why(client: httpx.Client) -> None:
    assert client.post(PATH, content=b" " * 33_000_000, headers={"Content-Type": JSON}).status_code == 413


def test_a_body_in_chunks_is_taken(served: ServeCommand) -> None:
    head = raw_http.head("POST", PATH, served.url, Content_Type=JSON, Transfer_Encoding="chunked", Connection="close")
    pieces = [b"1\r\n%c\r\n" % byte for byte in GOOD]
    assert raw_http.status_of(raw_http.exchange(served.url, head, *pieces, b"0\r\n\r\n")) == 200


@pytest.mark.parametrize(
    ("headers", "body", "status"),
    [
        ({"Content_Length": 5}, GOOD, 400),  # more than it says: the rest is no request
        ({"Content_Length": -1}, GOOD, 400),
        ({"Content_Length": "0x12"}, GOOD, 400),
        ({"Content_Length": 10**30}, GOOD, 400),
        ({"Content_Length": 18, "Transfer_Encoding": "chunked"}, GOOD, 400),  # smuggling
        ({"Transfer_Encoding": "chunked"}, b"zz\r\n", 400),
        ({}, GOOD, 400),  # none at all: what comes is no request
    ],
)
def test_lengths_that_lie_are_refused(
    served: ServeCommand, client: httpx.Client, headers: dict[str, object], body: bytes, status: int
) -> None:
    head = raw_http.head("POST", PATH, served.url, Content_Type=JSON, **headers)
    assert raw_http.status_of(raw_http.exchange(served.url, head + body)) == status
    assert client.post(PATH, json=FINE).status_code == 200


@pytest.mark.parametrize(
    "kind", ["image/png", "multipart/form-data; boundary=x", "application/x-www-form-urlencoded", "a"]
)
def test_a_content_type_that_lies_is_refused(client: httpx.Client, kind: str) -> None:
    refused = client.post(PATH, content=GOOD, headers={"Content-Type": kind})
    assert (refused.status_code // 100, refused.headers["content-type"]) == (4, "application/problem+json")
    packed = client.post(
        PATH, content=zlib.compress(GOOD), headers={"Content-Type": JSON, "Content-Encoding": "deflate"}
    )
    assert packed.status_code // 100 == 4


def test_an_image_is_read_as_what_it_is_whatever_it_says(client: httpx.Client) -> None:
    told = [as_uri(png_of(20, 20), kind) for kind in ("image/jpeg", "image/png")]
    assert client.post(PATH, json={"input": told}).status_code == 200
    refused = client.post(PATH, json={"input": [as_uri(b"<svg xmlns='http://www.w3.org/2000/svg'/>", "image/png")]})
    assert refused.status_code == 422


def test_slow_uploads_do_not_keep_others_waiting(served: ServeCommand, client: httpx.Client) -> None:
    head = raw_http.head("POST", PATH, served.url, Content_Type=JSON, Content_Length=1_000_000)
    with ExitStack() as stack, answered_meanwhile(client):
        for _ in range(200):
            stack.enter_context(closing(raw_http.connect(served.url))).sendall(head + b"{")


def test_bombs_are_refused_by_their_header_while_others_are_answered(client: httpx.Client) -> None:
    bomb = png_of(30_000, 30_000)
    assert len(bomb) < 1_000_000
    with httpx.Client(base_url=client.base_url, trust_env=False, timeout=60) as other, answered_meanwhile(client):
        since = time.perf_counter()
        refused = other.post(PATH, json={"input": [as_uri(bomb)] * 8})
        assert time.perf_counter() - since < 10
    assert (refused.status_code, [item["index"] for item in refused.json()["items"]]) == (422, list(range(8)))
    assert "30000 x 30000" in refused.json()["items"][0]["detail"]


@pytest.mark.parametrize(
    "poison",
    [
        b"[" * 1_000_000,
        b'{"input":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"input": [' + b"1," * 1_000_000 + b"1]}",
        b'{"input": [' + b"{}," * 10_000_000 + b"1]}",
        b'{"input": [' + b'"a",' * 7_000_000 + b"1]}",
        b'{"input": [' + b"1," * 19_000 + b"1]}",
        b'{"input": [' + b"{}," * 19_000 + b"1]}",
        b'{"input": ["a"], ' + b",".join(b'"%d": 1' % i for i in range(300_000)) + b"}",
        b'{"input": ' + b"9" * 1_000_000 + b"}",
        b'{"input": "' + b"\\ud800" * 1_000 + b'"}',
        b'["' + b'\\",' * 10_000_000,
        b"\xff\xfe" * 1_000,
        b"",
    ],
)
def test_json_made_to_hurt_is_refused_soon(client: httpx.Client, poison: bytes) -> None:
    harmless = seconds_of(client, b" " * len(poison))
    assert seconds_of(client, poison) < 5 + 10 * harmless


@pytest.mark.parametrize(
    ("body", "is_refused"),
    [
        (b'{"input": ["' + b"," * 2_000_000 + b'"]}', False),
        (b'{"input": ["' + b'\\",' * 1_000_000 + b'"]}', False),
        (b'{"input": ["' + b"a," * 1_000_000 + b'"' + b",1" * 30_000 + b"]}", False),
        (b'{"input": ["' + b"a," * 1_000_000 + b'"' + b",1" * 50_000 + b"]}", True),
        (b'{"input": ["' + b'\\",' * 1_000_000 + b'"' + b',"a"' * 30_000 + b"]}", True),
        (b'{"input": ["' + b"a" * 2_000_000 + b'", ' + b"," * 50_000, True),
        (b"," * 2_000_000, False),
    ],
    ids=["commas in a text", "escapes", "few numbers", "many numbers", "many texts", "beyond a long text", "no JSON"],
)
def test_values_are_counted_beside_texts_of_any_length(body: bytes, is_refused: bool) -> None:
    problem = asyncio.run(find_excess(body, 20_000))
    assert (problem is not None) is is_refused
    assert problem is None or (problem.status, problem.slug) == (413, "too-large")


def test_what_a_client_waits_for_is_dropped_when_it_goes_away(served: ServeCommand, client: httpx.Client) -> None:
    body = slow_request(60)
    head = raw_http.head("POST", PATH, served.url, Content_Type=JSON, Content_Length=len(body))
    waiting, computed = (f'diptych_{name}{{kind="images"}}' for name in ("waiting_items", "batch_items_sum"))
    assert client.get("/readyz").status_code == 200  # so that there is a count of what is computed
    before, gone = metric(client, computed), count_gone(served)
    with ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(closing(raw_http.connect(served.url))).sendall(head + body)
        wait_until(lambda: metric(client, waiting) >= 4 * 60)
        assert metric(client, "diptych_held_bytes") >= 4 * len(body)
    wait_until(lambda: metric(client, waiting) == 0)
    assert metric(client, computed) - before < 4 * 60
    wait_until(lambda: metric(client, "diptych_held_bytes") == 0)
    wait_until(lambda: count_gone(served) >= gone + 4)


class Wire:
    """The server's side of one request, by hand; `ends` where its client goes as soon as it is answered."""

    def __init__(self, *messages: Message, ends: bool = False) -> None:
        self.ends = ends
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.sent: list[Message] = []
        for message in messages:
            self.incoming.put_nowait(message)

    async def send(self, message: Message) -> None:
        self.sent.append(message)
        if self.ends and message["type"] == "http.response.body":
            self.incoming.put_nowait({"type": "http.disconnect"})

    async def ask(self, app: BodyGuard, method: str = "POST") -> int:
        """The status of the answer; 0 without one."""
        scope: Scope = {"type": "http", "method": method, "path": "/", "root_path": "", "headers": []}
        await app(scope, self.incoming.get, self.send)
        return int(self.sent[0]["status"]) if self.sent else 0


def part(body: bytes, *, is_last: bool = True) -> Message:
    return {"type": "http.request", "body": body, "more_body": not is_last}


def guarded(seen: list[bytes], **limits: Any) -> BodyGuard:  # noqa: ANN401
    """An application that takes its time over a body that says so."""

    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        body = (await receive())["body"]
        try:
            await asyncio.sleep(5 if body == b"slow" else 0)
        except asyncio.CancelledError:
            seen.append(b"cancelled")
            raise
        seen.append(body)
        await send({"type": "http.response.start", "status": 200})
        await send({"type": "http.response.body"})
        await asyncio.sleep(0.05)  # what is done after an answer is not disturbed
        seen.append(b"done")

    most = Limits(**limits)
    return BodyGuard(app, most, Room(most.held_bytes, Metrics()))


def run(test: Callable[[], Coroutine[Any, Any, None]]) -> None:
    asyncio.run(test())


def test_an_upload_that_takes_too_long_is_given_up() -> None:
    async def test() -> None:
        app = guarded([], upload_seconds=0.1)
        assert await Wire(part(b"a", is_last=False), ends=True).ask(app) == 408

    run(test)


def test_bodies_of_all_requests_together_are_bounded() -> None:
    async def test() -> None:
        seen: list[bytes] = []
        app = guarded(seen, held_bytes=100)
        first, second = Wire(part(b"a" * 60, is_last=False)), Wire(part(b"b" * 60))
        begun = asyncio.create_task(first.ask(app))
        await asyncio.sleep(0.01)
        assert await second.ask(app) == 429
        assert dict(second.sent[0]["headers"])[b"retry-after"] == b"2"
        first.incoming.put_nowait(part(b"a" * 40))
        assert await begun == 200
        assert await Wire(part(b"c" * 100)).ask(app) == 200
        assert seen == [b"a" * 100, b"done", b"c" * 100, b"done"]

    run(test)


def test_a_request_whose_client_goes_away_is_cancelled_and_the_server_goes_on() -> None:
    async def test() -> None:
        seen: list[bytes] = []
        app = guarded(seen)
        assert await Wire(part(b"slow"), {"type": "http.disconnect"}).ask(app) == 0
        assert await Wire(part(b"a", is_last=False), {"type": "http.disconnect"}).ask(app) == 0
        assert seen == [b"cancelled"]
        task = asyncio.current_task()
        assert task is not None
        assert not task.cancelling()

    run(test)


def test_the_end_of_a_connection_after_the_answer_cancels_nothing() -> None:
    async def test() -> None:
        seen: list[bytes] = []
        assert await Wire(part(b"a"), ends=True).ask(guarded(seen)) == 200
        assert seen == [b"a", b"done"]

    run(test)


def test_a_stop_from_outside_is_not_taken_for_a_client_that_went_away() -> None:
    async def test() -> None:
        seen: list[bytes] = []
        task = asyncio.create_task(Wire(part(b"slow")).ask(guarded(seen)))
        for _ in range(100):  # steps, in which it comes to the application
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert seen == [b"cancelled"]

    run(test)


def test_a_request_without_a_body_does_not_wait_for_one() -> None:
    async def test() -> None:
        seen: list[bytes] = []
        assert await Wire(part(b"ignored", is_last=False)).ask(guarded(seen), "GET") == 200
        assert seen == [b"", b"done"]

    run(test)
