"""The tables of docs/serving.md: each refusal as it is said there, each limit, each metric."""

import ast
import base64
import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

import httpx
import pytest
import typer
from PIL import Image

import diptych.serve
from diptych.cli.app import app
from diptych.demo.photographs import find_photographs
from diptych.serve.config import Limits
from diptych.serve.metrics import Metrics
from diptych.serve.problem_types import Slug
from served_page import agree

PAGE = (Path(__file__).parents[2] / "docs" / "serving.md").read_text("utf-8")
SOURCE = Path(diptych.serve.__file__).parent
PHOTO = next(photo for photo in find_photographs() if photo.name == "rocket.jpg").read_bytes()
IN_BASE64 = base64.b64encode(PHOTO).decode()

Ask = Callable[[httpx.Client], httpx.Response]


def rows(heading: str, table: int = 0) -> list[list[str]]:
    """The cells of a table below a heading, without its first two lines."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    lines = re.findall(r"(?:^\|.*\n)+", section, re.MULTILINE)[table].splitlines()
    return [[cell.strip().replace("\\|", "|") for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines[2:]]


def embed(**body: object) -> Ask:
    return lambda client: client.post("/v1/embeddings", json=body)


def classify(**body: object) -> Ask:
    return lambda client: client.post("/v1/classify", json={"images": [IN_BASE64], **body})


def search(**body: object) -> Ask:
    return lambda client: client.post("/v1/search", json=body)


def get(path: str, **named: Any) -> Ask:  # noqa: ANN401 (httpx's own)
    return lambda client: client.get(path, **named)


def post(path: str, **named: Any) -> Ask:  # noqa: ANN401 (httpx's own)
    return lambda client: client.post(path, **named)


def large_image() -> str:
    """60 megapixels in a few thousand bytes of PNG."""
    file = io.BytesIO()
    Image.new("1", (10_000, 6_000)).save(file, "PNG")
    return base64.b64encode(file.getvalue()).decode()


# By what the page says is sent.
REFUSALS: dict[str, Ask] = {
    "an address that there is not": get("/v2/classify"),
    "another method": get("/v1/classify"),
    "no JSON": post("/v1/embeddings", content="{input", headers={"Content-Type": "application/json"}),
    "a number that JSON has not (`NaN`)": post(
        "/v1/embeddings", content='{"input": NaN}', headers={"Content-Type": "application/json"}
    ),
    "a field that there is not": embed(input="a cat", inputs="a dog"),
    "a list for a number": classify(labels=["cat", "dog"], top=[1, 2]),
    "a text for a number, in JSON": classify(labels=["cat", "dog"], top="3"),
    "a parameter that is none of its values": get("/v1/photos/1/thumbnail", params={"side": 255}),
    "a field of another's kind, within": classify(labels={"cat": ["a cat", 7]}),
    "tokens for texts": embed(input=[[1, 2, 3]]),
    "a label twice": classify(labels=["dog", "cat", "dog"]),
    "another content type": post("/v1/classify", content="a cat", headers={"Content-Type": "text/plain"}),
    "another content type, where there are no uploads": post("/v1/embeddings", data={"input": "a cat"}),
    "a form that breaks off": post(
        "/v1/classify", content=b"--x\r\nContent-Disp", headers={"Content-Type": "multipart/form-data; boundary=x"}
    ),
    "a file under another name": post("/v1/classify", files={"photo": PHOTO}, data={"labels": "cat"}),
    "an empty text": embed(input=["a cat", " "]),
    "a text of 2,001 characters": embed(input="a" * 2_001),
    "a text beyond the model's context": embed(input=["a cat", "cat " * 99]),
    "2,049 texts": embed(input=["a cat"] * 2_049),
    "65 images": classify(images=[IN_BASE64[:100]] * 65, labels=["cat", "dog"]),
    "1,001 labels": classify(labels=[f"{i}" for i in range(1_001)]),
    "no images": classify(images=[], labels=["cat", "dog"]),
    "no labels": classify(),
    "other dimensions": embed(input="a cat", dimensions=64),
    "another model": embed(input="a cat", model="clip"),
    "a template without `{}`": classify(labels=["cat", "dog"], templates="a photo"),
    "a template's file": classify(labels=["cat", "dog"], templates="templates.txt"),
    "a photo cut short": classify(images=[base64.b64encode(PHOTO[:9_000]).decode()], labels=["cat", "dog"]),
    "a text for an image": classify(images=[base64.b64encode(b"hello, server").decode()], labels=["cat", "dog"]),
    "broken base64": classify(images=["data:image/jpeg;base64,a"], labels=["cat", "dog"]),
    "a path for an image": classify(images=["holiday/cat.png"], labels=["cat", "dog"]),
    "an image of 60 megapixels": lambda client: classify(images=[large_image()], labels=["cat", "dog"])(client),
    "an address, where none are fetched": classify(images=["http://127.0.0.1/cat.jpg"], labels=["cat", "dog"]),
    "a photo cut short, among those for vectors": embed(
        input=["a cat", {"image": base64.b64encode(PHOTO[:9_000]).decode()}]
    ),
    "a body of 33 MB": post("/v1/embeddings", content=b" " * 33_000_000),
    "a search without a library": search(query="a cat"),
    "a Host that is not the server's": get("/v1/models", headers={"Host": "example.com"}),
    "a page of another site": get("/v1/models", headers={"Origin": "https://example.com"}),
}


def said(answer: httpx.Response) -> dict[str, Any]:
    """The problem of a request, or of the only image of one."""
    body = answer.json()
    return body["results"][0]["error"] if "results" in body else body


@pytest.mark.parametrize("row", rows("What is refused"), ids=lambda row: row[0])
def test_what_is_refused_is_refused_as_the_page_says(row: list[str], client: httpx.Client) -> None:
    sent, status, slug, detail = row
    problem = said(REFUSALS[sent](client))
    assert (problem["status"], problem["type"]) == (int(status), f"urn:diptych:problem:{slug.strip('`')}")
    assert agree(detail, problem["detail"]), problem["detail"]


def test_every_refusal_on_the_page_is_tried() -> None:
    assert [row[0] for row in rows("What is refused")] == list(REFUSALS)


def types_on_the_page() -> list[tuple[int, str]]:
    """Status and type of each row of both tables."""
    shown = [(row[1], row[2]) for row in rows("What is refused")]
    more = [(row[1], row[0]) for row in rows("What is refused", table=1)]
    return [(int(status), slug.strip("`")) for status, slug in [*dict.fromkeys(shown), *more]]


def test_every_type_of_problem_is_on_the_page() -> None:
    assert {slug for _, slug in types_on_the_page()} == set(get_args(Slug))
    assert len(types_on_the_page()) == len(set(types_on_the_page()))


def test_the_types_on_the_page_are_those_that_the_server_answers() -> None:
    """By its source: problems that are made of a status and a type as they stand, and words that are types."""
    trees = [ast.parse(file.read_text("utf-8")) for file in SOURCE.rglob("*.py") if file.name != "problem_types.py"]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    calls = [node for node in nodes if isinstance(node, ast.Call) and getattr(node.func, "id", "") == "Problem"]
    starts = [[each.value for each in call.args[:2] if isinstance(each, ast.Constant)] for call in calls]
    made = {(status, slug) for status, slug in (start for start in starts if len(start) == 2)}
    assert len(made) > 40
    assert made <= set(types_on_the_page())
    assert set(get_args(Slug)) <= {node.value for node in nodes if isinstance(node, ast.Constant)}


def test_the_pages_limits_are_those_of_the_server() -> None:
    shown = {row[1].strip("`"): int(re.sub(r"\D", "", row[2])) for row in rows("Limits") if row[1]}
    assert shown == {name: int(value) for name, value in vars(Limits()).items()}


def test_the_pages_metrics_are_those_of_the_server() -> None:
    names = [row[0].strip("`") for row in rows("Metrics")]
    counted = {metric.name for metric in Metrics().registry.collect() if not metric.name.startswith("process_")}
    assert {name.removesuffix("_total") for name in names} == counted


def test_every_option_is_on_the_page() -> None:
    command = typer.main.get_group(app).commands["serve"]
    options = {option for parameter in command.params for option in parameter.opts if option.startswith("--")}
    named = {option for row in rows("Options") for option in re.findall(r"`(--[a-z-]+)", row[0])}
    assert named == options - {"--help"}
