import asyncio
import base64
import io
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler
from typing import Any

import httpx
import pytest
from PIL import Image

from diptych.serve.config import Limits
from diptych.serve.fetching import Fetching
from diptych.serve.metrics import Metrics
from diptych.serve.problems import Problem
from diptych.serve.room import Room
from local_server import LocalServer, respond
from serve_command import ServeCommand

PUBLIC = "93.184.215.14"


@pytest.fixture(scope="module")
def limited_server() -> Iterator[ServeCommand]:
    with ServeCommand("--allow-url-fetch", "--max-pixels", 1, "--max-images", 8) as server:
        yield server


@pytest.fixture(scope="module")
def limited(limited_server: ServeCommand) -> Iterator[httpx.Client]:
    """Requests to a server that fetches addresses, and takes little."""
    with httpx.Client(base_url=limited_server.url, timeout=60, trust_env=False) as client:
        yield client


def picture(kind: str = "PNG", size: tuple[int, int] = (12, 9)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (200, 30, 40)).save(file, kind)
    return file.getvalue()


def plain(content: bytes) -> str:
    return base64.b64encode(content).decode()


def errors(client: httpx.Client, images: Sequence[str]) -> dict[int, dict[str, Any]]:
    response = client.post("/v1/similarity", json={"images": images, "texts": ["a red square"]})
    assert response.status_code == 200, response.text
    return {fault["index"]: fault["error"] for fault in response.json()["errors"]}


def test_pictures_come_as_data_uris_and_as_plain_base64(client: httpx.Client) -> None:
    png = plain(picture())
    heads = ("data:image/png;base64,", "DATA:Image/PNG;name=a.png;BASE64,", "data:image/x-unknown;base64,", "")
    assert errors(client, [head + png for head in heads]) == {}


def test_large_base64_is_read_whole_and_judged_whole(client: httpx.Client) -> None:
    large = plain(picture("BMP", (800, 600)))  # 1.9 million characters, decoded in pieces
    broken = [large[:place] + letter + large[place + 1 :] for place in (2**18 - 1, 10**6) for letter in "=!"]
    found = errors(client, [large, *broken, large[:-1]])
    assert sorted(found) == [1, 2, 3, 4, 5]
    assert all("neither a data URI, nor base64" in error["detail"] for error in found.values())


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"])
def test_formats_of_the_web_and_of_cameras_are_read(client: httpx.Client, kind: str) -> None:
    assert errors(client, [plain(picture(kind))]) == {}


@pytest.mark.parametrize(
    ("image", "detail"),
    [
        ("", "empty, 0 bytes"),
        ("photo.jpg", "neither a data URI, nor base64, nor an http(s) address (Only base64 data is allowed)"),
        ("/etc/passwd", "neither a data URI, nor base64, nor an http(s) address (Incorrect padding)"),
        ("file:///etc/passwd", "neither a data URI, nor base64, nor an http(s) address"),
        ("ftp://photos.test/a.jpg", "neither a data URI, nor base64, nor an http(s) address"),
        ("日本", "neither a data URI, nor base64, nor an http(s) address"),
        ("data:,words", "its data URI does not begin with data:image/TYPE;base64"),
        ("data:text/html;base64,AAAA", "its data URI does not begin with data:image/TYPE;base64"),
        ("data:image/png,AAAA", "its data URI does not begin with data:image/TYPE;base64"),
        ("data:image/svg+xml;utf8,<svg/>", "its data URI does not begin with data:image/TYPE;base64"),
        ("data:image/png;base64", "its data URI does not begin with data:image/TYPE;base64"),
        ("data:image/png;base64,A", "its base64 is broken ("),
        ("data:image/png;base64,AA AA", "its base64 is broken ("),
        (plain(b"words"), "not a file of JPEG, PNG, WEBP, GIF, BMP, TIFF, HEIF, AVIF: it begins with b'words'"),
        (plain(b"<svg width='9'/>"), "not a file of JPEG"),
        (plain(picture("PPM")), "not a file of JPEG"),
        (plain(picture("TGA")), "not a file of JPEG"),
        (plain(picture()[:40]), "looks like PNG but cannot be read (SyntaxError: broken PNG file"),
    ],
)
def test_what_is_no_picture_is_told_by_its_place(client: httpx.Client, image: str, detail: str) -> None:
    (place,) = (found := errors(client, [plain(picture()), image])).keys()
    assert place == 1
    assert found[1]["detail"].startswith(f"image 1: {detail}")
    assert (found[1]["status"], found[1]["title"]) == (422, "The image cannot be read")
    assert "\n" not in found[1]["detail"]


def test_among_texts_a_picture_at_fault_is_called_by_its_place_in_the_input(client: httpx.Client) -> None:
    answer = client.post("/v1/embeddings", json={"input": ["a dog", "data:image/png;base64,!!"]})
    (item,) = answer.json()["items"]
    assert item["index"] == 1
    assert item["detail"].startswith("image 1: its base64 is broken")


@pytest.mark.parametrize(
    "uri",
    [
        "data:video/mp4;base64,AAAA",
        "data:;base64,AAAA",
        "DATA:text/plain;charset=utf-8;base64,AAAA",
        "data:image/png,AA",
    ],
)
def test_a_data_uri_that_is_no_picture_s_is_not_taken_for_a_text(client: httpx.Client, uri: str) -> None:
    answer = client.post("/v1/embeddings", json={"input": ["a dog", uri]})
    (item,) = answer.json()["items"]
    assert (answer.status_code, item["index"]) == (422, 1)
    assert item["detail"].startswith("image 1: its data URI does not begin with data:image/TYPE;base64,")


@pytest.mark.parametrize(
    "text", ["data: a photo of a chart", "data:base64", "data: image/png;base64,AAAA", "metadata:image/png;base64,AAAA"]
)
def test_a_text_that_begins_like_a_data_uri_is_a_text(client: httpx.Client, text: str) -> None:
    answer = client.post("/v1/embeddings", json={"input": text}).json()
    assert answer["data"] == client.post("/v1/embeddings", json={"input": [{"text": text}]}).json()["data"]
    assert answer["usage"]["prompt_tokens"] > 2


def test_a_data_uri_may_be_in_capitals(client: httpx.Client) -> None:
    uri = f"DATA:IMAGE/PNG;BASE64,{plain(picture())}"
    answers = [client.post("/v1/embeddings", json={"input": [each]}) for each in (uri, {"image": uri})]
    assert answers[0].json()["data"] == answers[1].json()["data"]
    assert answers[0].json()["usage"]["prompt_tokens"] == 0


def test_a_picture_of_too_many_pixels_is_refused_by_its_header(limited: httpx.Client) -> None:
    found = errors(limited, [plain(picture(size=(1000, 1000))), plain(picture(size=(1001, 1000)))])
    assert {place: error["detail"] for place, error in found.items()} == {
        1: "image 1: 1001 x 1000 pixels are more than the 1,000,000 that are taken"
    }


def test_more_pictures_than_allowed_are_refused(limited: httpx.Client) -> None:
    files = [("image", ("a.png", picture()))]
    for count, status in ((8, 200), (9, 422)):
        assert limited.post("/v1/similarity", files=files * count, data={"texts": "red"}).status_code == status
        body = {"images": [plain(picture())] * count, "texts": ["red"]}
        assert limited.post("/v1/similarity", json=body).status_code == status


# ---- addresses


def test_addresses_are_not_fetched_unless_allowed(client: httpx.Client) -> None:
    with LocalServer(lambda request: respond(request, picture())) as inside:
        found = errors(client, [plain(picture()), inside.url, "HTTPS://photos.test/a.jpg"])
    assert inside.requests == []
    assert found.keys() == {1, 2}
    assert found[1]["type"] == "urn:diptych:problem:addresses-not-fetched"
    assert found[1]["detail"].startswith("image 1: this server fetches no addresses: send the picture itself")


def test_where_addresses_are_allowed_those_of_its_own_network_look_like_none(
    limited: httpx.Client, limited_server: ServeCommand
) -> None:
    assert limited.get("/v1/server").json()["allows_url_fetch"] is True
    hosts = ["127.0.0.1", "localhost", "2130706433", "0x7f.1", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "no.invalid"]
    with LocalServer(lambda request: respond(request, picture(), Content_Type="image/png")) as inside:
        found = errors(limited, [f"http://{host}:{inside.port}/a?key=secret" for host in hosts])
        assert inside.requests == []
    for place, host in enumerate(hosts):
        assert found[place]["detail"] == (
            f"image {place}: http://{host}:{inside.port}/a: its host is not known, or is in a private or reserved "
            "network; check the address."
        )
        assert found[place]["type"] == "urn:diptych:problem:image-not-fetched"
    assert "secret" not in "".join(limited_server.stderr)


@pytest.fixture
def internet(monkeypatch: pytest.MonkeyPatch) -> None:
    """A stand-in for the internet: photos.test has a public address, which leads to this machine."""
    really_resolve, really_connect = socket.getaddrinfo, socket.socket.connect

    def resolve(host: str, port: int, family: int = 0, type: int = 0) -> list[tuple[object, ...]]:
        return list(really_resolve(PUBLIC if host == "photos.test" else host, port, family, type))

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        really_connect(self, ("127.0.0.1", address[1]) if address[0] == PUBLIC else address)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket.socket, "connect", connect)


def fetching_within(limits: Limits) -> Fetching:
    return Fetching(limits, Room(limits.held_bytes, Metrics()))


def fetch(urls: Sequence[str], limits: Limits | None = None, *, fetching: Fetching | None = None) -> list[bytes | str]:
    """What each address holds, or what is said of it."""

    async def run() -> list[bytes | str]:
        async with (fetching or fetching_within(limits or Limits())).fetched(urls) as found:
            return [each.detail if isinstance(each, Problem) else each for each in found]

    return asyncio.run(run())


def serving(kind: str, content: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    return lambda request: respond(request, content, Content_Type=kind)


@pytest.mark.usefixtures("internet")
def test_pictures_are_fetched_in_the_order_of_asking() -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        number = int(request.path[1:])
        time.sleep(0.01 * (8 - number))
        respond(request, b"%d" % number, Content_Type="image/png")

    with LocalServer(answer) as server:
        assert fetch([f"http://photos.test:{server.port}/{n}" for n in range(8)]) == [b"%d" % n for n in range(8)]


@pytest.mark.usefixtures("internet")
def test_what_is_no_picture_by_its_type_is_not_fetched() -> None:
    with LocalServer(serving("text/html", b"<html>")) as server:
        url = f"http://photos.test:{server.port}/page"
        assert fetch([url]) == [f"{url}: the server calls it text/html, not image/* or application/octet-stream."]
    with LocalServer(serving("application/octet-stream", b"bytes")) as server:
        assert fetch([f"http://photos.test:{server.port}/"]) == [b"bytes"]


@pytest.mark.usefixtures("internet")
def test_what_is_larger_than_a_body_is_not_fetched() -> None:
    with LocalServer(serving("image/png", bytes(1001))) as server:
        (said,) = fetch([f"http://photos.test:{server.port}/"], Limits(body_bytes=1000))
        assert ": larger than the limit of 0.001 MB" in str(said)


@pytest.mark.usefixtures("internet")
def test_a_redirect_into_its_own_network_is_not_followed() -> None:
    with LocalServer(serving("image/png", picture())) as inside:
        target = f"http://127.0.0.1:{inside.port}/"
        with LocalServer(lambda request: respond(request, status=302, Location=target)) as server:
            (said,) = fetch([f"http://photos.test:{server.port}/"])
        assert "its host is not known, or is in a private or reserved network" in str(said)
        assert inside.requests == []


@pytest.mark.usefixtures("internet")
def test_one_request_has_four_addresses_asked_at_once() -> None:
    busy, most, lock = 0, 0, threading.Lock()
    four = threading.Barrier(4)

    def answer(request: BaseHTTPRequestHandler) -> None:
        nonlocal busy, most
        with lock:
            busy += 1
            most = max(most, busy)
        four.wait(5)  # where fewer are asked at once, it breaks
        time.sleep(0.02)  # in which a fifth would come
        with lock:
            busy -= 1
        respond(request, b"x", Content_Type="image/png")

    with LocalServer(answer) as server:
        assert fetch([f"http://photos.test:{server.port}/"] * 12) == [b"x"] * 12
    assert most == 4


@pytest.mark.usefixtures("internet")
def test_pictures_that_no_memory_is_left_for_are_refused_until_others_are_done() -> None:
    limits = Limits(body_bytes=1000, held_bytes=2500)

    async def run(url: str) -> None:
        metrics = Metrics()
        fetching = Fetching(limits, Room(limits.held_bytes, metrics))
        async with fetching.fetched([url, url]) as first:
            assert first == [bytes(900)] * 2
            assert b"diptych_held_bytes 1800.0" in metrics.text()
            async with fetching.fetched([url]) as second:
                assert isinstance(second[0], Problem)
                assert (second[0].status, second[0].slug) == (429, "busy")
        async with fetching.fetched([url]) as third:
            assert third == [bytes(900)]
        assert b"diptych_held_bytes 0.0" in metrics.text()

    with LocalServer(serving("image/png", bytes(900))) as server:
        asyncio.run(run(f"http://photos.test:{server.port}/"))
