"""The words and captions that pictures are described by."""

from pathlib import Path

import numpy as np
import pytest

from diptych import DualEncoder
from diptych.library.vocabulary import (
    AS_IT_STANDS,
    Vocabulary,
    build_names,
    build_vocabulary,
    list_everyday_words,
    rank_texts,
    read_texts,
)
from diptych.prompts import DEFAULT_LABELS


def test_everyday_words_are_plain_and_each_there_once() -> None:
    words = list_everyday_words()
    assert 1_000 < len(words) < 2_000
    assert len({word.casefold() for word in words}) == len(words)
    assert words[: len(DEFAULT_LABELS)] == tuple(word.partition(" / ")[0] for word in DEFAULT_LABELS)
    assert not [word for word in words if word.strip() != word or set(word) & set("/_()") or len(word) < 3]
    assert {"dog", "beach", "outdoor market", "french fries", "typewriter keyboard"} <= set(words)
    assert "market outdoor" not in words


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("captions.txt", "# what I look for\n\n a dog \na cat\na dog\nA dog\n"),
        ("captions.txt", "\ufeffa dog\r\na cat\r\nA dog"),
        ("captions.json", '["a dog", "a cat", "A dog"]'),
    ],
)
def test_a_file_holds_a_text_a_line_or_a_list(name: str, content: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(content.encode())
    assert read_texts(file) == ("a dog", "a cat", "A dog")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("none.txt", None, "cannot be read: No such file"),
        ("binary.txt", b"\xff\xfe\x00", "cannot be read: "),
        ("empty.txt", b"# nothing\n\n", "holds no texts"),
        ("empty.json", b"[]", "holds no texts"),
        ("broken.json", b"[", "is not JSON"),
        ("object.json", b'{"a": "dog"}', "must hold a JSON list of texts"),
        ("blank.json", b'["a dog", " "]', "must hold a JSON list of texts"),
    ],
)
def test_a_file_that_is_none_says_why(name: str, content: bytes | None, message: str, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message) as raised:
        read_texts(tmp_path / name)
    assert str(tmp_path / name) in str(raised.value)


def test_texts_are_ranked_by_their_cosine_the_earlier_of_equal_ones_first() -> None:
    vocabulary = Vocabulary(
        texts=("east", "north", "again north", "north-east"),
        features=np.array([[1, 0], [0, 1], [0, 1], [0.6, 0.8]], np.float32),
    )
    north, east = rank_texts(np.array([[0, 1], [1, 0]], np.float32), vocabulary, top=3)
    assert [(text.text, text.score) for text in north] == [
        ("north", 1.0),
        ("again north", 1.0),
        ("north-east", pytest.approx(0.8)),
    ]
    assert [text.text for text in east] == ["east", "north-east", "north"]
    assert rank_texts(np.empty((0, 2), np.float32), vocabulary) == []
    with pytest.raises(ValueError, match="top must be at least 1, got 0"):
        rank_texts(np.eye(2, dtype=np.float32), vocabulary, top=0)


def test_captions_are_encoded_as_they_stand_and_words_in_a_sentence(encoder: DualEncoder) -> None:
    captions = build_vocabulary(encoder, ["dog {}", "cat"], template=AS_IT_STANDS)
    np.testing.assert_allclose(captions.features, encoder.encode_texts(["dog {}", "cat"]), atol=1e-6)
    words = build_vocabulary(encoder, ["dog"])
    np.testing.assert_allclose(words.features, encoder.encode_texts(["a photo of a dog."]), atol=1e-6)


def test_groups_are_called_by_the_default_labels_or_by_the_words_given(encoder: DualEncoder) -> None:
    assert build_names(encoder).texts == DEFAULT_LABELS
    assert build_names(encoder, ["dog"]).texts == ("dog",)
