"""OpenAPI as programs read it: its examples are answered, and what it shows of answers is what they are."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any, NamedTuple

import httpx
import pytest
import schemathesis

from diptych.serve.examples import ANSWERS
from serve_command import ServeCommand
from served_photos import index, write_many

JSON = "application/json"
METHODS = ("post", "get", "delete")  # in an order in which each finds what the examples name


class Operation(NamedTuple):
    """One of OpenAPI's."""

    method: str
    path: str
    described: Mapping[str, Any]


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """Of a server whose library has the photo, and the root, of the examples."""
    place = tmp_path_factory.mktemp("described")
    photos = write_many(place / "holiday", 17)
    library = index(place / "library", photos)
    with (
        ServeCommand("--library", library, "--root", f"holiday={photos}") as server,
        httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def openapi(client: httpx.Client) -> dict[str, Any]:
    described: dict[str, Any] = client.get("/openapi.json").json()
    return described


@pytest.fixture(scope="module")
def answers(client: httpx.Client, openapi: dict[str, Any]) -> dict[str, list[httpx.Response]]:
    """What each operation answers to its examples, by its id."""
    operations = [
        Operation(method, path, described)
        for path, all_ in openapi["paths"].items()
        for method, described in all_.items()
    ]
    # A set of labels is made before it is used.
    operations.sort(key=lambda each: (METHODS.index(each.method), each.described["operationId"] != "create_label_set"))
    found: dict[str, list[httpx.Response]] = {}
    for method, path, described in operations:
        job = {"id": found["start_indexing"][0].json()["id"]} if "/jobs/" in path else {}
        address = path.format(**{**examples_of_path(described), **job})
        bodies = examples_of_body(described, openapi) or [None]
        found[described["operationId"]] = [client.request(method, address, json=body) for body in bodies]
    return found


def examples_of_path(described: Mapping[str, Any]) -> dict[str, object]:
    return {
        each["name"]: each["schema"]["examples"][0]
        for each in described.get("parameters", ())
        if each["in"] == "path" and "examples" in each["schema"]
    }


def examples_of_body(described: Mapping[str, Any], openapi: Mapping[str, Any]) -> list[object]:
    schema = described.get("requestBody", {}).get("content", {}).get(JSON, {}).get("schema", {})
    if "$ref" in schema:
        schema = openapi["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    assert "requestBody" not in described or schema["examples"], described["operationId"]
    return list(schema.get("examples", ()))


def keys(value: object) -> object:
    """The names within JSON, of lists those of the first item."""
    if isinstance(value, list):
        return [keys(each) for each in value[:1]]
    return {name: keys(inner) for name, inner in value.items()} if isinstance(value, dict) else None


def agree(shown: object, real: object) -> bool:
    """Whether two have the same names, as far as either is there: lists may be empty, values null."""
    if not shown or not real:
        return True
    if isinstance(shown, dict) and isinstance(real, dict):
        return shown.keys() == real.keys() and all(agree(shown[name], real[name]) for name in shown)
    return isinstance(shown, list) and isinstance(real, list) and agree(shown[0], real[0])


def test_every_example_of_a_request_is_answered(answers: dict[str, list[httpx.Response]]) -> None:
    asked = [(name, answer) for name, those in answers.items() for answer in those]
    assert {name: answer.text for name, answer in asked if not answer.is_success} == {}
    assert not [name for name, answer in asked if b"urn:diptych:problem" in answer.content]  # nor an image of them
    assert sum(map(len, answers.values())) > len(answers)  # some have several


@pytest.mark.parametrize("name", ANSWERS)
def test_the_example_of_an_answer_has_what_answers_have(name: str, answers: dict[str, list[httpx.Response]]) -> None:
    assert agree(keys(ANSWERS[name]), keys(answers[name][0].json()))


def test_the_examples_of_answers_and_the_answers_are_as_their_schemas_have_them(
    openapi: dict[str, Any], answers: dict[str, list[httpx.Response]]
) -> None:
    schema = schemathesis.openapi.from_dict(openapi)
    shown = set()
    for path, operations in openapi["paths"].items():
        for method, described in operations.items():
            name = described["operationId"]
            for status, said in described["responses"].items():
                if status.startswith("2") and JSON in said.get("content", {}):
                    shown.add(name)
                    example = httpx.Response(int(status), json=said["content"][JSON]["example"])
                    example.elapsed = timedelta()
                    example.request = httpx.Request(method, "http://127.0.0.1" + path)
                    for answer in (example, *answers[name]):
                        schema[path][method.upper()].validate_response(answer)
    assert shown == set(ANSWERS)


def test_every_answer_in_json_has_a_schema_that_says_what_is_in_it(openapi: dict[str, Any]) -> None:
    of_answers = [
        said["content"][JSON]["schema"]
        for operations in openapi["paths"].values()
        for described in operations.values()
        for status, said in described["responses"].items()
        if status.startswith("2") and JSON in said.get("content", {})
    ]
    assert all("$ref" in schema for schema in of_answers)
