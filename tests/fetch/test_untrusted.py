import ipaddress
import socket
import ssl
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from diptych.errors import FetchError
from diptych.fetch import fetch_bytes
from diptych.fetch.untrusted import is_public
from local_server import LocalServer, respond

PUBLIC = "93.184.215.14"

# Self-signed, for localhost and photos.test, until 2120. It protects nothing.
CERTIFICATE = """
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQggvNMVeSlPaQCfpW9
bK3OS4X3c7jE1x913O2ATp34fLqhRANCAAQZLU24II5UxNA/1C3XMvrvFAdciW0C
cnWg0/Mw88QjrSZ/lEiOsB377A/RO6FxkSqwF19D1q4MSKrAg7A0l5Fc
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBbTCCARSgAwIBAgIBATAKBggqhkjOPQQDAjAUMRIwEAYDVQQDDAlsb2NhbGhv
c3QwIBcNMjAwMTAxMDAwMDAwWhgPMjEyMDAxMDEwMDAwMDBaMBQxEjAQBgNVBAMM
CWxvY2FsaG9zdDBZMBMGByqGSM49AgEGCCqGSM49AwEHA0IABBktTbggjlTE0D/U
Ldcy+u8UB1yJbQJydaDT8zDzxCOtJn+USI6wHfvsD9E7oXGRKrAXX0PWrgxIqsCD
sDSXkVyjVTBTMA8GA1UdEwEB/wQFMAMBAf8wIQYDVR0RBBowGIIJbG9jYWxob3N0
ggtwaG90b3MudGVzdDAdBgNVHQ4EFgQUZIWpCEBD3VeLjEhuqdMHYVldnqYwCgYI
KoZIzj0EAwIDRwAwRAIgDyFAmcOPWn+7zGCrJOoKuY6u3qJaFGvfaZ5y++qLCyAC
IFHoC6S5YAH6SBg282OCk3fHl/wwPngM2EbZ874fHR0O
-----END CERTIFICATE-----
"""


@pytest.fixture
def lookups(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[str]]:
    """A stand-in for the internet: names have the addresses put here, and a public address leads to this machine."""
    names: dict[str, list[str]] = {"photos.test": [PUBLIC]}
    really_resolve, really_connect = socket.getaddrinfo, socket.socket.connect

    def resolve(host: str, port: int, family: int = 0, type: int = 0) -> list[tuple[object, ...]]:
        return [answer for ip in names.get(host, [host]) for answer in really_resolve(ip, port, family, type)]

    def connect(self: socket.socket, address: tuple[str, int]) -> None:
        really_connect(self, ("127.0.0.1", address[1]) if address[0] == PUBLIC else address)

    monkeypatch.setattr(socket, "getaddrinfo", resolve)
    monkeypatch.setattr(socket.socket, "connect", connect)
    return names


def hello(request: BaseHTTPRequestHandler) -> None:
    respond(request, b"hello")


def local(server: LocalServer, **limits: float) -> bytes:
    return fetch_bytes(f"{server.url}/a.jpg?key=secret", allow_private=True, **limits)  # type: ignore[arg-type]


def test_a_body_arrives_uncompressed_and_by_the_name_that_was_asked_for(lookups: dict[str, list[str]]) -> None:
    with LocalServer(hello) as server:
        assert fetch_bytes(f"http://photos.test:{server.port}/ä b?x=1#part".replace(" ", "%20")) == b"hello"
    request = server.requests[0]
    assert request.path == "/%C3%A4%20b?x=1"
    assert request.headers["Host"] == f"photos.test:{server.port}"
    assert request.headers["Accept-Encoding"] == "identity"
    assert request.headers["User-Agent"].startswith("diptych/")


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.1",
        "017700000001",
        "127.0.0.1.",
        "localhost",
        "LOCALHOST.",
        "①②⑦.⓪.⓪.①",
        "0.0.0.0",
        "10.1.2.3",
        "169.254.169.254",
        "100.64.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "[::1]",
        "[::]",
        "[::ffff:127.0.0.1]",
        "[::ffff:7f00:1]",
        "[::127.0.0.1]",
        "[::ffff:0:127.0.0.1]",
        "[64:ff9b::127.0.0.1]",
        "[2002:7f00:1::]",
        "[2001:0:5db8:d70e:0:0:80ff:fffe]",
        "[fe80::1]",
        "[fec0::1]",
        "[fd00::1]",
        "[ff02::1]",
    ],
)
def test_no_form_of_a_private_address_is_connected_to(host: str) -> None:
    with (
        LocalServer(hello) as server,
        pytest.raises(FetchError, match=r": its host is not known, or is in a private or reserved network"),
    ):
        fetch_bytes(f"http://{host}:{server.port}/")
    assert server.requests == []


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("8.8.8.8", True),
        ("93.184.215.14", True),
        ("2606:4700::1111", True),
        ("2002:808:808::1", True),
        ("64:ff9b::8.8.8.8", True),
        ("::ffff:8.8.8.8", True),
        ("192.168.0.1", False),
        ("172.16.0.1", False),
        ("192.0.2.1", False),
        ("192.88.99.1", False),
        ("198.18.0.1", False),
        ("240.0.0.1", False),
        ("239.1.1.1", False),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b:1::8.8.8.8", False),
        ("2002:a00:1::1", False),
        ("2001:db8::1", False),
        ("::ffff:192.168.0.1", False),
        ("fe80::1%eth0", False),
        ("ff0e::1", False),
        ("4000::1", False),
    ],
)
def test_public_addresses_are_told_from_others(address: str, expected: bool) -> None:
    assert is_public(ipaddress.ip_address(address)) is expected


def test_a_name_with_one_private_address_is_refused(lookups: dict[str, list[str]]) -> None:
    lookups["mixed.test"] = [PUBLIC, "127.0.0.1"]
    with LocalServer(hello) as server, pytest.raises(FetchError, match="private or reserved"):
        fetch_bytes(f"http://mixed.test:{server.port}/")
    assert server.requests == []


def test_a_name_is_resolved_once_so_that_it_cannot_change_after_the_check(
    lookups: dict[str, list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    resolve = socket.getaddrinfo
    asked: list[str] = []

    def rebind(host: str, port: int, family: int = 0, type: int = 0) -> list[tuple[object, ...]]:
        asked.append(host)
        lookups["photos.test"] = [PUBLIC] if len(asked) == 1 else ["127.0.0.1"]
        return list(resolve(host, port, family, type))

    monkeypatch.setattr(socket, "getaddrinfo", rebind)
    with LocalServer(hello) as server:
        assert fetch_bytes(f"http://photos.test:{server.port}/") == b"hello"
    assert asked == ["photos.test"]


def test_the_next_address_is_tried_when_one_does_not_answer(lookups: dict[str, list[str]]) -> None:
    lookups["twins.test"] = ["127.0.0.2", "127.0.0.1"]
    with LocalServer(hello) as server:  # listens on the second only
        assert fetch_bytes(f"http://twins.test:{server.port}/", allow_private=True) == b"hello"


@pytest.mark.parametrize(
    "location",
    [
        "http://127.0.0.1:{port}/",
        "http://localhost:{port}/",
        "http://[::1]:{port}/",
        "//127.0.0.1:{port}/",
        "//0:{port}/",
    ],
)
def test_redirects_to_private_addresses_are_refused(lookups: dict[str, list[str]], location: str) -> None:
    with LocalServer(hello) as inside:
        target = location.format(port=inside.port)
        with (
            LocalServer(lambda request: respond(request, status=302, Location=target)) as server,
            pytest.raises(FetchError, match=r"^http://photos.test:\d+/a -> http://.*: its host is not known, or is in"),
        ):
            fetch_bytes(f"http://photos.test:{server.port}/a?key=secret")
    assert inside.requests == []


@pytest.mark.parametrize("location", ["file:///etc/passwd", "ftp://photos.test/", "http://a:b@photos.test/"])
def test_redirects_to_what_is_no_plain_http_are_refused(lookups: dict[str, list[str]], location: str) -> None:
    with (
        LocalServer(lambda request: respond(request, status=301, Location=location)) as server,
        pytest.raises(FetchError, match=r"->"),
    ):
        fetch_bytes(f"http://photos.test:{server.port}/a")
    assert len(server.requests) == 1


def test_redirects_are_followed_up_to_the_limit() -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        step = int(request.path[1:])
        if step == 0:
            return hello(request)
        return respond(request, status=307, Location=str(step - 1))

    with LocalServer(answer) as server:
        assert fetch_bytes(f"{server.url}/5", allow_private=True) == b"hello"
        with pytest.raises(FetchError, match=r"/6 -> .*/0: more than 5 redirects"):
            fetch_bytes(f"{server.url}/6", allow_private=True)
    with LocalServer(lambda request: respond(request, status=302, Location="/")) as server:
        with pytest.raises(FetchError, match="more than 5 redirects"):
            fetch_bytes(server.url, allow_private=True)
        assert len(server.requests) == 6


def test_a_body_over_the_limit_is_refused_before_it_is_read() -> None:
    with (
        LocalServer(lambda request: respond(request, Content_Length=str(10**15))) as server,
        pytest.raises(FetchError, match=r"/a.jpg: larger than the limit of 50 MB; download the file"),
    ):
        local(server)
    with LocalServer(lambda request: respond(request, bytes(1000))) as server:
        assert local(server, max_bytes=1000) == bytes(1000)


def endless(request: BaseHTTPRequestHandler) -> None:
    request.send_response(200)
    endless_body(request)


def endless_body(request: BaseHTTPRequestHandler) -> None:
    request.end_headers()
    while True:
        request.wfile.write(bytes(10_000))


def test_a_body_without_an_end_is_cut_at_the_limit() -> None:
    with LocalServer(endless) as server, pytest.raises(FetchError, match=r"larger than the limit of 0\.1 MB"):
        local(server, max_bytes=100_000)


def test_a_body_shorter_than_it_claims_is_refused() -> None:
    with (
        LocalServer(lambda request: respond(request, b"half", Content_Length="8")) as server,
        pytest.raises(FetchError, match=r"the connection broke \(it ended early\)"),
    ):
        local(server)


def drip(head: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.wfile.write(head)
        for _ in range(2_000):  # which takes 40 s
            time.sleep(0.02)
            request.wfile.write(b"x")

    return answer


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nX-Slow: ",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
    ids=["status", "header", "body", "body without length"],
)
def test_a_server_that_drips_is_left_at_the_deadline(head: bytes) -> None:
    start = time.monotonic()
    with LocalServer(drip(head)) as server, pytest.raises(FetchError, match="took too long"):
        local(server, timeout_seconds=0.5)
    assert time.monotonic() - start < 10


def test_a_server_that_says_nothing_is_left_at_the_deadline() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        for scheme in ("http", "https"):
            url = f"{scheme}://127.0.0.1:{silent.getsockname()[1]}/"
            with pytest.raises(FetchError, match="took too long"):
                fetch_bytes(url, allow_private=True, timeout_seconds=0.5)


def test_a_resolver_that_says_nothing_is_left_at_the_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    release = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: release.wait(60) and [])
    with pytest.raises(FetchError, match="could not be looked up in time"):
        fetch_bytes("http://slow.test/", timeout_seconds=0.05)
    release.set()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda request: respond(request, status=404), "the server answers 404 Not Found; check the address"),
        (lambda request: respond(request, status=204), "the server answers 204 No Content"),
        (lambda request: respond(request, status=302), "the server answers 302 Found"),
        (lambda request: respond(request, b"x", Content_Encoding="gzip"), r"compressed \(gzip\), unasked"),
        (
            lambda request: request.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n"),
            r"the connection broke \(its answer is not HTTP\)",
        ),
        (lambda request: request.wfile.write(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200), "more than 100 headers"),
        (lambda request: None, "Remote end closed connection"),
    ],
)
def test_an_answer_that_is_no_file_is_told_in_one_line(
    answer: Callable[[BaseHTTPRequestHandler], None], message: str
) -> None:
    with LocalServer(answer) as server, pytest.raises(FetchError, match=message) as caught:
        local(server)
    assert str(caught.value).startswith(f"{server.url}/a.jpg: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("photo.jpg", "only http:// and https:// addresses are fetched"),
        ("file:///etc/passwd", "only http://"),
        ("ftp://photos.test/a", "only http://"),
        ("javascript:alert(1)", "only http://"),
        ("http://", "it names no host"),
        ("http:///a", "it names no host"),
        ("http://user:pass@photos.test/", r"^http://photos.test/: URLs with a user name or password"),
        ("http://photos.test@10.0.0.1/", "URLs with a user name or password"),
        ("http://photos.test\\@10.0.0.1/", "no spaces, backslashes or control characters"),
        ("http://photos.test/a b", "no spaces"),
        ("http://photos.test/\r\nX-Evil: 1", r"^http://photos.test/\?\?X-Evil: 1: a URL has no spaces"),
        ("http://photos.test:99999/", "not a valid URL"),
        ("http://photos.test:x/", "not a valid URL"),
        ("http://[::1", "not a valid URL"),
        ("http://[::g]/", "not a valid URL"),
        ("http://[fe80::1%25eth0]/", "not a valid URL"),
        ("http://a..b/", "not a valid URL"),
        (f"http://{'a' * 64}.test/", "not a valid URL"),
        ("http://a_b!c/", "it names no host"),
    ],
)
def test_what_is_no_plain_url_is_refused_without_asking_anybody(
    url: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr(socket, "getaddrinfo")
    with pytest.raises(FetchError, match=message) as caught:
        fetch_bytes(url)
    assert "\n" not in str(caught.value)
    assert "pass@" not in str(caught.value)


def test_an_unknown_host_is_told_as_a_private_one_is(lookups: dict[str, list[str]]) -> None:
    lookups.update({"nowhere.test": [], "inside.test": ["10.0.0.1"], "both.test": [PUBLIC, "10.0.0.1"]})
    for name in ("nowhere.test", "inside.test", "both.test"):
        with pytest.raises(FetchError) as caught:
            fetch_bytes(f"http://{name}/")
        message = f"http://{name}/: its host is not known, or is in a private or reserved network; check the address."
        assert str(caught.value) == message
    with pytest.raises(FetchError, match=r"its host is not known; check the address and the network\.$"):
        fetch_bytes("http://nowhere.test/", allow_private=True)


@pytest.mark.parametrize(
    ("stated", "is_taken"),
    [
        ("image/png", True),
        ("Image/JPEG; charset=binary", True),
        ("application/octet-stream", True),
        (None, True),
        ("text/html; charset=utf-8", False),
        ("image", False),
        ("application/octet-stream2", False),
        ("", True),
    ],
)
def test_a_body_of_another_type_is_not_read(stated: str | None, is_taken: bool) -> None:
    def answer(request: BaseHTTPRequestHandler) -> None:
        return hello(request) if stated is None else respond(request, b"hello", Content_Type=stated)

    accept = ("image/*", "application/octet-stream")
    with LocalServer(answer) as server:
        if is_taken:
            assert fetch_bytes(server.url, allow_private=True, accept=accept) == b"hello"
        else:
            with pytest.raises(FetchError, match=r"the server calls it (text/html|image|.*stream2), not"):
                fetch_bytes(server.url, allow_private=True, accept=accept)


def test_an_endless_page_is_not_waited_for_where_pictures_are_wanted() -> None:
    def page(request: BaseHTTPRequestHandler) -> None:
        request.send_response(200)
        request.send_header("Content-Type", "text/html")
        endless_body(request)

    start = time.monotonic()
    with LocalServer(page) as server, pytest.raises(FetchError, match=r"calls it text/html, not image/\*\.$"):
        fetch_bytes(server.url, allow_private=True, accept=["image/*"])
    assert time.monotonic() - start < 1


def test_proxies_of_the_environment_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with LocalServer(hello) as server:
        assert local(server) == b"hello"


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    (tmp_path / "server.pem").write_text(CERTIFICATE.lstrip())
    return tmp_path / "server.pem"


def test_https_checks_the_certificate_for_the_name_that_was_asked_for(
    lookups: dict[str, list[str]], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str | None] = []
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.sni_callback = lambda sock, name, context: asked.append(name)
    lookups["other.test"] = lookups["photos.test."] = [PUBLIC]
    with LocalServer(hello, tls=context) as server:
        with pytest.raises(FetchError, match=r"certificate is not valid .*self-signed"):
            fetch_bytes(f"https://photos.test:{server.port}/")
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        assert fetch_bytes(f"https://photos.test:{server.port}/") == b"hello"
        assert fetch_bytes(f"https://PHOTOS.test.:{server.port}/") == b"hello"
        with pytest.raises(FetchError, match=r"certificate is not valid .*other.test"):
            fetch_bytes(f"https://other.test:{server.port}/")
    assert asked == ["photos.test", "photos.test", "photos.test", "other.test"]


def test_https_does_not_redirect_to_http(
    lookups: dict[str, list[str]], certificate: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    target = "http://photos.test/"
    with (
        LocalServer(lambda request: respond(request, status=302, Location=target), tls=context) as server,
        pytest.raises(FetchError, match=r"^https://photos.test:\d+/: redirects away from https"),
    ):
        fetch_bytes(f"https://photos.test:{server.port}/")
