import base64
import select
import time
from collections.abc import Mapping
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import orjson
import pytest
from numpy.testing import assert_allclose

import diptych
import raw_http
from diptych import DualEncoder
from diptych.calibration import NONE_THRESHOLD, none_of_these
from diptych.demo.photographs import find_photographs
from diptych.library.labelling import encode_background
from diptych.zeroshot import ClassNames
from serve_command import ServeCommand

PHOTOS = find_photographs()[:3]
LABELS = ["dog", "cat", "astronaut", "cup of coffee", "rocket"]
DESCRIBED: dict[str, str | list[str]] = {
    "pet": ["a photo of a dog", "a photo of a cat"],
    "space": "an astronaut in a white suit",
}
# The server computes what comes together as one batch, whose float32 sums are rounded otherwise.
ROUNDING = 1e-5


@pytest.fixture(scope="module")
def encoder() -> DualEncoder:
    return diptych.load(dtype="float32", device="cpu")


def data_uri(content: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


def photo_uris() -> list[str]:
    return [data_uri(path.read_bytes()) for path in PHOTOS]


def classify(client: httpx.Client, **body: object) -> list[dict[str, Any]]:
    response = client.post("/v1/classify", json=body)
    assert response.status_code == 200, response.text
    assert response.json()["model"] == "postcard"
    results: list[dict[str, Any]] = response.json()["results"]
    assert [result["index"] for result in results] == list(range(len(results)))
    return results


def refused(client: httpx.Client, status: int = 422, **body: object) -> dict[str, Any]:
    response = client.post("/v1/classify", json=body)
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert "\n" not in problem["detail"]
    return problem


def assert_ranks(result: Mapping[str, Any], expected: list[diptych.Label]) -> None:
    assert [label["name"] for label in result["labels"]] == [label.name for label in expected]
    for key in ("probability", "cosine"):
        assert_allclose(
            [label[key] for label in result["labels"]], [getattr(label, key) for label in expected], atol=ROUNDING
        )


@pytest.mark.parametrize(
    ("labels", "templates"),
    [
        (LABELS, None),
        (DESCRIBED, None),
        (LABELS, "imagenet-7"),
        (LABELS, ["a drawing of a {}.", "{}"]),
        (LABELS, "{}!"),
    ],
)
def test_labels_are_those_of_a_direct_call(
    client: httpx.Client, encoder: DualEncoder, labels: ClassNames, templates: str | list[str] | None
) -> None:
    chosen = {} if templates is None else {"templates": templates}
    classifier = encoder.classifier(labels, templates)
    expected = classifier.predict(PHOTOS, top=3)
    features = encoder.encode_images(PHOTOS)
    best = np.array([ranked[0].cosine for ranked in expected], np.float32)
    nones = none_of_these(best, features @ encode_background(classifier).T)
    results = classify(client, images=photo_uris(), labels=labels, top=3, **chosen)
    for result, ranked, none in zip(results, expected, nones.tolist(), strict=True):
        assert_ranks(result, ranked)
        # A probability of none is as steep as 1.8 over the spread of the background's cosines, some 0.1.
        assert result["none_of_these"] == pytest.approx(none, abs=20 * ROUNDING)
        assert result["fits"] is (none < NONE_THRESHOLD)


@pytest.mark.parametrize("threshold", [None, 0, 0.9])
def test_labels_that_hold_by_themselves_are_those_of_a_direct_call(
    client: httpx.Client, encoder: DualEncoder, threshold: float | None
) -> None:
    given = {} if threshold is None else {"threshold": threshold}
    expected = encoder.classifier(LABELS).predict_each(PHOTOS, threshold=0.5 if threshold is None else threshold)
    results = classify(client, images=photo_uris(), labels=LABELS, multi=True, **given)
    for result, held in zip(results, expected, strict=True):
        assert_ranks(result, held)
        assert (result["none_of_these"], result["fits"]) == (None, None)


def test_an_image_that_cannot_be_read_has_its_own_error(client: httpx.Client) -> None:
    good, broken = photo_uris()[0], data_uri(PHOTOS[0].read_bytes()[:3000])
    results = classify(client, images=[good, "photo.jpg", good, broken], labels=LABELS)
    assert results[0]["labels"] == results[2]["labels"]
    assert [set(result) for result in results[1::2]] == [{"index", "error"}] * 2
    assert results[1]["error"] == {
        "type": "urn:diptych:problem:image-unreadable",
        "title": "The image cannot be read",
        "status": 422,
        "detail": "image 1: neither a data URI, nor base64, nor an http(s) address (Only base64 data is allowed)",
    }
    assert results[3]["error"]["detail"].startswith("image 3: cannot be read (OSError")


def test_a_form_with_files_is_answered_as_json_is(client: httpx.Client) -> None:
    expected = client.post(
        "/v1/classify", json={"images": photo_uris(), "labels": LABELS, "top": 2, "templates": ["a {}.", "the {}."]}
    )
    files = [("image", (path.name, path.read_bytes(), "image/png")) for path in PHOTOS]
    fields = {"labels": LABELS, "top": "2", "templates": ["a {}.", "the {}."]}
    response = client.post("/v1/classify", files=files, data=fields)
    assert response.status_code == 200, response.text
    assert response.json() == expected.json()


@pytest.mark.parametrize("labels", ["cat, dog,rocket", '["cat", "dog", "rocket"]', ' ["cat","dog","rocket"]'])
def test_labels_come_in_one_field_of_a_form_too(client: httpx.Client, labels: str) -> None:
    files = [("image", ("a.png", PHOTOS[0].read_bytes()))]
    response = client.post("/v1/classify", files=files, data={"labels": labels})
    assert response.json()["results"] == classify(client, images=photo_uris()[:1], labels=["cat", "dog", "rocket"])


def test_repeated_fields_of_a_form_are_labels_as_they_are(client: httpx.Client) -> None:
    files = [("image", ("a.png", PHOTOS[0].read_bytes()))]
    response = client.post("/v1/classify", files=files, data={"labels": ["salt, pepper", "[a cat]"]})
    (result,) = response.json()["results"]
    assert {label["name"] for label in result["labels"]} == {"salt, pepper", "[a cat]"}


def test_labels_with_descriptions_come_in_a_form_as_json(client: httpx.Client) -> None:
    files = [("image", ("a.png", PHOTOS[0].read_bytes()))]
    described = '{"pet": ["a photo of a dog", "a photo of a cat"], "space": "an astronaut in a white suit"}'
    response = client.post("/v1/classify", files=files, data={"labels": described, "multi": "true", "threshold": "0"})
    assert response.json()["results"] == classify(
        client, images=photo_uris()[:1], labels=DESCRIBED, multi=True, threshold=0
    )


def test_an_upload_comes_after_the_images_of_the_form(client: httpx.Client) -> None:
    first, second = photo_uris()[:2]
    files = [("image", ("b.png", PHOTOS[1].read_bytes()))]
    response = client.post("/v1/classify", files=files, data={"images": first, "labels": LABELS})
    assert response.json()["results"] == classify(client, images=[first, second], labels=LABELS)


def test_top_shows_no_more_labels_than_there_are(client: httpx.Client) -> None:
    assert len(classify(client, images=photo_uris()[:1], labels=LABELS, top=99)[0]["labels"]) == len(LABELS)
    assert len(classify(client, images=photo_uris()[:1], labels=["dog"])[0]["labels"]) == 1
    multi = classify(client, images=photo_uris()[:1], labels=LABELS, multi=True, threshold=0, top=2)
    assert len(multi[0]["labels"]) == 2


def test_everyday_labels_can_be_offered_themselves(client: httpx.Client) -> None:
    from diptych.prompts import DEFAULT_LABELS

    everyday = list(DEFAULT_LABELS)
    result = classify(client, images=photo_uris()[:1], labels=everyday)[0]
    assert (len(result["labels"]), result["none_of_these"], result["fits"]) == (5, None, None)
    problem = refused(client, images=photo_uris()[:1], labels=everyday, multi=True)
    assert problem["detail"].startswith("multi holds each label against everyday ones, and none can be had")


def test_many_templates_of_ones_own_leave_none_of_these_out(client: httpx.Client) -> None:
    result = classify(client, images=photo_uris()[:1], labels=LABELS, templates=[f"{n} {{}}" for n in range(17)])[0]
    assert (len(result["labels"]), result["none_of_these"]) == (5, None)


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({}, "there are no labels: give labels, or label_set with the name of a stored set."),
        ({"labels": []}, "labels is empty: give one at least."),
        ({"labels": {}}, "labels is empty: give one at least."),
        ({"labels": ["dog", " "]}, "1 of 2 labels cannot be used, the first of them: label 1: empty."),
        ({"labels": {"dog": []}}, "labels/dog must have 1 item at least, got 0."),
        ({"labels": {"dog": ["a dog", ""]}}, "1 of 1 labels cannot be used, the first of them: label 0: empty."),
        ({"labels": ["a" * 2001]}, "the first of them: label 0: 2,001 characters, 2,000 at most."),
        ({"labels": ["dog", "bow wow " * 40]}, "1 of 2 labels are longer in their templates than the 77 tokens"),
        ({"labels": ["dog"] * 1001}, "There are 1,001 labels, 1,000 at most: send fewer at once."),
        ({"labels": ["dog", "cat", "dog"]}, "label 2: 'dog' is label 0 already: give each label once."),
        ({"labels": ["dog"] * 126, "templates": "imagenet"}, "There are 10,080 prompts (labels times templates)"),
        ({"labels": {"dog": ["a dog"] * 10_001}}, "There are 10,001 prompts (labels times templates)"),
        ({"labels": ["dog"], "templates": "imagnet"}, "templates: there are no templates named 'imagnet'; the nearest"),
        ({"labels": ["dog"], "templates": "no place"}, "templates: there are no templates named 'no place'"),
        ({"labels": ["dog"], "templates": []}, "templates: templates must hold at least one, got none."),
        ({"labels": ["dog"], "templates": ["{} {}"]}, "templates: A template must have one {} where"),
        ({"labels": ["dog"], "templates": ["imagenet"]}, "templates: A template must have one {} where"),
        ({"labels": ["dog"], "templates": [""]}, "1 of 1 templates cannot be used, the first of them: template 0: em"),
        ({"labels": ["dog"], "threshold": 0.5}, "threshold goes with multi, which holds each label by itself"),
        ({"labels": ["dog"], "threshold": 2, "multi": True}, "threshold must be at most 1, got 2."),
        ({"labels": ["dog"], "top": 0}, "top must be at least 1, got 0."),
        ({"labels": "dog"}, "labels must be a list of texts or an object, got 'dog'."),
        ({"labels": ["dog"], "label_set": "pets"}, "label_set brings labels and templates of its own"),
        ({"labels": ["dog"], "images": []}, "There are no images: give images, or upload files named image."),
        ({"labels": ["dog"], "images": ["a"] * 65}, "There are 65 images, 64 at most: send fewer at once."),
        ({"labels": ["dog"], "colour": 1}, "There is no field colour: known are images, labels"),
        ({"labels": ["dog"], "c" * 1_000: 1}, f"There is no field {'c' * 100}: known are images"),
    ],
)
def test_what_cannot_be_asked_is_said(client: httpx.Client, body: dict[str, Any], detail: str) -> None:
    assert detail in refused(client, **{"images": photo_uris()[:1], **body})["detail"]


def test_items_at_fault_are_named(client: httpx.Client) -> None:
    problem = refused(client, images=photo_uris()[:1], labels=["dog", "", "cat", "x" * 3000])
    assert [item["index"] for item in problem["items"]] == [1, 3]
    problem = refused(client, images=photo_uris()[:1], labels=["dog", "yes " * 100], templates="imagenet-7")
    assert problem["items"] == [{"index": 1, "detail": "label 1: too long in its templates"}]


def test_no_file_is_read_as_templates(client: httpx.Client, tmp_path: Path) -> None:
    secret = tmp_path / "secret.txt"
    secret.write_text("the password is {}")
    for templates in (str(secret), [str(secret)], f"file://{secret}"):
        problem = refused(client, images=photo_uris()[:1], labels=["dog"], templates=templates)
        assert problem["type"] == "urn:diptych:problem:bad-template"
        assert "password" not in problem["detail"]


def test_without_a_library_there_are_no_label_sets(client: httpx.Client) -> None:
    assert refused(client, 404, images=photo_uris()[:1], label_set="pets")["type"] == "urn:diptych:problem:no-library"


def test_a_larger_set_of_labels_goes_through_the_cache_too(client: httpx.Client, encoder: DualEncoder) -> None:
    names = [f"thing number {number}" for number in range(700)]
    (result,) = classify(client, images=photo_uris()[:1], labels=names)
    assert_ranks(result, encoder.classifier(names, cache=False).predict(PHOTOS[:1], top=5)[0])

    def hits() -> float:
        found = client.get("/metrics").text.split('diptych_text_cache_total{result="hit"} ')[1]
        return float(found.split()[0])

    before = hits()
    classify(client, images=photo_uris()[:1], labels=[*names, "one more"])
    assert hits() - before >= len(names)


def test_similarity_is_that_of_a_direct_call(client: httpx.Client, encoder: DualEncoder) -> None:
    texts = ["a dog", "an astronaut", "東京"]
    body = {"images": [*photo_uris(), "AAAA"], "texts": texts}
    found = client.post("/v1/similarity", json=body).json()
    expected = encoder.encode_images(PHOTOS) @ encoder.encode_texts(texts).T
    assert_allclose(found["cosines"][:-1], expected, atol=ROUNDING)
    assert found["cosines"][-1] is None
    assert found["logit_scale"] == pytest.approx(encoder.logit_scale)
    (fault,) = found["errors"]
    assert (fault["index"], fault["error"]["status"]) == (3, 422)
    assert fault["error"]["detail"].startswith("image 3: not a file of JPEG, PNG, ")
    files = [("image", (path.name, path.read_bytes())) for path in PHOTOS]
    assert client.post("/v1/similarity", files=files, data={"texts": texts}).json()["cosines"] == found["cosines"][:-1]


def test_many_large_lists_are_refused_and_leave_room_for_small_ones(served: ServeCommand, client: httpx.Client) -> None:
    def ask(number: int) -> bytes:
        labels = [f"label {label} of request {number}" for label in range(1_000)]
        body = orjson.dumps(
            {"images": photo_uris()[:1], "labels": labels, "templates": [f"form {form} of {{}}" for form in range(10)]}
        )
        head = raw_http.head(
            "POST", "/v1/classify", served.url, Content_Type="application/json", Content_Length=len(body)
        )
        return head + body

    def is_refused(request: bytes) -> bool:
        with closing(raw_http.connect(served.url)) as connection:
            connection.sendall(request)
            if not select.select([connection], (), (), 1)[0]:
                return False  # it is worked on
            assert raw_http.status_of(raw_http.read_answer(connection)) == 429
            return True

    with ExitStack() as stack:
        held = [stack.enter_context(closing(raw_http.connect(served.url))) for _ in range(3)]
        for number, connection in enumerate(held):
            connection.sendall(ask(number))
        (answered, *_), _, _ = select.select(held, (), (), 60)  # that which came last; two are worked on for long
        answer = raw_http.read_answer(answered)
        assert (raw_http.status_of(answer), b"retry-after: " in answer) == (429, True)
        small = [f"label {time.perf_counter()}", "cat"]
        assert client.post("/v1/classify", json={"images": photo_uris()[:1], "labels": small}).status_code == 200
    until = time.monotonic() + 60
    while is_refused(ask(3)):  # until those who went have left their room
        assert time.monotonic() < until


@pytest.mark.parametrize(
    ("body", "detail"),
    [
        ({"texts": []}, "texts is empty: give one at least."),
        (
            {"texts": ["dog", ""]},
            "1 of 2 texts cannot be used, the first of them: text 1: empty. Write 1 to 2,000 Unicode characters.",
        ),
        ({"texts": ["dog", "bow wow " * 40]}, "1 of 2 texts are longer than the model reads"),
        ({"texts": ["dog"], "images": []}, "There are no images"),
        ({}, "texts is needed: give a list of texts."),
    ],
)
def test_what_cannot_be_compared_is_said(client: httpx.Client, body: dict[str, Any], detail: str) -> None:
    response = client.post("/v1/similarity", json={"images": photo_uris()[:1], **body})
    assert response.status_code == 422
    assert detail in response.json()["detail"]
