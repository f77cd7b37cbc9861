import hashlib
import json
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import pytest

from diptych.errors import FetchError
from diptych.fetch import download
from local_server import LocalServer, respond

CONTENT = bytes(range(256)) * 4000  # 1 MB
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def _no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)


def whole(request: BaseHTTPRequestHandler) -> None:
    respond(request, CONTENT, ETag='"v1"')


def ranged(request: BaseHTTPRequestHandler, *, content: bytes = CONTENT, etag: str = '"v1"') -> None:
    """As servers of files do: the part that is asked for, if the file is still the same one."""
    asked = re.fullmatch(r"bytes=(\d+)-", request.headers.get("Range", ""))
    if asked is None or request.headers.get("If-Range") != etag:
        return respond(request, content, ETag=etag)
    start = int(asked[1])
    extent = f"bytes {start}-{len(content) - 1}/{len(content)}"
    return respond(request, content[start:], 206, ETag=etag, Content_Range=extent)


def cut_at(size: int, etag: str = '"v1"') -> Callable[[BaseHTTPRequestHandler], None]:
    """An answer that promises everything and breaks off after `size` bytes."""

    def answer(request: BaseHTTPRequestHandler) -> None:
        respond(request, CONTENT[:size], Content_Length=str(len(CONTENT)), ETag=etag)

    return answer


def in_turn(*answers: Callable[[BaseHTTPRequestHandler], None]) -> Callable[[BaseHTTPRequestHandler], None]:
    """The answers to the first, the second and so on request; the last to all further ones."""
    remaining = list(answers)
    return lambda request: (remaining.pop(0) if len(remaining) > 1 else remaining[0])(request)


def busy(request: BaseHTTPRequestHandler) -> None:
    respond(request, status=503)


def asked(server: LocalServer) -> list[tuple[str | None, str | None]]:
    return [(request.headers.get("Range"), request.headers.get("If-Range")) for request in server.requests]


def test_a_file_arrives_whole_and_alone(tmp_path: Path) -> None:
    seen: list[tuple[int, int | None]] = []
    with LocalServer(whole) as server:
        path = download(f"{server.url}/a.pt", tmp_path / "a.pt", sha256=SHA256, on_progress=lambda *at: seen.append(at))
    assert path.read_bytes() == CONTENT
    assert list(tmp_path.iterdir()) == [path]
    assert seen[-1] == (len(CONTENT), len(CONTENT))
    assert seen == sorted(seen)
    assert server.requests[0].headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize("sha256", [SHA256, SHA256[:8].upper(), None])
def test_a_file_that_is_there_needs_no_network(tmp_path: Path, sha256: str | None) -> None:
    (tmp_path / "a.pt").write_bytes(CONTENT)
    assert download("http://127.0.0.1:9/a.pt", tmp_path / "a.pt", sha256=sha256).read_bytes() == CONTENT


def test_a_file_with_another_checksum_is_replaced(tmp_path: Path) -> None:
    (tmp_path / "a.pt").write_bytes(b"damaged")
    with LocalServer(whole) as server:
        assert download(server.url, tmp_path / "a.pt", sha256=SHA256).read_bytes() == CONTENT


def test_a_cut_connection_is_resumed_where_it_broke(tmp_path: Path) -> None:
    with LocalServer(in_turn(cut_at(300_000), ranged)) as server:
        download(server.url, tmp_path / "a.pt", sha256=SHA256, attempts=1)
    assert asked(server) == [(None, None), ("bytes=300000-", '"v1"')]


def test_a_later_call_resumes_what_an_earlier_one_left(tmp_path: Path) -> None:
    with LocalServer(in_turn(cut_at(300_000), busy, ranged)) as server:
        with pytest.raises(FetchError, match=r"Unavailable \(1 tries\); try again later, and it goes on from here"):
            download(server.url, tmp_path / "a.pt", attempts=1)
        assert (tmp_path / "a.pt.part").stat().st_size == 300_000
        assert not (tmp_path / "a.pt").exists()
        assert download(server.url, tmp_path / "a.pt").read_bytes() == CONTENT
    assert asked(server)[1:] == [("bytes=300000-", '"v1"')] * 2
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_a_server_that_ignores_ranges_starts_anew(tmp_path: Path) -> None:
    with LocalServer(in_turn(cut_at(300_000), whole)) as server:
        assert download(server.url, tmp_path / "a.pt").read_bytes() == CONTENT
    assert asked(server)[1] == ("bytes=300000-", '"v1"')


def test_a_file_that_changed_on_the_server_is_not_pasted_together(tmp_path: Path) -> None:
    changed = bytes(reversed(CONTENT))
    with LocalServer(in_turn(cut_at(300_000), lambda request: ranged(request, content=changed, etag='"v2"'))) as server:
        assert download(server.url, tmp_path / "a.pt").read_bytes() == changed


@pytest.mark.parametrize("etag", ["", 'W/"weak"'])
def test_nothing_is_resumed_that_the_server_cannot_identify(tmp_path: Path, etag: str) -> None:
    with LocalServer(in_turn(cut_at(300_000, etag), ranged)) as server:
        assert download(server.url, tmp_path / "a.pt").read_bytes() == CONTENT
    assert asked(server)[1] == (None, None)


def test_another_address_is_not_resumed_from_what_the_first_left(tmp_path: Path) -> None:
    with LocalServer(in_turn(cut_at(300_000), busy, ranged)) as server:
        with pytest.raises(FetchError):
            download(f"{server.url}/old", tmp_path / "a.pt", attempts=1)
        download(f"{server.url}/new", tmp_path / "a.pt", sha256=SHA256)
    assert asked(server)[2] == (None, None)


def test_a_part_that_is_whole_needs_no_network(tmp_path: Path) -> None:
    (tmp_path / "a.pt.part").write_bytes(CONTENT)
    note = {"url": "http://127.0.0.1:9/", "validator": '"v1"', "total": len(CONTENT)}
    (tmp_path / "a.pt.part.json").write_text(json.dumps(note))
    download("http://127.0.0.1:9/", tmp_path / "a.pt", sha256=SHA256)


@pytest.mark.parametrize("note", ["", "[]", '{"url": 3}', '{"url": "http://x", "validator": "", "total": null}'])
def test_a_damaged_note_of_a_part_starts_anew(tmp_path: Path, note: str) -> None:
    (tmp_path / "a.pt.part").write_bytes(b"whatever")
    (tmp_path / "a.pt.part.json").write_text(note)
    with LocalServer(whole) as server:
        assert download(server.url, tmp_path / "a.pt").read_bytes() == CONTENT


@pytest.mark.parametrize(
    "answer",
    [
        lambda request: respond(request, status=416),
        lambda request: respond(request, CONTENT[5:], 206, Content_Range=f"bytes 5-{len(CONTENT) - 1}/{len(CONTENT)}"),
        lambda request: respond(request, CONTENT[300_000:], 206, Content_Range="bytes */*"),
    ],
)
def test_a_part_that_the_server_does_not_continue_starts_anew(
    tmp_path: Path, answer: Callable[[BaseHTTPRequestHandler], None]
) -> None:
    with LocalServer(in_turn(cut_at(300_000), answer, whole)) as server:
        assert download(server.url, tmp_path / "a.pt").read_bytes() == CONTENT
    assert asked(server)[2] == (None, None)


def test_a_wrong_checksum_leaves_nothing(tmp_path: Path) -> None:
    with (
        LocalServer(lambda request: respond(request, b"something else")) as server,
        pytest.raises(FetchError, match=r"SHA-256 is f41f3fa6.*\.\.\., not 062af9cc.*\.\.\.; it was deleted"),
    ):
        download(server.url, tmp_path / "a.pt", sha256=SHA256)
    assert list(tmp_path.iterdir()) == []


def test_a_busy_server_is_asked_again_and_a_missing_file_is_not(tmp_path: Path) -> None:
    with LocalServer(in_turn(busy, whole)) as server:
        assert download(server.url, tmp_path / "a.pt").read_bytes() == CONTENT
    with LocalServer(lambda request: respond(request, status=404)) as server:
        with pytest.raises(FetchError, match="the server answers 404 Not Found; check the address"):
            download(server.url, tmp_path / "b.pt")
        assert len(server.requests) == 1


def test_a_silent_server_is_given_up_after_the_timeout(tmp_path: Path) -> None:
    release = threading.Event()
    with LocalServer(lambda request: (release.wait(10), None)[1]) as server:
        with pytest.raises(FetchError, match="no answer in time"):
            download(server.url, tmp_path / "a.pt", timeout_seconds=0.1, attempts=1)
        release.set()


def chunked(*chunks: bytes) -> Callable[[BaseHTTPRequestHandler], None]:
    def answer(request: BaseHTTPRequestHandler) -> None:
        request.protocol_version = "HTTP/1.1"
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        for chunk in chunks:
            request.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))

    return answer


def test_a_body_without_length_is_checked_for_its_end(tmp_path: Path) -> None:
    with LocalServer(in_turn(chunked(b"half"), chunked(b"half", b"and half", b""))) as server:
        assert download(server.url, tmp_path / "a.pt").read_bytes() == b"halfand half"
    assert len(server.requests) == 2


def test_a_compressed_body_is_refused(tmp_path: Path) -> None:
    with (
        LocalServer(lambda request: respond(request, b"\x1f\x8b", Content_Encoding="gzip")) as server,
        pytest.raises(FetchError, match=r"sends it compressed \(gzip\), unasked"),
    ):
        download(server.url, tmp_path / "a.pt")


def test_redirects_are_followed_to_http_only_and_not_in_circles(tmp_path: Path) -> None:
    targets = {"/a": "/b", "/circle": "/circle", "/file": "file:///etc/passwd", "/ftp": "ftp://127.0.0.1/x"}

    def answer(request: BaseHTTPRequestHandler) -> None:
        if target := targets.get(request.path):
            respond(request, status=302, Location=target)
        else:
            whole(request)

    with LocalServer(answer) as server:
        assert download(f"{server.url}/a", tmp_path / "a.pt").read_bytes() == CONTENT
        for path in ("/circle", "/file", "/ftp"):
            with pytest.raises(FetchError, match=r"the server answers 302 .*[; ]check the address.$"):
                download(server.url + path, tmp_path / "b.pt")


def test_an_unreachable_server_is_told_at_once_and_secrets_are_not(tmp_path: Path) -> None:
    start = time.monotonic()
    with pytest.raises(FetchError) as caught:
        download("http://127.0.0.1:9/a.pt?token=secret#x", tmp_path / "a.pt")
    message = "http://127.0.0.1:9/a.pt: the server cannot be reached (Connection refused); check the network."
    assert str(caught.value) == message
    assert time.monotonic() - start < 5  # five tries would wait for 7.5 s between them


@pytest.mark.parametrize("url", ["file:///etc/passwd", "ftp://127.0.0.1/a", "http:///a", "http://user:pw@127.0.0.1/a"])
def test_addresses_that_are_no_plain_http_are_refused(tmp_path: Path, url: str) -> None:
    with pytest.raises(FetchError, match=r"fetched|names no host"):
        download(url, tmp_path / "a.pt")


def test_proxies_of_the_environment_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with LocalServer(whole) as proxy:
        monkeypatch.setenv("http_proxy", proxy.url)
        assert download("http://weights.test/a.pt", tmp_path / "a.pt").read_bytes() == CONTENT
    assert proxy.requests[0].path == "http://weights.test/a.pt"


@contextmanager
def a_small_disk(size: int) -> Iterator[None]:
    """No file may become larger, which the system reports as it reports a full disk: by failing the write."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    previous = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, previous)


def test_a_full_disk_is_told_and_the_download_goes_on_later(tmp_path: Path) -> None:
    with LocalServer(ranged) as server:
        with (
            a_small_disk(300_000),
            pytest.raises(FetchError, match=r"cannot write .*a\.pt \(File too large\); free space"),
        ):
            download(server.url, tmp_path / "a.pt")
        assert download(server.url, tmp_path / "a.pt", sha256=SHA256)
    assert asked(server)[1][0] is not None
    with (
        LocalServer(whole) as server,
        pytest.raises(FetchError, match=r"cannot write .* \(No such file or directory\)"),
    ):
        download(server.url, tmp_path / "nowhere" / "a.pt")


_DOWNLOAD = (
    "import sys; from diptych.fetch import download; download(sys.argv[1], __import__('pathlib').Path(sys.argv[2]))"
)


def _start(url: str, path: Path) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", _DOWNLOAD, url, str(path)])


def test_a_killed_process_leaves_what_the_next_one_resumes(tmp_path: Path) -> None:
    killed = threading.Event()

    def half(request: BaseHTTPRequestHandler) -> None:
        respond(request, CONTENT[:500_000], Content_Length=str(len(CONTENT)), ETag='"v1"')
        killed.wait(20)

    with LocalServer(in_turn(half, ranged)) as server:
        with _start(server.url, tmp_path / "a.pt") as process:
            part = tmp_path / "a.pt.part"
            while not (part.exists() and part.stat().st_size == 500_000):
                assert process.poll() is None
                time.sleep(0.01)
            process.kill()
        killed.set()
        assert download(server.url, tmp_path / "a.pt").read_bytes() == CONTENT
    assert asked(server)[1] == ("bytes=500000-", '"v1"')
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]


def test_of_two_processes_one_downloads_and_both_have_the_file(tmp_path: Path) -> None:
    both_started = threading.Event()

    def wait(request: BaseHTTPRequestHandler) -> None:
        both_started.wait(20)
        time.sleep(0.1)
        whole(request)

    with LocalServer(wait) as server:
        processes = [_start(server.url, tmp_path / "a.pt") for _ in range(2)]
        while not server.requests:
            time.sleep(0.01)
        both_started.set()
        assert [process.wait(60) for process in processes] == [0, 0]
    assert len(server.requests) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["a.pt"]
    assert (tmp_path / "a.pt").read_bytes() == CONTENT
