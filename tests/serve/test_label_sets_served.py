import base64
import sqlite3
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import datetime
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import pytest

import diptych
from diptych.demo.photographs import find_photographs
from diptych.library.library import PhotoLibrary
from diptych.library.walk import LIBRARY_FILE
from serve_command import ServeCommand

LABELS = ["dog", "cat", "astronaut"]
DESCRIBED = {"pet": ["a photo of a dog", "a photo of a cat"], "space": "an astronaut in a white suit"}
PHOTO = base64.b64encode(find_photographs()[0].read_bytes()).decode()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("sets") / "library"


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[ServeCommand]:
    with ServeCommand("--library", folder) as server:
        yield server


@pytest.fixture
def keeper(server: ServeCommand) -> Iterator[httpx.Client]:
    """Requests to a server with a library, which holds no label sets."""
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        for found in client.get("/v1/label-sets").json()["label_sets"]:
            assert client.delete(f"/v1/label-sets/{found['name']}").status_code == 204
        yield client


def detail(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    return str(response.json()["detail"])


def test_a_label_set_is_made_listed_and_deleted(keeper: httpx.Client) -> None:
    made = keeper.post("/v1/label-sets", json={"name": "our pets & co", "labels": LABELS, "templates": "imagenet-7"})
    assert made.status_code == 201
    assert made.headers["location"] == "/v1/label-sets/our%20pets%20%26%20co"
    assert datetime.fromisoformat(made.json()["created_at"]).tzinfo is not None
    assert {**made.json(), "created_at": 0} == {
        "name": "our pets & co",
        "labels": LABELS,
        "templates": "imagenet-7",
        "created_at": 0,
    }
    assert keeper.get(made.headers["location"]).json() == made.json()
    other = keeper.post("/v1/label-sets", json={"name": "another", "labels": DESCRIBED, "templates": ["{}", "a {}"]})
    assert (other.json()["labels"], other.json()["templates"]) == (DESCRIBED, ["{}", "a {}"])
    assert keeper.get("/v1/label-sets").json() == {"label_sets": [other.json(), made.json()]}
    assert keeper.delete(made.headers["location"]).status_code == 204
    assert keeper.get("/v1/label-sets").json() == {"label_sets": [other.json()]}
    for ask in (keeper.get, keeper.delete):
        assert detail(ask(made.headers["location"]), 404).startswith("There is no label set 'our pets & co': GET /v1/")


@pytest.mark.parametrize(("labels", "templates"), [(LABELS, None), (LABELS, "imagenet-7"), (DESCRIBED, None)])
def test_a_label_set_classifies_as_its_labels_do(
    keeper: httpx.Client, labels: list[str] | dict[str, Any], templates: str | None
) -> None:
    chosen = {"labels": labels, "templates": templates}
    assert keeper.post("/v1/label-sets", json={"name": "set", **chosen}).status_code == 201
    for options in ({}, {"multi": True, "threshold": 0}):
        expected = keeper.post("/v1/classify", json={"images": [PHOTO], **chosen, **options})
        found = keeper.post("/v1/classify", json={"images": [PHOTO], "label_set": "set", **options})
        assert found.json() == expected.json()
        assert len(found.json()["results"][0]["labels"]) == len(labels)


def test_the_text_work_of_a_set_is_done_when_it_is_made(keeper: httpx.Client) -> None:
    def texts_asked_for() -> float:
        lines = keeper.get("/metrics").text.splitlines()
        return sum(float(line.split()[1]) for line in lines if line.startswith("diptych_text_cache_total{"))

    keeper.post("/v1/label-sets", json={"name": "set", "labels": LABELS})
    keeper.post("/v1/classify", json={"images": [PHOTO], "label_set": "set"})  # and its background is held from here on
    before = texts_asked_for()
    assert keeper.post("/v1/classify", json={"images": [PHOTO], "label_set": "set"}).status_code == 200
    assert texts_asked_for() == before


def test_label_sets_are_in_the_library(keeper: httpx.Client, folder: Path) -> None:
    keeper.post("/v1/label-sets", json={"name": "set", "labels": LABELS})
    with PhotoLibrary.open(folder) as library:
        assert [found.name for found in library.label_sets.all()] == ["set"]
        library.label_sets.put("made elsewhere", ("a", "b"))
    assert keeper.get("/v1/label-sets/made elsewhere").json()["labels"] == ["a", "b"]


def test_a_name_is_given_once(keeper: httpx.Client) -> None:
    assert keeper.post("/v1/label-sets", json={"name": "set", "labels": LABELS}).status_code == 201
    again = keeper.post("/v1/label-sets", json={"name": "set", "labels": ["other"]})
    assert detail(again, 409) == "There is a label set 'set' already: delete it first, or choose another name."
    assert keeper.get("/v1/label-sets/set").json()["labels"] == LABELS


@pytest.mark.parametrize(
    "body",
    [
        rb'{"name": "set", "labels": ["dog", "\ud800"]}',
        rb'{"name": "set", "labels": {"\udfff": "dog"}}',
        rb'{"name": "set", "labels": ["dog"], "templates": ["{} \ud800"]}',
        rb'{"name": "\ud800", "labels": ["dog"]}',
        rb'{"name": "set", "labels": ["dog"], "\ud800": 1}',
    ],
)
def test_half_a_character_is_refused_so_that_the_sets_can_still_be_listed(keeper: httpx.Client, body: bytes) -> None:
    response = keeper.post("/v1/label-sets", content=body, headers={"Content-Type": "application/json"})
    assert "hex escape" in detail(response, 422)
    assert keeper.get("/v1/label-sets").json() == {"label_sets": []}


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({"name": ""}, "name must have 1 character at least, got 0."),
        ({"name": "n" * 101}, "name must have 100 characters at most, got 101."),
        ({"name": "a/b"}, "name: it is printable, without slashes"),
        ({"name": ".."}, "name: it is printable, without slashes"),
        ({"name": "a\nb"}, "name: it is printable, without slashes"),
        ({"name": " a"}, "name: it is printable, without slashes"),
        ({"labels": []}, "labels is empty: give one at least."),
        ({"labels": {"dog": []}}, "labels/dog must have 1 item at least, got 0."),
        ({"labels": ["dog", ""]}, "1 of 2 labels cannot be used"),
        ({"labels": ["bow wow " * 40]}, "1 of 1 labels are longer in their templates than the 77 tokens"),
        ({"labels": ["dog"] * 1001}, "There are 1,001 labels"),
        ({"labels": ["dog" + 1_990 * " "] * 101}, "and 200,000 are the most: make several."),
        ({"templates": "/etc/passwd"}, "templates: there are no templates named '/etc/passwd'"),
        ({"templates": ["{} {}"]}, "templates: A template must have one {}"),
        ({"colour": 1}, "There is no field colour: known are name, labels, templates."),
    ],
)
def test_what_cannot_be_kept_is_said_and_nothing_is(keeper: httpx.Client, body: dict[str, Any], message: str) -> None:
    response = keeper.post("/v1/label-sets", json={"name": "set", "labels": LABELS, **body})
    assert message in detail(response, 422)
    assert keeper.get("/v1/label-sets").json() == {"label_sets": []}


def test_an_unknown_set_and_a_server_without_a_library_are_told(keeper: httpx.Client, client: httpx.Client) -> None:
    body = {"images": [PHOTO], "label_set": "nowhere"}
    assert detail(keeper.post("/v1/classify", json=body), 404).startswith("There is no label set 'nowhere'")
    new = {"name": "set", "labels": LABELS}
    for response in (
        client.get("/v1/label-sets"),
        client.get("/v1/label-sets/set"),
        client.delete("/v1/label-sets/set"),
        client.post("/v1/label-sets", json=new),
    ):
        assert detail(response, 404).startswith("This server has no photo library")


def test_a_label_set_that_a_busy_server_did_not_encode_is_not_kept(keeper: httpx.Client) -> None:
    is_over, until = threading.Event(), time.monotonic() + 120

    def fill(part: int) -> set[int]:
        """Ask for as many texts as one may, again and again; five who do so are more than are let in."""
        statuses, rounds = set(), count()
        while not is_over.is_set():
            texts = [f"text {number} of part {part}, round {next(rounds)}" for number in range(2_048)]
            answer = keeper.post("/v1/embeddings", json={"input": texts, "encoding_format": "base64"}, timeout=300)
            statuses.add(answer.status_code)
        return statuses

    with ThreadPoolExecutor(5) as threads:
        filling = [threads.submit(fill, part) for part in range(5)]
        try:
            while (made := keeper.post("/v1/label-sets", json={"name": "new", "labels": LABELS})).status_code == 201:
                assert keeper.delete("/v1/label-sets/new").status_code == 204  # it came before them, or between two
                assert time.monotonic() < until
            assert detail(made, 429)
            assert keeper.get("/v1/label-sets").json() == {"label_sets": []}
        finally:
            is_over.set()
    assert set().union(*(each.result() for each in filling)) <= {200, 429}


def test_what_is_made_elsewhere_is_computed_once(keeper: httpx.Client, folder: Path) -> None:
    with PhotoLibrary.open(folder) as library:
        library.label_sets.put("elsewhere", tuple(LABELS), "imagenet-7")
        response = keeper.post("/v1/classify", json={"images": [PHOTO], "label_set": "elsewhere"})
        assert response.status_code == 200
        found = library.label_sets.find("elsewhere")
        assert found is not None
        assert library.label_sets.find_classifier(found, diptych.load(dtype="float32", device="cpu")) is not None


def test_the_library_answers_while_sets_are_encoded(keeper: httpx.Client) -> None:
    def make(part: int) -> int:
        labels = [f"thing {number} of part {part}" for number in range(20)]
        body = {"name": f"set {part}", "labels": labels, "templates": "imagenet"}
        return keeper.post("/v1/label-sets", json=body).status_code

    with ThreadPoolExecutor(4) as threads:  # as many as the library has
        making = [threads.submit(make, part) for part in range(4)]
        while 'diptych_waiting_items{kind="texts"} 0.0' in keeper.get("/metrics").text:
            assert not any(each.done() for each in making)
        assert keeper.get("/v1/label-sets").json() == {"label_sets": []}
        assert not any(each.done() for each in making)
    assert [each.result() for each in making] == [201] * 4


def test_a_library_that_another_program_writes_to_is_said_soon_and_can_be_asked_again(
    keeper: httpx.Client, folder: Path
) -> None:
    body = {"name": "set", "labels": LABELS}
    with closing(sqlite3.connect(folder / LIBRARY_FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        began = time.monotonic()
        response = keeper.post("/v1/label-sets", json=body)
        assert time.monotonic() - began < 20  # 2 of them for the lock
        assert detail(response, 503) == "Another program is writing to the library: try again in a few seconds."
        assert response.json()["type"] == "urn:diptych:problem:library-busy"
        assert response.headers["retry-after"] == "5"
        assert keeper.get("/v1/label-sets").json() == {"label_sets": []}  # reading goes on
    assert keeper.post("/v1/label-sets", json=body).status_code == 201
