"""Bodies as clients send them, by habit and by mistake: content types, JSON that is none, types that are near."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from diptych.demo.photographs import find_photographs
from serve_command import ServeCommand

JSON = {"Content-Type": "application/json"}
FORMS_TOO = ("/v1/classify", "/v1/similarity", "/v1/search", "/v1/similar")
JSON_ALONE = ("/v1/embeddings", "/v1/label-sets", "/v1/index")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A server of an empty library that has a folder to index."""
    place = tmp_path_factory.mktemp("bodies")
    (place / "holiday").mkdir()
    (place / "holiday/one.jpg").write_bytes(find_photographs()[0].read_bytes())
    options = ("--library", place / "library", "--root", f"holiday={place / 'holiday'}")
    with ServeCommand(*options) as server, httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        yield client


def problem(response: httpx.Response, status: int = 422) -> tuple[str, str]:
    """The last word of its type, and its detail."""
    assert response.status_code == status, response.text
    body = response.json()
    return body["type"].removeprefix("urn:diptych:problem:"), body["detail"]


@pytest.mark.parametrize("path", [*FORMS_TOO, *JSON_ALONE])
@pytest.mark.parametrize("kind", ["application/x-www-form-urlencoded", "text/plain", "application/jsonp", ""])
def test_other_content_types_are_named_with_what_to_send(client: httpx.Client, path: str, kind: str) -> None:
    answer = client.post(path, content=b'{"input": "a"}', headers={"Content-Type": kind} if kind else {})
    otherwise = ", or multipart/form-data with files named image" if path in FORMS_TOO else ""
    detail = f"The content type is {kind or 'not given'}: send application/json{otherwise}."
    assert problem(answer, 415) == ("unsupported-media-type", detail)


@pytest.mark.parametrize("path", JSON_ALONE)
def test_a_form_is_no_content_type_where_there_are_no_uploads(client: httpx.Client, path: str) -> None:
    detail = "The content type is multipart/form-data: send application/json."
    assert problem(client.post(path, files={"input": (None, "a")}), 415) == ("unsupported-media-type", detail)


@pytest.mark.parametrize(
    ("path", "fields"), [("/v1/embeddings", "input"), ("/v1/label-sets", "name, labels"), ("/v1/similarity", "texts")]
)
@pytest.mark.parametrize("headers", [{}, JSON, {"Content-Type": "text/plain"}])
def test_no_body_is_said(client: httpx.Client, path: str, fields: str, headers: dict[str, str]) -> None:
    detail = f"There is no body: send JSON, an object with {fields}."
    assert problem(client.post(path, headers=headers)) == ("invalid-request", detail)


@pytest.mark.parametrize("kind", ["", "application/json", "application/x-www-form-urlencoded", "text/plain"])
def test_where_none_is_needed_no_body_is_one_of_any_type(client: httpx.Client, kind: str) -> None:
    answer = client.post("/v1/index", headers={"Content-Type": kind} if kind else {})
    assert answer.status_code == 202, answer.text
    assert answer.json()["roots"] == ["holiday"]
    client.delete(f"/v1/jobs/{answer.json()['id']}")


def test_null_is_a_body(client: httpx.Client) -> None:
    answer = client.post("/v1/index", content=b"null", headers=JSON)
    assert problem(answer) == ("invalid-request", "The body must be an object of fields, got null.")


@pytest.mark.parametrize("path", [*FORMS_TOO, *JSON_ALONE])
@pytest.mark.parametrize("number", [b"NaN", b"Infinity", b"-Infinity", b"1" * 5_000])
def test_what_is_no_number_of_json_is_no_json(client: httpx.Client, path: str, number: bytes) -> None:
    answer = client.post(path, content=b'{"input": %s}' % number, headers=JSON)
    slug, detail = problem(answer)
    assert (slug, detail[:27]) == ("invalid-request", "The body is no valid JSON (")


@pytest.mark.parametrize(
    ("path", "body", "detail"),
    [
        ("/v1/similar", {"photo": True}, "photo must be a whole number, got true."),
        ("/v1/similar", {"photo": "1"}, "photo must be a whole number, got '1'."),
        ("/v1/embeddings", {"input": "a", "dimensions": True}, "dimensions must be a whole number, got true."),
        ("/v1/embeddings", {"input": "a", "truncate": "yes"}, "truncate must be true or false, got 'yes'."),
        ("/v1/embeddings", {"input": "a", "truncate": 1}, "truncate must be true or false, got 1."),
        ("/v1/search", {"query": "a", "top": "3"}, "top must be a whole number, got '3'."),
        ("/v1/search", {"query": "a", "threshold": False}, "threshold must be a number, got false."),
        ("/v1/index", {"retry_failures": "no"}, "retry_failures must be true or false, got 'no'."),
        ("/v1/embeddings", {"input": [True]}, "input/0 must be a text, an object with image or an object with text"),
    ],
)
def test_json_is_held_to_its_types(client: httpx.Client, path: str, body: dict[str, Any], detail: str) -> None:
    slug, said = problem(client.post(path, json=body))
    assert (slug, said[: len(detail)]) == ("invalid-request", detail)


def test_json_inside_a_form_is_held_to_its_types_too(client: httpx.Client) -> None:
    form = {"query": "a", "top": "3", "filters": '{"min_side": "400"}'}
    answer = client.post("/v1/search", data=form, files={"image": b""})
    assert problem(answer)[1] == "filters/min_side must be a whole number, got '400'."
    form["filters"] = '{"min_side": NaN}'
    assert problem(client.post("/v1/search", data=form, files={"image": b""}))[1].startswith("filters is no valid JSON")


def test_numbers_are_of_one_kind(client: httpx.Client) -> None:
    same = client.post("/v1/embeddings", json={"input": "a cat"}).json()["data"]
    assert client.post("/v1/embeddings", json={"input": "a cat", "dimensions": 256.0}).json()["data"] == same
    uri = {"images": ["AAAA"], "labels": ["a", "b"], "multi": True}
    answers = [client.post("/v1/classify", json={**uri, "threshold": n, "top": 2.0}).status_code for n in (1, 1.0)]
    assert answers == [200, 200]


def test_what_a_route_reads_is_in_the_openapi(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    for path in JSON_ALONE:
        described = paths[path]["post"]["requestBody"]
        assert list(described["content"]) == ["application/json"]
        assert described["required"] is (path != "/v1/index")
        assert described["content"]["application/json"]["schema"]["examples"]
