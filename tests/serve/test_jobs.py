"""Indexing over HTTP: by name, one at a time, followed, stopped, killed, gone on with."""

import asyncio
import os
import signal
import sqlite3
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from diptych.library.lock import only_writer
from diptych.library.roots import FolderRoot
from diptych.serve.indexing_child import Order, run
from diptych.serve.indexing_jobs import IndexingJobs
from serve_command import ServeCommand, StartServer
from served_photos import index, write_holiday, write_many, write_photo

MANY = 3_000  # a second of work on many cores


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders to index; there is no library yet."""
    place = tmp_path_factory.mktemp("place")
    holiday = write_holiday(place / "holiday")
    (holiday / "broken.jpg").write_text("no picture")
    write_photo(place / "my disk/one.jpg", "coffee")
    write_many(place / "many", MANY)
    return place


@pytest.fixture(scope="module")
def client(place: Path) -> Iterator[httpx.Client]:
    """A server of an empty library."""
    roots = [part for name in ("holiday", "many", "my disk") for part in ("--root", f"{name}={place / name}")]
    with (
        ServeCommand("--library", place / "library", *roots) as server,
        httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client,
    ):
        yield client


def start(client: httpx.Client, **asked: object) -> dict[str, Any]:
    response = client.post("/v1/index", json=asked)
    assert response.status_code == 202, response.text
    assert response.headers["location"] == f"/v1/jobs/{response.json()['id']}"
    return response.json()


def waited_for(client: httpx.Client, job: dict[str, Any], is_so: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """The job as soon as something is so of it."""
    deadline = time.monotonic() + 120
    while not is_so(now := client.get(f"/v1/jobs/{job['id']}").json()):
        assert time.monotonic() < deadline, now
        time.sleep(0.05)
    return now


def ended(client: httpx.Client, job: dict[str, Any]) -> dict[str, Any]:
    return waited_for(client, job, lambda now: now["state"] != "running")


def runs(place: Path) -> list[tuple[int, str | None]]:
    """Process and outcome of the library's runs, the newest first."""
    database = sqlite3.connect(place / "library/library.db")
    try:
        return database.execute("SELECT process, outcome FROM jobs ORDER BY id DESC").fetchall()
    finally:
        database.close()


def problem(response: httpx.Response) -> tuple[int, str]:
    return response.status_code, response.json()["type"].removeprefix("urn:diptych:problem:")


def test_an_empty_library_is_filled_by_name(client: httpx.Client, place: Path) -> None:
    assert client.get("/v1/library").json()["has_vectors"] is False
    assert problem(client.post("/v1/search", json={"query": "a cat"})) == (409, "nothing-indexed")
    job = ended(client, start(client, roots=["holiday"]))
    assert (job["state"], job["roots"], job["total"], job["done"], job["failed"]) == ("done", ["holiday"], 8, 8, 1)
    assert (job["detail"], job["eta_seconds"]) == ("", None)
    assert job["started_at"] < job["ended_at"]
    assert client.get("/v1/jobs").json()["jobs"][0] == job == client.get("/v1/library").json()["job"]
    hits = client.post("/v1/search", json={"query": "a cat", "top": 1}).json()["hits"]
    assert [hit["name"] for hit in hits] == ["animals/cat.jpg"]
    again = ended(client, start(client, roots=["holiday", "holiday"]))
    assert (again["state"], again["roots"], again["total"]) == ("done", ["holiday"], 0)
    tried = ended(client, start(client, roots=["holiday"], retry_failures=True))
    assert (tried["total"], tried["failed"]) == (1, 1)
    assert [tried["moved"], tried["removed"]] == [0, 0]


@pytest.mark.parametrize(
    ("asked", "status"),
    [
        ({"roots": ["nowhere"]}, (422, "no-such-root")),
        ({"roots": ["/etc"]}, (422, "no-such-root")),
        ({"roots": ["../holiday"]}, (422, "no-such-root")),
        ({"roots": []}, (422, "invalid-request")),
        ({"folder": "/etc"}, (422, "invalid-request")),
    ],
)
def test_nothing_is_indexed_but_roots_by_name(
    client: httpx.Client, asked: dict[str, Any], status: tuple[int, str]
) -> None:
    assert problem(client.post("/v1/index", json=asked)) == status


def test_a_job_that_there_is_not_is_said(client: httpx.Client) -> None:
    assert problem(client.get("/v1/jobs/1")) == (404, "no-such-job")
    assert problem(client.delete("/v1/jobs/1")) == (404, "no-such-job")


def test_one_job_runs_at_a_time_while_searches_go_on_and_goes_on_after_a_stop(
    client: httpx.Client, place: Path
) -> None:
    ended(client, start(client, roots=["holiday"]))
    before = client.get("/v1/library").json()["photos"]
    job = start(client, roots=["many"])
    refused = client.post("/v1/index", json={"roots": ["holiday"]})
    assert problem(refused) == (409, "already-indexing")
    assert refused.json()["items"] == [{"job": job["id"]}]
    running = waited_for(client, job, lambda now: now["total"] > 0)
    assert (running["state"], running["total"]) == ("running", MANY)
    for _ in range(20):
        assert client.post("/v1/search", json={"query": "a cup of coffee"}).json()["hits"]
    stopped = ended(client, client.delete(f"/v1/jobs/{job['id']}").json())
    assert stopped["state"] == "stopped"
    assert stopped["done"] < MANY
    assert client.delete(f"/v1/jobs/{job['id']}").json() == stopped
    kept = client.get("/v1/library").json()["photos"] - before
    following = waited_for(client, start(client, roots=["many"]), lambda now: now["total"] > 0)
    assert following["total"] == MANY - kept


def test_a_killed_process_is_a_failed_job_and_the_server_goes_on(client: httpx.Client, place: Path) -> None:
    for each in client.get("/v1/jobs").json()["jobs"]:
        ended(client, client.delete(f"/v1/jobs/{each['id']}").json())
    write_many(place / "many/more", 800, photograph="coffee")
    job = start(client, roots=["many"])
    waited_for(client, job, lambda now: now["total"] > 0)
    os.kill(runs(place)[0][0], signal.SIGKILL)
    failed = ended(client, job)
    assert failed["state"] == "failed"
    assert failed["detail"].startswith("The process that indexes was ended by SIGKILL.")
    assert client.get("/readyz").status_code == 200
    following = start(client, roots=["many"])
    waited_for(client, following, lambda now: now["total"] > 0)
    client.delete(f"/v1/jobs/{following['id']}")
    ended(client, following)


def test_a_process_that_reports_nonsense_is_ended_and_the_next_job_may_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    program = tmp_path / "program"
    program.write_text("#!/bin/sh\necho nonsense\nexec sleep 60\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    order = Order(library="", model="", device="", dtype="", roots=(), retry_failures=False)

    async def start_two() -> None:
        jobs = IndexingJobs()
        for _ in range(2):
            job = jobs.start(order, ["holiday"], str)
            async with asyncio.timeout(60):
                while jobs.is_running:
                    await asyncio.sleep(0.01)
            assert (job.state, job.detail) == ("failed", "It could not be followed: the server's log says why.")

    asyncio.run(start_two())
    assert '"error":"JSONDecodeError"' in capsys.readouterr().err


def test_a_library_that_another_process_writes_to_is_left_alone(client: httpx.Client, place: Path) -> None:
    with only_writer(place / "library"):
        assert problem(client.post("/v1/index", json={})) == (409, "library-held")


def test_a_root_that_went_is_said_by_its_name(client: httpx.Client, place: Path) -> None:
    assert ended(client, start(client, roots=["my disk"]))["done"] == 1
    (place / "my disk").rename(place / "away")
    job = ended(client, start(client, roots=["my disk"]))
    assert (job["state"], job["detail"]) == ("done", "my disk is not there, or empty: what is known of it stays.")


def test_without_a_body_all_roots_are_gone_through(client: httpx.Client) -> None:
    answer = client.post("/v1/index")
    assert answer.status_code == 202, answer.text
    assert {"holiday", "many"} <= set(answer.json()["roots"])
    client.delete(f"/v1/jobs/{answer.json()['id']}")
    ended(client, answer.json())


def test_known_roots_are_gone_through_as_they_were_before(tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    write_photo(folder / ".hidden/one.jpg", "coffee")
    write_photo(folder / "two.jpg", "chelsea")
    library = str(index(tmp_path / "library", FolderRoot(path=folder, hidden=True)))
    order = Order(
        library=library, model="postcard", device="cpu", dtype="float32", roots=(str(folder),), retry_failures=False
    )
    *_, report = run(Order.from_text(order.as_text()))
    assert (report.unchanged, report.forgotten) == (2, 0)


def test_a_server_that_stops_has_its_job_keep_what_is_done(start_server: StartServer, tmp_path: Path) -> None:
    write_many(tmp_path / "many", MANY)
    server = start_server("--library", tmp_path / "library", "--root", f"many={tmp_path / 'many'}")
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        waited_for(client, start(client), lambda now: now["total"] > 0)
    ((process, outcome),) = runs(tmp_path)
    assert outcome is None
    assert server.stop() == 0
    assert runs(tmp_path) == [(process, "interrupted")]
    with pytest.raises(ProcessLookupError):
        os.kill(process, 0)
