"""`download`: a file from an address that we publish, resumed, checked, and put in place whole."""

import errno
import hashlib
import http.client
import json
import os
import socket
import ssl
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from pathlib import Path
from typing import IO
from urllib.error import HTTPError, URLError

from diptych.errors import FetchError
from diptych.fetch.exchange import (
    HEADERS,
    Fault,
    bad_certificate,
    blocks,
    check_encoding,
    check_redirect,
    parse_url,
    reason,
    shown,
)

OnProgress = Callable[[int, int | None], None]

_WORTH_ANOTHER_TRY = {408, 425, 429, 500, 502, 503, 504}
_UNREACHABLE = {errno.ECONNREFUSED, errno.ENETUNREACH, errno.EHOSTUNREACH}


class _Interrupted(Fault):
    """A fault that may be gone on another try."""


def download(
    url: str,
    path: Path,
    *,
    sha256: str | None = None,
    timeout_seconds: float = 30.0,
    attempts: int = 5,
    on_progress: OnProgress | None = None,
) -> Path:
    """Download a trusted `url` to `path`, unless the file is there already, and return `path`.

    What has arrived stays in `path`.part, and a later call goes on from there if the server still has the same file.
    A broken connection is tried again, up to `attempts` times in a row that bring nothing. Of several processes that
    want the same file one downloads and the others wait. `sha256` is the checksum in hexadecimal, or its first digits
    (a file that is there and does not match is replaced); `timeout_seconds` is how long the server may be silent;
    `on_progress` is told the bytes had and in all (None if unknown). Proxies are taken from the environment.
    Raises FetchError.
    """
    part = path.with_name(path.name + ".part")
    try:
        parse_url(url)
        with _alone(path.with_name(path.name + ".lock")):
            if path.is_file() and (sha256 is None or _digest(path).startswith(sha256.lower())):
                return path
            _complete(url, part, timeout_seconds, attempts, on_progress)
            if sha256 is not None and not (digest := _digest(part)).startswith(sha256.lower()):
                _discard(part)
                raise Fault(f"the file's SHA-256 is {digest[:16]}..., not {sha256[:16]}...; it was deleted, try again.")
            with part.open("rb+") as file:
                os.fsync(file.fileno())
            part.replace(path)
            _note(part).unlink(missing_ok=True)
            return path
    except Fault as fault:
        raise FetchError(f"{shown(url)}: {fault}") from fault
    except OSError as error:  # of the disk: the network's are all caught below
        why = error.strerror or str(error)
        raise FetchError(f"{shown(url)}: cannot write {path} ({why}); free space or use another folder.") from error


def _complete(url: str, part: Path, timeout: float, attempts: int, on_progress: OnProgress | None) -> None:
    failures = 0
    while True:
        before = _size(part)
        try:
            return _attempt(url, part, timeout, on_progress)
        except _Interrupted as fault:
            failures = 0 if _size(part) > before else failures + 1
            if failures == attempts:
                raise Fault(f"{fault} ({attempts} tries); try again later, and it goes on from here.") from fault
        if failures:
            time.sleep(min(0.25 * 2**failures, 8))


def _attempt(url: str, part: Path, timeout: float, on_progress: OnProgress | None) -> None:
    """Bring `part` from what it holds to the whole file, in one request."""
    had, total, validator = _resumable(url, part)
    if had == total:
        return
    resume = {"Range": f"bytes={had}-", "If-Range": validator} if had else {}
    with _open(urllib.request.Request(url, headers=HEADERS | resume), timeout, part) as response:
        start, total = _extent(response, had, total, part)
        if start == 0:
            part.unlink(missing_ok=True)
            _write_note(url, part, total, response)
        with part.open("rb+" if start else "wb", buffering=0) as file:
            file.seek(start)
            for block in _unbroken(blocks(response)):
                file.write(block)
                if on_progress is not None:
                    on_progress(file.tell(), total)


def _open(request: urllib.request.Request, timeout: float, part: Path) -> http.client.HTTPResponse:
    try:
        response = _opener().open(request, timeout=timeout)
    except HTTPError as error:
        error.close()
        raise _refusal(error, part) from error
    except (OSError, http.client.HTTPException) as error:
        cause = error.reason if isinstance(error, URLError) else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            raise bad_certificate(cause) from error
        is_unreachable = isinstance(cause, socket.gaierror | TimeoutError) or _errno(cause) in _UNREACHABLE
        if is_unreachable and not request.has_header("Range"):
            raise Fault(f"the server cannot be reached ({reason(cause)}); check the network.") from error
        raise _Interrupted(f"the connection broke ({reason(cause)})") from error
    assert isinstance(response, http.client.HTTPResponse)
    return response


def _refusal(error: HTTPError, part: Path) -> Fault:
    if error.code == 416:  # what we have is not the beginning of what the server has now
        _discard(part)
    answer = f"the server answers {error.code} {reason(error.reason)}"
    if error.code in _WORTH_ANOTHER_TRY or error.code == 416:
        return _Interrupted(answer)
    return Fault(f"{answer}; check the address.")


def _errno(cause: object) -> int | None:
    return cause.errno if isinstance(cause, OSError) else None


class _Redirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(
        self, req: urllib.request.Request, fp: IO[bytes], code: int, msg: str, headers: Message, newurl: str
    ) -> urllib.request.Request | None:
        check_redirect(req.full_url, newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)  # type: ignore[arg-type]


def _opener() -> urllib.request.OpenerDirector:
    """Http and https only: urllib's own opener also reads file: and ftp:, which a redirect could name."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.HTTPErrorProcessor(),
        _Redirects(),
    ):
        opener.add_handler(handler)
    return opener


def _extent(response: http.client.HTTPResponse, had: int, total: int | None, part: Path) -> tuple[int, int | None]:
    """Where the body of a response starts in the file, and the length of the file."""
    check_encoding(response)
    if response.status == 200:
        return 0, response.length
    if response.status != 206 or response.getheader("Content-Range") != f"bytes {had}-{(total or 0) - 1}/{total}":
        _discard(part)
        raise _Interrupted(f"the server answers {response.status} with another part than was asked for")
    return had, total


def _unbroken(body: Iterator[bytes]) -> Iterator[bytes]:
    """The blocks of a body, with the network's errors told apart from the disk's."""
    try:
        yield from body
    except (OSError, http.client.HTTPException) as error:
        raise _Interrupted(f"the connection broke ({reason(error)})") from error


# ---- what is on disk: the file's beginning in .part, and beside it a note of what it is the beginning of


def _resumable(url: str, part: Path) -> tuple[int, int | None, str]:
    """Bytes of `part` to go on from, the length of the whole file, and what the server knows that file by."""
    with suppress(OSError, ValueError, KeyError, TypeError):
        note = json.loads(_note(part).read_text(encoding="utf-8"))
        had, total, validator = _size(part), int(note["total"]), str(note["validator"])
        if note["url"] == url and validator and 0 < had <= total:
            return had, total, validator
    return 0, None, ""


def _write_note(url: str, part: Path, total: int | None, response: http.client.HTTPResponse) -> None:
    etag = response.getheader("ETag") or ""
    # A weak ETag does not promise the same bytes.
    validator = etag if etag and not etag.startswith("W/") else response.getheader("Last-Modified") or ""
    _note(part).write_text(json.dumps({"url": url, "validator": validator, "total": total}), encoding="utf-8")


def _note(part: Path) -> Path:
    return part.with_name(part.name + ".json")


def _discard(part: Path) -> None:
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else 0


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def _alone(lock: Path) -> Iterator[None]:
    """Hold a lock between processes; the system drops it when its holder dies."""
    while True:
        with lock.open("ab") as file:
            _wait_for(file.fileno())
            # Who held it before may have deleted the file on leaving: then this is a lock on nothing.
            if not _is_open_at(file, lock):
                continue
            try:
                yield
            finally:
                with suppress(PermissionError):  # Windows keeps a file that is open
                    lock.unlink()
            return


def _is_open_at(file: IO[bytes], path: Path) -> bool:
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(file.fileno()), path.stat())
    return False


if sys.platform == "win32":
    import msvcrt

    def _wait_for(descriptor: int) -> None:
        while True:
            with suppress(OSError):  # it gives up after ten seconds
                return msvcrt.locking(descriptor, msvcrt.LK_LOCK, 1)
else:
    import fcntl

    def _wait_for(descriptor: int) -> None:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
