"""The openai package against the live server: code written for OpenAI's embeddings runs after changing the address."""

import base64
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import openai
import pytest
from numpy.testing import assert_allclose

import diptych
from diptych import DualEncoder
from diptych.demo.photographs import find_photographs
from diptych.encode.encoder import Features
from serve_command import ServeCommand, StartServer

TEXTS = ["two dogs in snow", "a red bicycle", "東京"]
PHOTOS = [path for path in find_photographs() if path.suffix == ".jpg"]
# The server computes what comes together as one batch, whose float32 sums are rounded otherwise.
ROUNDING = 1e-6


def client_of(server: ServeCommand, key: str = "unused") -> openai.OpenAI:
    # No proxy stands between this process and itself, whatever the environment says.
    direct = openai.DefaultHttpxClient(trust_env=False)
    return openai.OpenAI(base_url=f"{server.url}/v1", api_key=key, max_retries=0, http_client=direct)


@pytest.fixture(scope="module")
def openai_client(served: ServeCommand) -> Iterator[openai.OpenAI]:
    with client_of(served) as client:
        yield client


@pytest.fixture(scope="module")
def postcard() -> DualEncoder:
    return diptych.load(dtype="float32", device="cpu")


def data_uri(photo: Path) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(photo.read_bytes()).decode()


def vectors(response: openai.types.CreateEmbeddingResponse) -> Features:
    assert [item.index for item in response.data] == list(range(len(response.data)))
    return np.array([item.embedding for item in response.data], np.float32)


def detail(error: openai.APIStatusError) -> str:
    """What the server says of it, which is also what the package shows."""
    assert isinstance(error.body, dict)
    assert str(error) == f"Error code: {error.status_code} - {error.body['detail']}"
    return str(error.body["detail"])


# ---- embeddings


def test_texts_come_in_base64_as_the_package_asks(openai_client: openai.OpenAI, postcard: DualEncoder) -> None:
    raw = openai_client.embeddings.with_raw_response.create(model="postcard", input=TEXTS)
    assert b'"encoding_format":"base64"' in raw.http_request.content
    assert_allclose(vectors(raw.parse()), postcard.encode_texts(TEXTS), atol=ROUNDING)


def test_texts_come_as_numbers_where_these_are_asked_for(openai_client: openai.OpenAI, postcard: DualEncoder) -> None:
    response = openai_client.embeddings.create(model="postcard", input=TEXTS, encoding_format="float")
    assert_allclose(vectors(response), postcard.encode_texts(TEXTS), atol=ROUNDING)


def test_one_text_needs_no_list(openai_client: openai.OpenAI, postcard: DualEncoder) -> None:
    response = openai_client.embeddings.create(model="postcard", input="a photo of a dog", user="somebody")
    assert_allclose(vectors(response), postcard.encode_texts(["a photo of a dog"]), atol=ROUNDING)
    assert (response.object, response.model) == ("list", "postcard")
    assert (response.usage.prompt_tokens, response.usage.total_tokens) == (7, 7)  # with the tokens of start and end


def test_many_texts_keep_their_order(openai_client: openai.OpenAI, postcard: DualEncoder) -> None:
    texts = [f"photo {i % 150} of a {'cat' if i % 2 else 'very small dog'}" for i in range(400)]
    response = openai_client.embeddings.create(model="postcard", input=texts)
    assert_allclose(vectors(response), postcard.encode_texts(texts), atol=ROUNDING)


def test_images_go_as_data_uris_among_texts(openai_client: openai.OpenAI, postcard: DualEncoder) -> None:
    first, second = PHOTOS[:2]
    response = openai_client.embeddings.create(model="postcard", input=[data_uri(first), "a cat", data_uri(second)])
    images, texts = postcard.encode_images([first, second]), postcard.encode_texts(["a cat"])
    assert_allclose(vectors(response), np.stack([images[0], texts[0], images[1]]), atol=ROUNDING)
    assert response.usage.total_tokens == 4


def test_images_go_as_items_too(openai_client: openai.OpenAI, postcard: DualEncoder) -> None:
    items = [{"image": data_uri(PHOTOS[0])}, {"text": "a cat"}]
    response = openai_client.embeddings.create(model="postcard", input=items)  # type: ignore[arg-type]
    rows = [postcard.encode_images(PHOTOS[:1]), postcard.encode_texts(["a cat"])]
    assert_allclose(vectors(response), np.concatenate(rows), atol=ROUNDING)


def test_the_models_own_dimensions_may_be_asked_for(openai_client: openai.OpenAI, postcard: DualEncoder) -> None:
    response = openai_client.embeddings.create(model="postcard", input="a", dimensions=postcard.embed_dim)
    assert vectors(response).shape == (1, postcard.embed_dim)


# ---- errors, as the package raises them


def test_other_dimensions_are_refused(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        openai_client.embeddings.create(model="postcard", input="a", dimensions=64)
    assert "leave dimensions out" in detail(refused.value)
    assert refused.value.response.headers["content-type"] == "application/problem+json"


def test_another_model_is_not_found(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        openai_client.embeddings.create(model="text-embedding-3-small", input="a")
    assert "has no model 'text-embedding-3-small', only 'postcard'" in detail(refused.value)
    with pytest.raises(openai.NotFoundError):
        openai_client.models.retrieve("gpt-5")


def test_a_bad_image_is_named_by_its_index(openai_client: openai.OpenAI) -> None:
    bad = "data:image/png;base64,aGk="
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        openai_client.embeddings.create(model="postcard", input=["a", data_uri(PHOTOS[0]), bad])
    assert isinstance(refused.value.body, dict)
    assert [item["index"] for item in refused.value.body["items"]] == [2]


def test_a_bad_text_is_named_by_its_index_among_images_too(openai_client: openai.OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        openai_client.embeddings.create(model="postcard", input=[data_uri(PHOTOS[0]), "a", ""])
    assert isinstance(refused.value.body, dict)
    assert refused.value.body["items"] == [{"index": 2, "detail": "text 2: empty"}]


@pytest.mark.parametrize("texts", [[], "", ["a", " "], [[1, 2, 3]], ["word " * 500]], ids=repr)
def test_inputs_that_are_no_texts_are_refused(openai_client: openai.OpenAI, texts: list[str]) -> None:
    with pytest.raises(openai.UnprocessableEntityError):
        openai_client.embeddings.create(model="postcard", input=texts)


@pytest.mark.parametrize("tokens", [[1, 2, 3], [[1, 2], [3]]], ids=repr)
def test_token_ids_are_refused_with_what_langchain_must_be_told(
    openai_client: openai.OpenAI, tokens: list[int] | list[list[int]]
) -> None:
    with pytest.raises(openai.UnprocessableEntityError) as refused:
        openai_client.embeddings.create(model="postcard", input=tokens)
    assert "set check_embedding_ctx_length=False" in detail(refused.value)


# ---- models, and keys


def test_models_are_listed_and_retrieved(openai_client: openai.OpenAI) -> None:
    (model,) = openai_client.models.list()
    assert (model.id, model.object, model.owned_by) == ("postcard", "model", "diptych")
    assert openai_client.models.retrieve("postcard") == model


def test_the_packages_key_is_the_servers(start_server: StartServer) -> None:
    server = start_server("--api-key", "env:KEYS", env={"KEYS": "a-key-of-forty-characters-or-nearly-so-x"})
    with client_of(server, "a-key-of-forty-characters-or-nearly-so-x") as known:
        assert len(known.embeddings.create(model="postcard", input="a").data) == 1
    with client_of(server, "another-key-of-forty-characters-or-so-xy") as unknown:
        for ask in (lambda: unknown.embeddings.create(model="postcard", input="a"), unknown.models.list):
            with pytest.raises(openai.AuthenticationError):
                ask()
