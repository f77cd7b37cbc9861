"""Forms and JSON bodies, through an endpoint that takes both."""

import asyncio
import tempfile
import time
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi import FastAPI, Request
from pydantic import BaseModel

from diptych.serve.bodies import read_request
from diptych.serve.config import ServeConfig

FORM = {"content-type": "multipart/form-data; boundary=abc"}
PART = b'--abc\r\nContent-Disposition: form-data; name="%s"%s\r\n\r\n%s\r\n'
FILE = b'; filename="a.png"'


def form(*parts: tuple[bytes, bytes, bytes], end: bytes = b"--abc--\r\n") -> bytes:
    return b"".join(PART % part for part in parts) + end


def detail(response: httpx.Response, status: int) -> str:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    message = str(response.json()["detail"])
    assert "\n" not in message
    return message


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "application/xml", ""])
def test_other_content_types_are_refused(client: httpx.Client, kind: str) -> None:
    response = client.post("/v1/classify", content=b'{"images": [], "labels": ["a"]}', headers={"content-type": kind})
    expected = f"The content type is {kind or 'not given'}: send application/json, or multipart/form-data with files"
    assert detail(response, 415).startswith(expected)


def test_a_content_type_may_have_capitals_and_parameters(client: httpx.Client) -> None:
    headers = {"content-type": "Application/JSON; charset=utf-8"}
    response = client.post("/v1/classify", content=b'{"labels": ["a"]}', headers=headers)
    assert detail(response, 422).startswith("There are no images")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "There is no body: send JSON, an object with images, labels, "),
        (b" ", "The body is no valid JSON (EOF while parsing a value"),
        (b"{", "The body is no valid JSON (EOF while parsing an object"),
        (b"[" * 100_000, "The body is no valid JSON (recursion limit exceeded"),
        (b'{"labels": ["\xff"]}', "The body is no valid JSON (invalid unicode code point"),
        (b'{"labels": ["\\ud800"]}', "The body is no valid JSON (unexpected end of hex escape"),
        (b"[]", "The body must be an object of fields, got an empty list."),
        (b'{"labels": ["a"], "top": "many"}', "top must be a whole number, got 'many'."),
    ],
)
def test_json_that_is_none_is_refused(client: httpx.Client, content: bytes, message: str) -> None:
    response = client.post("/v1/classify", content=content, headers={"content-type": "application/json"})
    assert detail(response, 422).startswith(message)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "It breaks off before its last boundary."),
        (b"words", "Invalid multipart data."),
        (form((b"image", FILE, b"x"), end=b""), "It breaks off before its last boundary."),
        (b"--abc\r\n\r\nx\r\n--abc--\r\n", 'The Content-Disposition header field "name" must be provided.'),
        (b"--abc\r\n" + b"A: b\r\n" * 100 + b"\r\nx\r\n--abc--\r\n", "Invalid multipart data."),
        (form((b"photo", FILE, b"x")), "A file is named 'photo': name the parts of files 'image'."),
        (form(*[(b"image", FILE, b"x")] * 65), "Too many files. Maximum number of files is 64."),
        (form(*[(b"labels", b"", b"x")] * 2001), "Too many fields. Maximum number of fields is 2000."),
    ],
)
def test_a_broken_form_is_refused(client: httpx.Client, content: bytes, message: str) -> None:
    assert detail(client.post("/v1/classify", content=content, headers=FORM), 422) == message


def test_a_form_needs_a_boundary(client: httpx.Client) -> None:
    response = client.post("/v1/classify", content=form(), headers={"content-type": "multipart/form-data"})
    assert detail(response, 422) == "Missing boundary in multipart."


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ([(b"top", b"", b"many")], "top must be a whole number, got 'many'."),
        ([(b"top", b"", b"1.5")], "top must be a whole number, got '1.5'."),
        ([(b"top", b"", b"")], "top must be a whole number, got ''."),
        ([(b"threshold", b"", b"nan"), (b"multi", b"", b"on")], "threshold must be a finite number, got nan."),
        ([(b"top", b"", b"3"), (b"top", b"", b"4")], "top is given more than once."),
        ([(b"multi", b"", b"perhaps")], "multi must be true or false, got 'perhaps'."),
        ([(b"labels", b"", b'{"dog": [')], "labels is no valid JSON: EOF while parsing a list at line 1 column 9."),
        ([(b"labels", b"", b"[a cat]")], "labels is no valid JSON: expected value at line 1 column 2."),
        ([(b"image", b"", b"x")], "There is no field image: did you mean images?"),
        ([(b"labels", b"", b"a"), (b"label", b"", b"x")], "There is no field label: did you mean label_set?"),
    ],
)
def test_fields_of_a_form_are_checked_as_those_of_json(
    client: httpx.Client, parts: list[tuple[bytes, bytes, bytes]], message: str
) -> None:
    content = form((b"image", FILE, b"x"), *parts)
    assert detail(client.post("/v1/classify", content=content, headers=FORM), 422) == message


def most_seconds(client: httpx.Client, size: int) -> float:
    """That a form of so many bytes may take: far more than one with a file of as many, and far less than hurts."""
    content = form((b"image", FILE, bytes(size)), (b"labels", b"", b"a"))
    since = time.perf_counter()
    assert client.post("/v1/classify", content=content, headers=FORM).status_code == 200
    return 5 + 10 * (time.perf_counter() - since)


def test_a_line_of_very_many_commas_is_refused_as_soon_as_it_is_seen(client: httpx.Client) -> None:
    content = form((b"image", FILE, b"x"), (b"labels", b"", b"a," * 10_000_000))
    most = most_seconds(client, len(content))
    since = time.perf_counter()
    assert detail(client.post("/v1/classify", content=content, headers=FORM), 422).endswith("send fewer at once.")
    assert time.perf_counter() - since < most


@pytest.mark.parametrize(
    ("charset", "label"),
    [("punycode", b"a-" + b"9a" * 500_000), ("unicode_escape", rb"\ud800"), ("undefined", b"a"), ("idna", b"xn--a")],
)
def test_no_charset_is_used_but_utf_8(client: httpx.Client, charset: str, label: bytes) -> None:
    headers = {"content-type": f"{FORM['content-type']}; charset={charset}"}
    most = most_seconds(client, len(label))
    since = time.perf_counter()
    refused = client.post("/v1/classify", content=form((b"labels", b"", label)), headers=headers)
    assert detail(refused, 422) == f"Its charset is {charset!r}: send UTF-8."
    assert time.perf_counter() - since < most
    headers["content-type"] = f"{FORM['content-type']}; charset=UTF-8"
    taken = client.post("/v1/classify", content=form((b"labels", b"", b"a"), (b"image", FILE, b"x")), headers=headers)
    assert taken.status_code == 200


@pytest.mark.parametrize(("start", "end"), [(b'{"a": [', b"]}"), (b"[", b"]")])
@pytest.mark.parametrize("fields", [1, 20])
def test_nested_json_of_a_form_is_bounded_as_a_body_is(
    client: httpx.Client, fields: int, start: bytes, end: bytes
) -> None:
    nested = start + b"1," * (1_000_000 // fields) + b"1" + end
    most = most_seconds(client, fields * len(nested))
    since = time.perf_counter()
    refused = client.post("/v1/classify", content=form(*[(b"labels", b"", nested)] * fields), headers=FORM)
    assert "more than 20,000 values" in detail(refused, 413)
    assert time.perf_counter() - since < most


def test_a_large_file_of_near_boundaries_arrives_whole(client: httpx.Client) -> None:
    content = b"\r\n--ab" * 1_000_000
    sent = form((b"image", FILE, content), (b"labels", b"", b"a"))
    response = client.post("/v1/classify", content=sent, headers=FORM)
    assert response.status_code == 200
    error = response.json()["results"][0]["error"]["detail"]
    assert error.startswith("image 0: not a file of JPEG")
    assert error.endswith(repr(content[:16]))


def test_no_part_is_written_to_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    def roll_over(self: object) -> None:
        raise AssertionError("a part went to disk")

    class Nothing(BaseModel):
        pass

    app = FastAPI()
    app.state.server = SimpleNamespace(config=ServeConfig())

    @app.post("/")
    async def count(request: Request) -> list[int]:
        _, uploads = await read_request(request, Nothing)
        return [len(upload) for upload in uploads]

    async def post() -> httpx.Response:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://localhost") as client:
            return await client.post("/", content=form((b"image", FILE, bytes(20_000_000))), headers=FORM)

    monkeypatch.setattr(tempfile.SpooledTemporaryFile, "rollover", roll_over)
    assert asyncio.run(post()).json() == [20_000_000]


def both(client: httpx.Client, path: str) -> dict[str, Any]:
    content: dict[str, Any] = client.get("/openapi.json").json()["paths"][path]["post"]["requestBody"]["content"]
    return content


def test_operations_go_by_the_names_of_their_functions(client: httpx.Client) -> None:
    paths = client.get("/openapi.json").json()["paths"]
    names = [operation["operationId"] for methods in paths.values() for operation in methods.values()]
    assert {"classify", "create_embeddings", "search_photos", "start_indexing"} <= set(names)
    assert len(names) == len(set(names))


@pytest.mark.parametrize("path", ["/v1/classify", "/v1/similarity"])
def test_both_content_types_are_documented(client: httpx.Client, path: str) -> None:
    content = both(client, path)
    assert set(content) == {"application/json", "multipart/form-data"}
    json_schema, form_schema = (content[kind]["schema"] for kind in ("application/json", "multipart/form-data"))
    assert form_schema["properties"].keys() - json_schema["properties"].keys() == {"image"}
    assert form_schema["properties"]["image"]["items"] == {"type": "string", "format": "binary"}
    assert "$ref" not in str(content)
