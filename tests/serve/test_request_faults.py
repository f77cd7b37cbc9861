"""Whatever pydantic finds wrong is answered in our words: each kind of error that a model or a parameter can raise.

What it may find is read from what it was built as; what it does find, from hostile values in every place.
"""

import copy
import re
from collections.abc import Iterator
from typing import Any, Final, get_type_hints
from urllib.parse import quote

import httpx
import pytest
from fastapi.routing import APIRoute
from pydantic import BaseModel, TypeAdapter, ValidationError

from diptych.serve.faults import body_fault
from diptych.serve.mismatches import find_mismatches
from diptych.serve.problems import Problem
from diptych.serve.routes import library, photos
from diptych.serve.routes.classify import ClassifyRequest
from diptych.serve.routes.embeddings import EmbeddingsRequest
from diptych.serve.routes.jobs import IndexRequest
from diptych.serve.routes.label_sets import NewLabelSet
from diptych.serve.routes.similarity import SimilarityRequest
from diptych.serve.schemas import schema_of
from diptych.serve.search_requests import SearchRequest, SimilarRequest
from serve_command import StartServer

FILTERS: Final = {
    "since": "2024",
    "until": "2024",
    "camera": "a",
    "format": "jpg",
    "min_side": 1,
    "near": {"latitude": 1, "longitude": 1, "km": 1},
    "root": "a",
    "fields": [{"name": "a", "op": "=", "value": 1}],
}
FULL: Final[dict[type[BaseModel], dict[str, Any]]] = {
    ClassifyRequest: {
        "images": ["a"],
        "labels": {"a": ["b"]},
        "templates": ["{}"],
        "label_set": "a",
        "top": 1,
        "multi": True,
        "threshold": 0.5,
    },
    EmbeddingsRequest: {
        "input": ["a", {"image": "b"}, {"text": "c"}],
        "model": "a",
        "encoding_format": "float",
        "dimensions": 256,
        "user": "a",
        "truncate": False,
    },
    IndexRequest: {"roots": ["a"], "retry_failures": True},
    NewLabelSet: {"name": "a", "labels": ["a"], "templates": "{}"},
    SimilarityRequest: {"images": ["a"], "texts": ["a"]},
    SearchRequest: {
        "query": "a",
        "images": ["a", {"image": "b", "weight": 1}],
        "top": 1,
        "skip": 0,
        "threshold": 0.5,
        "min_relevance": 0.5,
        "filters": FILTERS,
    },
    SimilarRequest: {"photo": 1, "image": "a", "top": 1, "filters": FILTERS},
}
WORDS: Final = ["", "a", "3", "yes", "a" * 300]
NUMBERS: Final = [0, -1, 1.5, 3.0, -1e9, 2**63, 10**400, float("inf"), True, False]
OTHERS: Final[list[object]] = [None, [], ["a"] * 1_500, [[]], {}, {"a": []}, {"a": 1}, {"image": 1}]
TEXTS: Final = [
    *WORDS,
    "1.5",
    "-1",
    "1001",
    "9" * 30,
    "9" * 5_000,
    "nan",
    "inf",
    "1e999",
    "true",
    "null",
    "255",
    "\x00",
]
# What pydantic raises for each thing that it was built of.
RAISED: Final = {
    "bool": {"bool_type"},
    "dict": {"dict_type"},
    "enum": {"enum"},
    "float": {"float_type", "finite_number"},
    "int": {"int_type"},
    "list": {"list_type"},
    "literal": {"literal_error"},
    "model": {"model_type"},
    "model-fields": {"extra_forbidden"},
    "str": {"string_type"},
}
OF_TEXTS: Final = {
    "int": {"int_parsing", "int_parsing_size"},
    "float": {"float_parsing", "finite_number"},
}
BOUNDS: Final = {"ge": "greater_than_equal", "gt": "greater_than", "le": "less_than_equal", "lt": "less_than"}
SIZES: Final = {
    "str": {"min_length": "string_too_short", "max_length": "string_too_long"},
    "list": {"min_length": "too_short", "max_length": "too_long"},
}
PASSED_ON: Final = {"default", "nullable", "union", "function-before", "definitions", "definition-ref", "model-field"}
RAW: Final = re.compile(r"[Ii]nput should|[Vv]alue error|unable to|openapi|pydantic")


def parts(built: Any) -> Iterator[dict[str, Any]]:  # noqa: ANN401 (any part of it)
    """All that pydantic built a validator of."""
    if isinstance(built, dict):
        if isinstance(built.get("type"), str):
            yield built
        for name, inner in built.items():
            if name not in ("metadata", "serialization", "function", "default", "expected", "members"):
                yield from parts(inner)
    elif isinstance(built, (list, tuple)):
        for inner in built:
            yield from parts(inner)


def may_raise(built: Any, kinds: dict[str, set[str]]) -> set[str]:  # noqa: ANN401 (any part of it)
    """The types of errors of all its parts; a part that is not known here fails the test."""
    found: set[str] = set()
    for part in parts(built):
        kind = part["type"]
        assert kind in {*RAISED, *PASSED_ON}, f"{kind} is new: say what it raises"
        found |= kinds.get(kind, set())
        if kind == "model-field" and part["schema"]["type"] != "default":
            found.add("missing")
        limits = SIZES.get(kind, BOUNDS)
        found |= {error for name, error in limits.items() if part.get(name) is not None}
    return found


def places(value: Any, here: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:  # noqa: ANN401 (any JSON)
    yield here
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in inside:
        yield from places(inner, (*here, name))


def changed(value: Any, place: tuple[str | int, ...], new: object) -> Any:  # noqa: ANN401 (any JSON)
    """The same with another value in one place, or with nothing there."""
    if not place:
        return new
    made = copy.deepcopy(value)
    inner = made
    for name in place[:-1]:
        inner = inner[name]
    if new is ...:
        del inner[place[-1]]
    else:
        inner[place[-1]] = new
    return made


def hostile(model: type[BaseModel]) -> Iterator[Any]:
    """Bodies with one thing that may be wrong: each value in each place, a thing left out, a thing too many."""
    full = FULL[model]
    for place in places(full):
        yield from (changed(full, place, value) for value in (*WORDS, *NUMBERS, *OTHERS))
        if place:
            yield changed(full, place, ...)
            yield changed(full, (*place[:-1], "other"), 1) if isinstance(place[-1], str) else full


@pytest.mark.parametrize("model", FULL)
def test_all_that_a_model_refuses_is_said_in_words_and_nothing_else_is(model: type[BaseModel]) -> None:
    raised: set[str] = set()
    for body in hostile(model):
        try:
            model.model_validate(body, strict=True)
        except ValidationError as error:
            raised |= {each["type"] for each in error.errors()}
            assert not RAW.search(body_fault(body, model).detail), body
        except Problem:  # token ids, which the model names itself
            assert isinstance(body["input"][0], (int, list))
        else:
            assert find_mismatches(body, schema_of(model), 20) == [], body
    assert may_raise(model.__pydantic_core_schema__, RAISED) - raised == set()


def parameters() -> Iterator[tuple[str, str, Any]]:
    """Of each that a route takes: the route's address, its name, what it must be."""
    for router in (photos.router, library.router):
        for route in router.routes:
            assert isinstance(route, APIRoute)
            hints = get_type_hints(route.endpoint, include_extras=True)
            for each in (*route.dependant.path_params, *route.dependant.query_params):
                yield route.path, each.name, hints[each.name]


@pytest.mark.parametrize(("path", "name", "hint"), list(parameters()))
def test_all_that_a_parameter_refuses_is_said_in_words(client: httpx.Client, path: str, name: str, hint: Any) -> None:  # noqa: ANN401
    raised: set[str] = set()
    adapter = TypeAdapter(hint)
    is_of_path = f"{{{name}}}" in path
    for text in TEXTS[is_of_path:]:
        try:
            adapter.validate_python(text)
        except ValidationError as error:
            raised |= {each["type"] for each in error.errors()}
            asked = {} if is_of_path else {name: text}
            answer = client.get(path.replace("{id}", quote(text, safe="") if is_of_path else "1"), params=asked)
            assert answer.status_code == 422
            assert re.match(rf"{name} must be (a|at|256,) .*, got .*\.", answer.json()["detail"]), answer.text
            assert not RAW.search(answer.text)
    assert may_raise(adapter.core_schema, {**OF_TEXTS, "enum": {"enum"}}) - raised == set()


@pytest.mark.parametrize(
    ("address", "said"),
    [
        ("/v1/photos/1/thumbnail?side=255", "side must be 256, 512, 1024 or 2048, got '255'."),
        ("/v1/library/failures?top=1001", "top must be at most 1,000, got '1001'."),
        ("/v1/library/failures?skip=-1", "skip must be at least 0, got '-1'."),
        ("/v1/photos/cat", "id must be a whole number, got 'cat'."),
        ("/v1/photos/1.5", "id must be a whole number, got '1.5'."),
        (f"/v1/photos/{'9' * 5_000}", "id must be a smaller whole number, got a text of 5,000 characters."),
        ("/v1/photos/1/thumbnail?second=nan", "second must be a finite number, got 'nan'."),
    ],
)
def test_parameters_are_refused_in_the_words_of_bodies(client: httpx.Client, address: str, said: str) -> None:
    problem = client.get(address).json()
    assert (problem["status"], problem["detail"]) == (422, said)
    assert problem["items"] == [{"field": f"/{said.split()[0]}", "detail": said.removesuffix(".")}]


def test_a_file_for_a_text_of_a_form_is_refused_in_words(start_server: StartServer) -> None:
    with httpx.Client(
        base_url=start_server("--api-key", "env:KEYS", env={"KEYS": "k" * 40}).url, timeout=60, trust_env=False
    ) as one:
        problem = one.post("/login", files={"key": b"a file"}).json()
    assert (problem["status"], problem["detail"]) == (422, "key must be a text, got an object.")
