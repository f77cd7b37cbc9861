"""Photos searched over HTTP: the same as in the library itself, and nothing but what is in it."""

import base64
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest

from diptych.library.catalogue_root import CatalogueRoot
from diptych.library.field_filters import FieldFilter
from diptych.library.filters import Filters, Near
from diptych.library.library import PhotoLibrary
from diptych.library.query import Picture, Term, Words
from diptych.library.search import Hit
from serve_command import ServeCommand
from served_photos import index, open_library, photograph, write_holiday, write_photo

TOLERANCE = 1e-5  # of cosines in float32, which are added up in another order where others are computed beside
SHOP = "sku,photo,title,price,colour\n1,mug.jpg,A mug,19.9,red\n2,page.jpg,A page,5,white\n"


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders `holiday` and `shop`, and a library of both."""
    place = tmp_path_factory.mktemp("place of photos")
    holiday = write_holiday(place / "holiday")
    write_photo(place / "shop/mug.jpg", "coffee")
    write_photo(place / "shop/page.jpg", "page")
    (place / "shop/products.csv").write_text(SHOP)
    shop = CatalogueRoot(path=place / "shop/products.csv", image_column="photo", id_column="sku", text_column="title")
    index(place / "library", holiday, shop)
    return place


@pytest.fixture(scope="module")
def client(place: Path) -> Iterator[httpx.Client]:
    """A server of that library, in which a part of a folder has a name of its own."""
    options = ("--library", place / "library", "--root", f"pets={place / 'holiday/animals'}")
    with ServeCommand(*options) as server, httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        yield client


@pytest.fixture(scope="module")
def library(place: Path) -> Iterator[PhotoLibrary]:
    with open_library(place / "library") as library:
        yield library


def search(client: httpx.Client, **asked: object) -> dict[str, Any]:
    response = client.post("/v1/search", json=asked)
    assert response.status_code == 200, response.text
    return response.json()


def names(answer: dict[str, Any]) -> set[str]:
    return {hit["name"] for hit in answer["hits"]}


def check_same(answer: dict[str, Any], hits: list[Hit]) -> None:
    found = answer["hits"]
    assert [hit["id"] for hit in found] == [hit.id for hit in hits]
    np.testing.assert_allclose([hit["score"] for hit in found], [hit.score for hit in hits], atol=TOLERANCE)
    assert [hit["relevance"] is None for hit in found] == [hit.relevance is None for hit in hits]
    relevance = [hit["relevance"] or 0 for hit in found]
    np.testing.assert_allclose(relevance, [hit.relevance or 0 for hit in hits], atol=1e-4)  # the logistic is steeper
    same = ("width", "height", "taken_at", "second", "text")
    assert [{name: hit[name] for name in same} for hit in found] == [
        {name: getattr(hit, name) for name in same} for hit in hits
    ]


@pytest.mark.parametrize(
    "query",
    ["a cat", "two dogs in snow", "a rocket + 0.5:night - people", "photo:1", "photo:2 - photo:1 + red", '"a + b"'],
)
def test_queries_find_what_the_library_finds(client: httpx.Client, library: PhotoLibrary, query: str) -> None:
    check_same(search(client, query=query), library.search(query))
    check_same(search(client, query=query, top=2, skip=1), library.search(query, top=2, skip=1))
    check_same(search(client, query=query, threshold=0.4), library.search(query, threshold=0.4))


def test_limits_of_relevance_are_the_library_s(client: httpx.Client, library: PhotoLibrary) -> None:
    check_same(search(client, query="a cat", min_relevance=0.5), library.search("a cat", min_relevance=0.5))


def test_pictures_are_terms_as_files_are_in_the_library(
    client: httpx.Client, library: PhotoLibrary, tmp_path: Path
) -> None:
    file = tmp_path / "upload.png"
    file.write_bytes(photograph("chelsea"))
    text = base64.b64encode(photograph("chelsea")).decode()
    alone = library.search([Term(Picture(str(file)))])
    check_same(search(client, images=[text]), alone)
    check_same(search(client, images=[f"data:image/png;base64,{text}"], query=" "), alone)
    both = library.search([Term(Words("a red thing")), Term(Picture(str(file)), -0.5)])
    check_same(search(client, query="a red thing", images=[{"image": text, "weight": -0.5}]), both)


def test_a_form_is_as_good_as_json(client: httpx.Client, library: PhotoLibrary, tmp_path: Path) -> None:
    file = tmp_path / "upload.png"
    file.write_bytes(photograph("chelsea"))
    form = {"query": "a red thing", "top": "3", "filters": '{"format": "jpg"}'}
    response = client.post("/v1/search", data=form, files={"image": ("cat.png", photograph("chelsea"), "image/png")})
    terms = [Term(Words("a red thing")), Term(Picture(str(file)))]
    check_same(response.json(), library.search(terms, top=3, filters=Filters(format="jpg")))


@pytest.mark.parametrize(
    ("asked", "filters"),
    [
        ({"since": "2024"}, Filters(since="2024")),
        ({"until": "2023-01"}, Filters(until="2023-01")),
        ({"camera": "canon"}, Filters(camera="canon")),
        ({"format": "png"}, Filters(format="png")),
        ({"min_side": 400}, Filters(min_side=400)),
        (
            {"near": {"latitude": 48.9, "longitude": 2.3, "km": 20}},
            Filters(near=Near(latitude=48.9, longitude=2.3, km=20)),
        ),
        (
            {"fields": [{"name": "price", "op": "<=", "value": 5}]},
            Filters(fields=(FieldFilter(name="price", op="<=", value=5),)),
        ),
        (
            {"fields": [{"name": "colour", "value": "red"}, {"name": "title", "op": "~", "value": "MUG"}]},
            Filters(fields=(FieldFilter(name="title", op="~", value="mug"),)),
        ),
    ],
)
def test_filters_let_through_what_the_library_s_do(
    client: httpx.Client, library: PhotoLibrary, asked: dict[str, Any], filters: Filters
) -> None:
    hits = library.search("a photo", filters=filters)
    assert 0 < len(hits) < library.count()
    check_same(search(client, query="a photo", filters=asked), hits)


def test_roots_go_by_names(client: httpx.Client) -> None:
    assert names(search(client, query="a photo", filters={"root": "products.csv"})) == {"1", "2"}
    (cat,) = search(client, query="a photo", filters={"root": "pets"})["hits"]
    assert (cat["root"], cat["name"]) == ("pets", "cat.jpg")
    holiday = search(client, query="a photo", filters={"root": "holiday"})
    assert len(holiday["hits"]) == 7
    assert {"space/moon.jpg", "cat.jpg"} < names(holiday)
    refused = client.post("/v1/search", json={"query": "cat", "filters": {"root": "elsewhere"}})
    assert refused.status_code == 422
    assert (
        refused.json()["detail"] == "There is no root 'elsewhere'; those that there are: pets, holiday, products.csv."
    )


@pytest.mark.parametrize(
    "filters",
    [
        {"camera": "' OR 1=1 --"},
        {"camera": "%"},
        {"fields": [{"name": "price", "op": "=", "value": "5) OR (1=1"}]},
    ],
)
def test_sql_in_a_filter_is_plain_text(client: httpx.Client, filters: dict[str, Any]) -> None:
    assert search(client, query="cat", filters=filters) == {"hits": [], "nothing_matches": None}


def test_an_answer_names_no_path_of_the_machine(client: httpx.Client, place: Path) -> None:
    text = json.dumps(search(client, query="a photo", top=200))
    assert str(place) not in text
    assert place.name not in text


@pytest.mark.parametrize(
    ("asked", "words"),
    [
        ({}, "Say what to find"),
        ({"query": "  "}, "Say what to find"),
        ({"query": "img:/etc/passwd"}, "names a file, which a server does not read"),
        ({"query": "a cat - 2:img:beach.jpg"}, "names a file, which a server does not read"),
        ({"query": "cat + "}, "A term is empty"),
        ({"query": "img:"}, "A term is empty: write what to find in it."),
        ({"query": "photo:abc"}, "photo:abc is not a photo: write the number of one, such as photo:17."),
        ({"query": "0:cat"}, "The weight 0 is not from"),
        ({"query": "cat - cat"}, "cancel each other out"),
        ({"query": " + ".join(["cat"] * 33)}, "33 terms; 32 are the most"),
        ({"query": "cat" * 1_000}, "text 0: 3,000 characters, 2,000 at most"),
        ({"query": "cat", "images": ["!"]}, "1 of 1 images cannot be read"),
        ({"images": [{"image": base64.b64encode(photograph("moon")).decode(), "weight": 0}]}, "A weight is from"),
        ({"query": "cat - dog", "min_relevance": 0.5}, "leave min_relevance out"),
        ({"query": "cat", "top": 201}, "top must be at most 200, got 201."),
        ({"query": "cat", "skip": 10_001}, "skip must be at most 10,000"),
        ({"query": "cat", "filters": {"where": "1=1"}}, "There is no field filters/where: known are since"),
        ({"query": "cat", "filters": {"folder": "/etc"}}, "There is no field filters/folder"),
        ({"query": "cat", "filters": {"since": "yesterday"}}, "since must be a date"),
        ({"query": "cat", "filters": {"since": "2024-13"}}, "since must be a date such as 2024"),
        ({"query": "cat", "filters": {"until": "2024-02-30"}}, "2024-05 or 2024-05-31, got '2024-02-30'."),
        ({"query": "cat", "filters": {"since": "0000"}}, "since must be a date"),
        ({"query": "cat", "filters": {"since": "2024", "until": "2023"}}, "No time is since 2024 and until 2023"),
        ({"query": "cat", "filters": {"format": "xyz"}}, "There is no format 'xyz': known are JPEG, PNG, 3FR, "),
        ({"query": "cat", "filters": {"format": "JPEG') OR (1=1"}}, "There is no format"),
        ({"query": "cat", "filters": {"fields": [{"name": "prize", "value": 1}]}}, "did you mean price? Known are "),
        ({"query": "cat", "filters": {"fields": [{"name": "price' OR 1=1 --", "value": 1}]}}, "There is no column"),
        ({"query": "cat", "filters": {"min_side": 2**63}}, "filters/min_side must be at most 1,000,000, got"),
        ({"query": "cat", "filters": {"fields": [{"name": "a", "op": "LIKE", "value": "b"}]}}, "/op"),
        ({"query": "cat", "filters": {"near": {"latitude": 91, "longitude": 0, "km": 1}}}, "/latitude"),
    ],
)
def test_what_cannot_be_searched_is_refused_in_one_line(
    client: httpx.Client, asked: dict[str, Any], words: str
) -> None:
    response = client.post("/v1/search", json=asked)
    assert (response.status_code, response.headers["content-type"]) == (422, "application/problem+json")
    assert words in response.json()["detail"]


@pytest.mark.parametrize("part", ["cat + ", "", "cat - 2:"])
def test_words_beyond_what_the_model_reads_are_refused_and_not_cut(client: httpx.Client, part: str) -> None:
    search(client, query="cat")  # whose vector is held, where the long one is not
    response = client.post("/v1/search", json={"query": part + "a cat and " * 60})
    assert (response.status_code, response.json()["type"]) == (422, "urn:diptych:problem:text-too-long")
    said = "The words that begin 'a cat and a cat and a cat and a cat and ' have 182 tokens, and the model reads 77"
    assert response.json()["detail"] == f"{said}: shorten them."


def test_pictures_that_cannot_be_read_are_named(client: httpx.Client) -> None:
    good = base64.b64encode(photograph("moon")).decode()
    response = client.post("/v1/search", json={"images": [good, "AAAA", good, {"image": "?"}]})
    assert [item["index"] for item in response.json()["items"]] == [1, 3]


def test_a_photo_that_there_is_not_is_said(client: httpx.Client) -> None:
    for asked in ({"query": "photo:999999"}, {"query": f"photo:{10**17}"}):
        response = client.post("/v1/search", json=asked)
        assert (response.status_code, response.json()["type"]) == (404, "urn:diptych:problem:no-such-photo")
    for photo in (0, -1, 2**63):
        assert client.post("/v1/similar", json={"photo": photo}).status_code == 422
    assert client.post("/v1/similar", json={"photo": 2**63 - 1}).status_code == 404


def test_it_is_said_when_nothing_matches(client: httpx.Client) -> None:
    assert search(client, query="a cat", top=1)["nothing_matches"] is False
    assert search(client, query="a bowl of noodles in a supermarket car park")["nothing_matches"] is True
    assert search(client, query="a cat", skip=1)["nothing_matches"] is None
    assert search(client, query="photo:1")["nothing_matches"] is None
    for let_none_through in ({"filters": {"format": "heic"}}, {"filters": {"since": "2030"}}, {"threshold": 0.999}):
        assert search(client, query="a cat", **let_none_through) == {"hits": [], "nothing_matches": None}
    (cat, *_) = search(client, query="a cat", top=1)["hits"]
    assert cat["matches"] is True
    assert cat["relevance"] >= 0.5


def test_like_one_photo_are_others_than_itself(client: httpx.Client, library: PhotoLibrary) -> None:
    answer = client.post("/v1/similar", json={"photo": 1, "top": 3, "filters": {"root": "holiday"}}).json()
    check_same(answer, library.similar(1, top=3, filters=Filters(root=library.roots()[0].path)))
    assert answer["nothing_matches"] is None


def test_like_a_picture_is_that_picture_first(client: httpx.Client) -> None:
    response = client.post("/v1/similar", files={"image": photograph("chelsea")}, data={"top": "1"})
    (hit,) = response.json()["hits"]
    assert (hit["name"], hit["root"]) == ("cat.jpg", "pets")
    both = client.post("/v1/similar", files={"image": photograph("chelsea")}, data={"photo": "1"})
    assert both.status_code == client.post("/v1/similar", json={}).status_code == 422


def test_without_a_library_there_is_nothing_to_search(served: ServeCommand) -> None:
    with httpx.Client(base_url=served.url, timeout=60, trust_env=False) as client:
        for path in ("/v1/search", "/v1/similar", "/v1/index"):
            response = client.post(path, json={"query": "cat"} if path != "/v1/index" else {})
            assert (response.status_code, response.json()["type"]) == (404, "urn:diptych:problem:no-library"), path
        for path in ("/v1/photos/1", "/v1/library", "/v1/library/failures", "/v1/jobs", "/v1/jobs/x"):
            assert client.get(path).json()["type"] == "urn:diptych:problem:no-library"
