"""Requests that nobody of good will sends: made from the OpenAPI by schemathesis, and with damaged pictures."""

import base64
import io
import random
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import hypothesis
import pillow_heif
import requests
import schemathesis
from hypothesis import HealthCheck, Phase
from PIL import Image
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import content_type_conformance, response_schema_conformance

_BUSY_LIBRARY = "urn:diptych:problem:library-busy"


def _is_no_failure(context: Any, response: schemathesis.Response, case: schemathesis.Case[Any]) -> bool | None:  # noqa: ANN401
    """A library that is still being written to after two seconds is a slow machine's: a request here may index."""
    if response.status_code == 503 and response.json()["type"] == _BUSY_LIBRARY:
        return None
    return not_a_server_error(context, response, case)


_CHECKS = [_is_no_failure, content_type_conformance, response_schema_conformance]
_SIZE = (160, 120)
_AT_ONCE = 4
_MARKS = (
    b"\xff\xd8\xff",
    b"\x89PNG\r\n\x1a\n",
    b"RIFF",
    b"GIF89a",
    b"II*\0",
    b"MM\0*",
    b"BM",
    b"ftypheic",
    b"ftypavif",
)
_LENGTHS = (b"\0\0\0\0", b"\xff\xff\xff\xff", b"\x7f\xff\xff\xff", b"\0\0\0\1", b"\x80\0\0\0")


class Fuzzer:
    """Sends such requests to a server, counts the statuses of its answers, and keeps what it should not have said."""

    def __init__(self, url: str, photographs: Sequence[Path], *, seed: int) -> None:
        self.statuses: Counter[int] = Counter()
        self.faults: list[str] = []
        self._url, self._random = url, random.Random(seed)
        self._schema = schemathesis.openapi.from_url(f"{url}/openapi.json")
        self._files = [data for photo in photographs for data in in_every_format(photo)]
        self._lock = threading.Lock()

    def send_some_of_all(self, count: int, ids: Sequence[int]) -> None:
        """About so many requests of each kind together."""
        self.send_generated(3 * count // 10)
        self.send_for_photos(2 * count // 10, ids)
        self.send_pictures(count - count // 2)

    @property
    def sent(self) -> int:
        """Requests so far."""
        return self.statuses.total()

    def send_generated(self, count: int) -> None:
        """About as many requests as the OpenAPI has it, valid ones and others."""
        operations = [found.ok() for found in self._schema.get_all_operations() if isinstance(found, Ok)]
        each = count // (2 * len(operations))
        with requests.Session() as session:
            session.trust_env = False
            session.hooks["response"].append(lambda response, **_: self._note(response.status_code))
            for operation in operations:
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                    self._send_cases(operation, mode, each, session)

    def _send_cases(self, operation: Any, mode: GenerationMode, count: int, session: requests.Session) -> None:  # noqa: ANN401
        @hypothesis.seed(self._random.getrandbits(32))
        @hypothesis.settings(
            max_examples=max(1, count),
            deadline=None,
            database=None,
            phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
        def send(case: schemathesis.Case[Any]) -> None:
            case.call_and_validate(session=session, checks=_CHECKS, timeout=60)

        try:
            send()
        except hypothesis.errors.Unsatisfiable:  # where nothing is asked for, nothing can be asked for wrongly
            return
        except (Exception, schemathesis.errors.FailureGroup) as error:  # noqa: BLE001 (whatever the checks raise; a group is no Exception)
            self.faults.append(f"{operation.label}: {_told(error)}")

    def send_pictures(self, count: int) -> None:
        """Requests with damaged pictures, some of them with whole ones beside."""
        plans = [self._random.getrandbits(64) for _ in range(count)]
        with httpx.Client(base_url=self._url, timeout=60, trust_env=False) as client:
            self._send_all(lambda plan: self._send_picture(client, random.Random(plan)), plans)

    def send_for_photos(self, count: int, ids: Sequence[int]) -> None:
        """Requests for photos that there are, with odd ranges, sides and tags."""
        plans = [self._random.getrandbits(64) for _ in range(count)]
        with httpx.Client(base_url=self._url, timeout=60, trust_env=False) as client:
            self._send_all(lambda plan: self._send_for_photo(client, random.Random(plan), ids), plans)

    def _send_all(self, send: Callable[[int], None], plans: Sequence[int]) -> None:
        with ThreadPoolExecutor(_AT_ONCE) as threads:
            for done in [threads.submit(send, plan) for plan in plans]:
                try:
                    done.result()
                except httpx.HTTPError as error:  # it did not answer
                    self.faults.append(f"{type(error).__name__}: {error}")

    def _send_picture(self, client: httpx.Client, chance: random.Random) -> None:
        pictures = [damaged(chance, self._files) for _ in range(chance.choice((1, 1, 1, 2, 4)))]
        if chance.random() < 0.2:
            pictures.append(chance.choice(self._files))
        files = [("image", (f"{i}.jpg", data, chance.choice(_TYPES))) for i, data in enumerate(pictures)]
        match chance.randrange(4):
            case 0:
                items = [{"image": base64.b64encode(data).decode()} for data in pictures]
                answer = client.post("/v1/embeddings", json={"input": items})
            case 1:
                answer = client.post("/v1/search", files=files, data={"query": "a cat", "top": "3"})
            case 2:
                answer = client.post("/v1/similarity", files=files, data={"texts": ["a cat", "a dog"]})
            case _:
                answer = client.post("/v1/classify", files=files, data={"labels": ["cat", "dog"]})
                self._check_classified(answer, len(pictures))
        self._check(answer, allowed=(200, 422))

    def _check_classified(self, answer: httpx.Response, count: int) -> None:
        results = answer.json().get("results", [])
        if len(results) != count or not all(("labels" in each) != ("error" in each) for each in results):
            self.faults.append(f"{count} pictures classified: {answer.text[:500]}")

    def _send_for_photo(self, client: httpx.Client, chance: random.Random, ids: Sequence[int]) -> None:
        operation = self._schema[f"/v1/photos/{{id}}/{chance.choice(('thumbnail', 'original'))}"]["GET"]
        case = operation.Case(path_parameters={"id": chance.choice(ids)})
        number = chance.choice(("", "0", "1", "-1", "99999999999999999999", "500", "5,7-9", "a", "1-0", "0-0,0-0"))
        headers = {
            "Range": f"{chance.choice(('bytes', 'Bytes', 'lines', ''))}={number}-{chance.choice(('', '9', 'x'))}"
        }
        if chance.random() < 0.3:
            headers["If-Range"] = chance.choice(('"x"', "*", "W/x", "Thu, 01 Jan 1970 00:00:00 GMT", "\x7f"))
        if chance.random() < 0.3:
            headers["If-None-Match"] = chance.choice(
                ('"x"', "*", "W/x", client.get(case.formatted_path).headers["etag"])
            )
        side = chance.choice(("256", "512", "0", "-1", "256.0", "1e3", "9" * 30))
        answer = client.get(case.formatted_path, params={"side": side}, headers=headers)
        self._note(answer.status_code)
        try:
            case.validate_response(answer, checks=_CHECKS)
        except schemathesis.errors.FailureGroup as failures:
            self.faults.append(f"{answer.request.url} with {headers}: {_told(failures)}")

    def _check(self, answer: httpx.Response, *, allowed: Sequence[int]) -> None:
        self._note(answer.status_code)
        is_problem = answer.headers.get("content-type") == "application/problem+json"
        if answer.status_code not in allowed or is_problem != (answer.status_code >= 400):
            self.faults.append(f"{answer.request.url}: {answer.status_code}: {answer.text[:500]}")

    def _note(self, status: int) -> None:
        with self._lock:
            self.statuses[status] += 1


def _told(error: BaseException) -> str:
    """What went wrong, of a group what went wrong in it."""
    return "; ".join(map(_told, error.exceptions)) if isinstance(error, BaseExceptionGroup) else str(error)


_TYPES = ("image/jpeg", "image/png", "text/html", "application/x-sh", "", "image/svg+xml")


def in_every_format(photo: Path) -> Iterator[bytes]:
    """A small copy of a photograph as a file of each format that is read."""
    with Image.open(photo) as opened:
        image = opened.convert("RGB").resize(_SIZE)
    for name, options in _FORMATS:
        file = io.BytesIO()
        image.save(file, name, **options)
        yield file.getvalue()
    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file)
    yield file.getvalue()


_FORMATS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("JPEG", {}),
    ("JPEG", {"progressive": True, "exif": b"Exif\0\0II*\0\x08\0\0\0\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"}),
    ("PNG", {}),
    ("WEBP", {}),
    ("WEBP", {"lossless": True}),
    ("GIF", {"save_all": True}),
    ("TIFF", {}),
    ("TIFF", {"compression": "tiff_lzw"}),
    ("BMP", {}),
    ("AVIF", {}),
)


def damaged(chance: random.Random, files: Sequence[bytes]) -> bytes:
    """One of the files with one to three things done to it."""
    data = bytearray(chance.choice(files))
    for _ in range(chance.randint(1, 3)):
        if not data:
            break
        place = min(len(data) - 1, int(len(data) * chance.random() ** 3))  # most of what matters stands at the start
        match chance.randrange(7):
            case 0:
                for _ in range(chance.randint(1, 20)):
                    at = min(len(data) - 1, int(len(data) * chance.random() ** 2))
                    data[at] ^= 1 << chance.randrange(8)
            case 1:
                del data[place + 1 :]
            case 2:
                data = data[:place] + chance.choice(files)[place:]  # the head of one, the body of another
            case 3:
                data[place : place + 4] = chance.choice(_LENGTHS)
            case 4:
                data[place:place] = chance.randbytes(chance.randint(1, 40))
            case 5:
                mark = chance.choice(_MARKS)
                data[: len(mark)] = mark
            case _:
                data[place : place + chance.randint(1, 200)] = b""
    return bytes(data)
