"""The log: a line of JSON for each request, which says nothing of what was asked, sent or found."""

import asyncio
import base64
import json
import re
import sqlite3
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from diptych.errors import DiptychError, ImageError
from diptych.library.walk import LIBRARY_FILE
from diptych.serve import problems
from diptych.serve.logs import RequestLog
from diptych.serve.metrics import Metrics
from serve_command import ServeCommand
from served_photos import index, photograph, write_holiday

Sent = dict[str, Any]
Cases = list[tuple[int, Sent]]  # the status that something sent is answered with
SECRET = "xyzzysecret"
KEY = f"a-key-{SECRET}-0123"
PICTURE = photograph("chelsea")
PICTURE_TEXT = base64.b64encode(PICTURE).decode()


def ask(client: httpx.Client, served: ServeCommand, method: str, path: str, **request: object) -> dict[str, object]:
    """The line of a request, once it is written."""
    answer = client.request(method, path, **request)  # type: ignore[arg-type]
    line = served.wait_for(f'"event":"request".*{re.escape(answer.headers["x-request-id"])}').string
    found: dict[str, object] = json.loads(line)
    return found


def test_each_request_is_one_line(client: httpx.Client, served: ServeCommand) -> None:
    line = ask(
        client,
        served,
        "POST",
        "/v1/embeddings",
        content=b'{"input": "a dog"}',
        headers={"Content-Type": "application/json"},
    )
    known = {"event": "request", "method": "POST", "route": "/v1/embeddings", "status": 200, "bytes_in": 18}
    assert {key: line[key] for key in known} == known
    assert set(line) == {*known, "time", "ms", "bytes_out", "id"}
    assert datetime.fromisoformat(str(line["time"])).utcoffset() is not None
    assert isinstance(line["ms"], float)
    assert isinstance(line["bytes_out"], int)
    assert line["bytes_out"] > 1_000


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("GET", "/v1/photos/17/thumbnail?side=256", "/v1/photos/{photo}/thumbnail"),
        ("GET", f"/v1/models/{SECRET}", "/v1/models/{model:path}"),
        ("GET", f"/{SECRET}?q={SECRET}", "none"),
        ("GET", f"/web/{SECRET}.js", "/web"),
        ("POST", f"/healthz?q={SECRET}", "/healthz"),
    ],
)
def test_routes_are_logged_by_their_patterns(
    client: httpx.Client, served: ServeCommand, method: str, path: str, route: str
) -> None:
    logged = str(ask(client, served, method, path)["route"])
    assert re.sub(r"{\w+", "{", logged) == re.sub(r"{\w+", "{", route)


def test_a_request_that_a_guard_refuses_is_logged_with_its_route(client: httpx.Client, served: ServeCommand) -> None:
    line = ask(client, served, "GET", f"/v1/models/{SECRET}", headers={"Host": "evil.example"})
    assert (line["status"], line["route"]) == (403, "/v1/models/{model:path}")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a library in it."""
    place = tmp_path_factory.mktemp("logged")
    index(place / "library", write_holiday(place / "holiday"))
    return place


@pytest.fixture(scope="module")
def watched(place: Path) -> Iterator[ServeCommand]:
    """A server of that library, whose key is a secret too."""
    with ServeCommand("--library", place / "library", "--api-key", "env:KEYS", env={"KEYS": KEY}) as server:
        yield server


@pytest.fixture(scope="module")
def knocker(watched: ServeCommand) -> Iterator[httpx.Client]:
    """Requests to it, each with secrets in its headers and after its address."""
    headers = {"X-API-Key": KEY, "User-Agent": SECRET, "Referer": SECRET, "Cookie": f"a={SECRET}"}
    with httpx.Client(
        base_url=watched.url, headers=headers, params={SECRET: SECRET}, timeout=60, trust_env=False
    ) as client:
        yield client


def form(*, image: bytes = PICTURE, **data: object) -> Sent:
    return {"files": {"image": (f"{SECRET}.png", image)}, "data": data}


LABELS: Sent = {"labels": [SECRET, "a dog"], "templates": [f"{SECRET} {{}}"]}
EMBEDDINGS: Cases = [
    (200, {"json": {"input": SECRET}}),
    (200, {"json": {"input": [{"image": PICTURE_TEXT}]}}),
    (200, {"json": {"input": f"{SECRET} " * 150, "truncate": True}}),
    (422, {"json": {"input": f"{SECRET} " * 150}}),
    (422, {"json": {SECRET: 1}}),
    (422, {"json": {"input": [f"data:image/png;base64,{SECRET}"]}}),
    (404, {"json": {"input": SECRET, "model": SECRET}}),
    (422, {"content": SECRET, "headers": {"Content-Type": "application/json"}}),
]
SEARCH: Cases = [
    (200, {"json": {"query": f"{SECRET} - a {SECRET}"}}),
    (200, {"json": {"query": "a cat", "filters": {"camera": SECRET}}}),
    (200, form(query=SECRET)),
    (422, {"json": {"query": f"img:{SECRET}"}}),
    (422, {"json": {"query": f"photo:{SECRET}"}}),
    (422, {"json": {"query": "a cat", "filters": {"root": SECRET}}}),
    (422, {"json": {"query": "a cat", "filters": {"since": SECRET}}}),
    (422, {"json": {"query": SECRET * 200}}),
    (422, form(image=SECRET.encode(), query=SECRET)),
]
SIMILAR: Cases = [
    (200, {"json": {"image": f"data:image/png;base64,{PICTURE_TEXT}"}}),
    (200, form()),
    (422, {"json": {"image": SECRET}}),
    (422, {"json": {"photo": SECRET}}),
    (422, form(image=PICTURE[:200])),
]
CLASSIFY: Cases = [
    (200, form(**LABELS)),
    (200, form(image=SECRET.encode(), **LABELS)),  # with an error of its own
    (200, {"json": {**LABELS, "images": [PICTURE_TEXT, SECRET]}}),
    (422, form(labels=[SECRET, SECRET])),
    (422, form(labels=[SECRET], templates=SECRET)),
    (422, form(**LABELS, top=SECRET)),
    (422, {"json": {**LABELS, "images": [PICTURE_TEXT], "threshold": SECRET}}),
    (422, {"files": {SECRET: PICTURE}, "data": LABELS}),
    (404, form(label_set=SECRET)),
    (415, {"content": SECRET, "headers": {"Content-Type": f"text/{SECRET}"}}),
]
LABEL_SETS: Cases = [
    (201, {"json": {"name": SECRET, **LABELS}}),
    (409, {"json": {"name": SECRET, **LABELS}}),
    (422, {"json": {"name": f"{SECRET}/", **LABELS}}),
    (422, {"json": {"name": SECRET, "labels": [SECRET, SECRET]}}),
    (422, {"json": {"name": SECRET, "labels": [SECRET], "templates": SECRET}}),
]
SIMILARITY: Cases = [
    (200, form(texts=[SECRET, "a dog"])),
    (200, {"json": {"images": [PICTURE_TEXT, SECRET], "texts": [SECRET]}}),
    (422, form(texts=f"{SECRET} " * 150)),
    (422, {"json": {"images": [PICTURE_TEXT], "texts": [SECRET * 200]}}),
]
LOGIN: Cases = [(303, {"data": {"key": KEY}}), (401, {"data": {"key": f"another-{KEY}"}})]
BY_PATH: dict[str, Cases] = {
    "/v1/embeddings": EMBEDDINGS,
    "/v1/search": SEARCH,
    "/v1/similar": SIMILAR,
    "/v1/classify": CLASSIFY,
    "/v1/label-sets": LABEL_SETS,
    "/v1/similarity": SIMILARITY,
    "/login": LOGIN,
}


@pytest.mark.parametrize("path", BY_PATH)
def test_nothing_of_a_request_is_ever_logged(path: str, knocker: httpx.Client, watched: ServeCommand) -> None:
    for status, request in BY_PATH[path]:
        line = ask(knocker, watched, "POST", path, **request)
        assert (line["route"], line["status"]) == (path, status), request
        tells_nothing(watched.stderr)


def tells_nothing(lines: Sequence[str]) -> None:
    """Asserts that none of the lines has a word, a picture or a key of the requests."""
    said = "\n".join(lines)
    assert SECRET not in said
    assert not any(PICTURE_TEXT[start : start + 24] in said for start in range(0, len(PICTURE_TEXT), 24))


@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_names_within_addresses_are_not_logged(method: str, knocker: httpx.Client, watched: ServeCommand) -> None:
    knocker.post("/v1/label-sets", json={"name": SECRET, **LABELS})
    for status in (200, 200) if method == "GET" else (204, 404):
        line = ask(knocker, watched, method, f"/v1/label-sets/{SECRET}")
        assert (line["route"], line["status"]) == ("/v1/label-sets/{name}", status)
    tells_nothing(watched.stderr)


def test_wrong_keys_are_not_logged(knocker: httpx.Client, watched: ServeCommand) -> None:
    for headers in ({"X-API-Key": f"no-{SECRET}"}, {"Authorization": f"Bearer {SECRET}"}):
        assert ask(knocker, watched, "GET", "/v1/models", headers=headers)["status"] == 401
    tells_nothing(watched.stderr)


def test_a_failure_logs_nothing_of_the_request_and_the_library_that_it_is_about(
    knocker: httpx.Client, watched: ServeCommand, place: Path
) -> None:
    name = f"broken {SECRET}"
    assert knocker.post("/v1/label-sets", json={"name": name, **LABELS}).status_code == 201
    with closing(sqlite3.connect(place / "library" / LIBRARY_FILE)) as database, database:
        database.execute("UPDATE label_sets SET content = ? WHERE name = ?", (f'{{"labels": {SECRET}', name))
    line = ask(knocker, watched, "POST", "/v1/classify", **form(label_set=name))
    assert line["status"] == 500
    (failure,) = [each for each in watched.logs() if each.get("id") == line["id"] and each["event"] == "failure"]
    assert failure["error"] == "JSONDecodeError"
    tells_nothing(watched.stderr)


def test_a_request_keeps_an_id_that_is_plain(client: httpx.Client) -> None:
    assert client.get("/healthz", headers={"X-Request-Id": "trace-1.a_B"}).headers["x-request-id"] == "trace-1.a_B"
    for id_ in ("a b", "x" * 65, '"}', ""):
        assert re.fullmatch(
            r"[0-9a-f]{16}", client.get("/healthz", headers={"X-Request-Id": id_}).headers["x-request-id"]
        )


def failed(error: Exception) -> httpx.Response:
    """The answer of an app whose route raises this, from a KeyError."""
    app = FastAPI()
    problems.install(app, ())

    @app.get("/fail")
    async def fail() -> None:
        raise error from KeyError(SECRET)

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app=RequestLog(app, Metrics(), []))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/fail")

    return asyncio.run(get())


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError(SECRET), 500), (DiptychError(SECRET), 500), (ImageError(SECRET), 500), (MemoryError(SECRET), 503)],
)
def test_an_error_that_is_not_about_the_request_is_logged_and_not_told(
    error: Exception, status: int, capsys: pytest.CaptureFixture[str]
) -> None:
    response = failed(error)
    assert response.status_code == status
    failure = json.loads(capsys.readouterr().err.splitlines()[0])
    assert (failure["event"], failure["error"]) == ("failure", type(error).__name__)
    assert SECRET not in f"{response.text} {failure}"


def test_a_failure_of_the_servers_own_is_told_by_its_place_and_not_by_its_words(
    capsys: pytest.CaptureFixture[str],
) -> None:
    response = failed(RuntimeError(f"about {SECRET}"))
    assert (response.status_code, response.headers["content-type"]) == (500, "application/problem+json")
    failure, request = map(json.loads, capsys.readouterr().err.splitlines())
    assert (failure["event"], failure["error"], failure["cause"]["error"]) == ("failure", "RuntimeError", "KeyError")
    assert re.fullmatch(r".*test_logs\.py:\d+ fail", failure["frames"][-1])
    assert failure["id"] == request["id"] == response.headers["x-request-id"]
    assert (request["status"], request["route"]) == (500, "/fail")
    assert SECRET not in json.dumps(failure) + response.text


def test_an_application_that_fails_before_it_answers_is_answered_for(capsys: pytest.CaptureFixture[str]) -> None:
    async def fail(scope: Scope, receive: Receive, send: Send) -> None:
        raise RuntimeError(SECRET)

    async def get() -> httpx.Response:
        transport = httpx.ASGITransport(app=RequestLog(fail, Metrics(), []))
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            return await client.get("/x")

    assert asyncio.run(get()).json()["type"] == "urn:diptych:problem:failed"
    assert SECRET not in capsys.readouterr().err


def test_what_the_parts_below_say_is_told_in_lines_of_json_without_values() -> None:
    script = f"""
import asyncio, logging, warnings
from diptych.serve import logs
logs.install()
async def fail():
    raise ValueError("{SECRET}")
async def main():
    asyncio.get_running_loop().create_task(fail())
    await asyncio.sleep(0)
    logging.getLogger("uvicorn.error").warning("{SECRET}")
    logging.getLogger("uvicorn.error").error("It failed.\\n{SECRET}")
    warnings.warn("{SECRET}")
asyncio.run(main())
"""
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, encoding="utf-8", timeout=120, check=True
    )
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    told = {(line["event"], line.get("detail") or line.get("kind")) for line in lines}
    assert told == {
        ("error", "It failed."),
        ("error", "Task exception was never retrieved"),
        ("warning", "UserWarning"),
    }
    assert SECRET not in done.stderr
    assert [line["error"] for line in lines if "error" in line] == ["ValueError"]
