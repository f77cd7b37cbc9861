"""What is said of requests that do not fit their schema: in the words of the API, and nothing long is repeated."""

from typing import Any

import httpx
import pytest
from pydantic import BaseModel, ValidationError

from diptych.serve.mismatches import find_mismatches
from diptych.serve.routes.classify import ClassifyRequest
from diptych.serve.routes.embeddings import EmbeddingsRequest
from diptych.serve.schemas import schema_of
from diptych.serve.search_requests import SearchRequest


@pytest.mark.parametrize(
    ("model", "body", "said"),
    [
        (ClassifyRequest, [], "The body must be an object of fields, got an empty list"),
        (ClassifyRequest, {"template": "x"}, "There is no field template: did you mean templates?"),
        (ClassifyRequest, {"labels": [1]}, "labels/0 must be a text, got 1"),
        (
            ClassifyRequest,
            {"labels": "x" * 99},
            "labels must be a list of texts or an object, got a text of 99 characters",
        ),
        (ClassifyRequest, {"labels": {"a": {}}}, "labels/a must be a text or a list of texts, got an object"),
        (ClassifyRequest, {"top": 1.5}, "top must be a whole number, got 1.5"),
        (ClassifyRequest, {"multi": "perhaps"}, "multi must be true or false, got 'perhaps'"),
        (
            EmbeddingsRequest,
            {},
            "input is needed: give a text or a list of texts, objects with image or objects with text",
        ),
        (EmbeddingsRequest, {"input": [{"image": None}]}, "input/0/image must be a text, got null"),
        (
            EmbeddingsRequest,
            {"input": [{}]},
            "input/0 must be a text, an object with image or an object with text, got an object with no fields",
        ),
        (
            EmbeddingsRequest,
            {"input": [{"image": "a", "text": "b"}]},
            "input/0 must be a text, an object with image or an object with text, got an object with image and text",
        ),
        (ClassifyRequest, {"labels": {"a": []}}, "labels/a must have 1 item at least, got 0"),
        (ClassifyRequest, {"top": "3"}, "top must be a whole number, got '3'"),
        (ClassifyRequest, {"top": True}, "top must be a whole number, got true"),
        (ClassifyRequest, {"top": 0}, "top must be at least 1, got 0"),
        (ClassifyRequest, {"multi": 1}, "multi must be true or false, got 1"),
        (ClassifyRequest, {"threshold": 10**400}, "threshold must be a finite number, got a larger number"),
        (EmbeddingsRequest, {"input": "a", "encoding_format": 1}, "encoding_format must be 'float' or 'base64', got 1"),
        (SearchRequest, {"images": [4]}, "images/0 must be a text or an object with image, got 4"),
        (
            SearchRequest,
            {"filters": {"near": {"longitude": 1, "km": 1}}},
            "filters/near/latitude is needed: give a number",
        ),
        (SearchRequest, {"filters": {"neer": {}}}, "There is no field filters/neer: did you mean near?"),
        (SearchRequest, {"filters": {"since": "2" * 30}}, "filters/since must have 19 characters at most, got 30"),
        (SearchRequest, {"threshold": float("nan")}, "threshold must be a finite number, got nan"),
        (SearchRequest, {"top": 201}, "top must be at most 200, got 201"),
    ],
)
def test_what_does_not_fit_is_said_in_one_line(model: type[BaseModel], body: Any, said: str) -> None:  # noqa: ANN401
    with pytest.raises(ValidationError):
        model.model_validate(body, strict=True)
    assert find_mismatches(body, schema_of(model), 20)[0].detail == said


@pytest.mark.parametrize(
    ("model", "body"),
    [
        (ClassifyRequest, {"labels": {"a": ["b"], "c": "d"}, "top": 3, "multi": True, "threshold": None}),
        (EmbeddingsRequest, {"input": ["a", {"image": "b"}, {"text": "c"}], "dimensions": 256.0}),
        (SearchRequest, {"images": ["a", {"image": "b"}], "filters": {"fields": [{"name": "a", "value": 1.5}]}}),
    ],
)
def test_what_fits_has_no_mismatch(model: type[BaseModel], body: dict[str, Any]) -> None:
    model.model_validate(body, strict=True)
    assert find_mismatches(body, schema_of(model), 20) == []


def test_very_many_values_at_fault_are_not_all_described() -> None:
    assert len(find_mismatches({"labels": [1] * 20_000}, schema_of(ClassifyRequest), 20)) == 20


def test_no_body_is_said(client: httpx.Client) -> None:
    assert client.post("/v1/embeddings").json()["detail"] == "There is no body: send JSON, an object with input."
