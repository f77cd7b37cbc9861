"""The log: a line of JSON for each request, which says nothing of what was asked, sent or found."""

import asyncio
import json
import re
import subprocess
import sys
from datetime import datetime

import httpx
import pytest
from fastapi import FastAPI
from starlette.types import Receive, Scope, Send

from diptych.errors import DiptychError, ImageError
from diptych.serve import problems
from diptych.serve.logs import RequestLog
from diptych.serve.metrics import Metrics
from serve_command import ServeCommand

SECRET = "xyzzysecret"


def ask(client: httpx.Client, served: ServeCommand, method: str, path: str, **request: object) -> dict[str, object]:
    """The line of a request, once it is written."""
    answer = client.request(method, path, **request)  # type: ignore[arg-type]
    line = served.wait_for(re.escape(answer.headers["x-request-id"])).string
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


def test_nothing_of_a_request_is_ever_logged(client: httpx.Client, served: ServeCommand) -> None:
    names = {"User-Agent": SECRET, "Referer": SECRET, "Cookie": f"a={SECRET}", "Content-Type": "application/json"}
    bodies = [
        {"input": SECRET},
        {SECRET: 1},
        {"input": [f"data:image/png;base64,{SECRET}"]},
        {"input": f"{SECRET} " * 150},
        {"input": f"{SECRET} " * 150, "truncate": True},
        {"input": SECRET, "model": SECRET},
    ]
    for content in (SECRET, *map(json.dumps, bodies)):
        ask(client, served, "POST", f"/v1/embeddings?{SECRET}", content=content, headers=names)
    assert SECRET not in "\n".join(served.stderr)


def test_a_request_keeps_an_id_that_is_plain(client: httpx.Client) -> None:
    assert client.get("/healthz", headers={"X-Request-Id": "trace-1.a_B"}).headers["x-request-id"] == "trace-1.a_B"
    for id_ in ("a b", "x" * 65, '"}', ""):
        assert re.fullmatch(
            r"[0-9a-f]{16}", client.get("/healthz", headers={"X-Request-Id": id_}).headers["x-request-id"]
        )


def failed(error: Exception) -> httpx.Response:
    """The answer of an app whose route raises this, from a KeyError."""
    app = FastAPI()
    problems.install(app)

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
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, encoding="utf-8", timeout=60, check=True)
    lines = [json.loads(line) for line in done.stderr.splitlines()]
    told = {(line["event"], line.get("detail") or line.get("kind")) for line in lines}
    assert told == {
        ("error", "It failed."),
        ("error", "Task exception was never retrieved"),
        ("warning", "UserWarning"),
    }
    assert SECRET not in done.stderr
    assert [line["error"] for line in lines if "error" in line] == ["ValueError"]
