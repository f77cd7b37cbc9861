import json
import string
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from html import unescape
from itertools import islice, product
from pathlib import Path
from typing import Any

import ftfy
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.errors import CheckpointError
from diptych.tokenizer import (
    ClipTokenizer,
    JsonTokenizer,
    Tokenizer,
    clip_tokenizer,
    cut,
    huggingface_files,
    load_tokenizer,
    pad,
)

REFERENCES = json.loads((Path(__file__).parent / "references" / "tokens.json").read_text())
CLIP = clip_tokenizer()

PLAIN = "".join(character for character in string.printable if character.isprintable() and character != "&")
ANY_TEXT = st.text(st.characters())  # lone surrogates too
WORDS = st.lists(st.text("abcdefghijklmnopqrstuvwxyzéüßñ語犬", min_size=1), max_size=8)
IDS = st.lists(st.integers(0, CLIP.vocab_size - 1))


# --- CLIP's own ------------------------------------------------------------------------------------------------------


def test_ids_equal_the_published_tokenizers() -> None:
    different = [record["text"] for record in REFERENCES if CLIP.encode(record["text"]) != record["ids"]]
    assert different == []
    assert len(REFERENCES) > 700


def test_cut_rows_equal_the_published_tokenizers() -> None:
    long = [record for record in REFERENCES if "cut" in record]
    assert len(long) > 10
    for record in long:
        assert cut(CLIP.encode(record["text"]), 77, CLIP.end_token) == record["cut"]


def test_a_caption_encodes_as_everyone_knows_it() -> None:
    assert CLIP.encode("a photo of a dog") == [49406, 320, 1125, 539, 320, 1929, 49407]


def test_the_end_token_written_in_a_text_is_the_end_token() -> None:
    assert CLIP.encode("a <|EndOfText|>") == [49406, 320, 49407, 49407]


def test_surrogates_are_joined_when_paired_and_replaced_when_alone() -> None:
    assert CLIP.encode("\ud83d\ude00") == CLIP.encode("😀")
    assert CLIP.encode("a\ud83d") == CLIP.encode("a\ufffd")


@given(st.text(PLAIN))
def test_nothing_is_mended_in_plain_ascii(text: str) -> None:
    # What lets the tokenizer leave out ftfy and html for such text, as most captions are.
    assert unescape(unescape(ftfy.fix_text(text))) == text


def test_a_plain_caption_needs_no_slow_imports() -> None:
    code = "import sys, diptych.tokenizer as t; t.clip_tokenizer().encode('a dog'); print(*sys.modules)"
    modules = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.split()
    assert {"ftfy", "tokenizers", "torch"}.isdisjoint(modules)


def test_merges_make_only_pairs_that_were_learnt_later() -> None:
    # What lets a heap take the place of scanning all pairs again after each merge.
    vocabulary = CLIP.vocabulary()
    for i, merge in enumerate(CLIP.merges()):
        left, right = merge.split(" ")
        assert max(vocabulary[left], vocabulary[right]) < vocabulary[left + right] == 512 + i


def test_the_vocabulary_is_one_to_one() -> None:
    assert list(CLIP.vocabulary().values()) == list(range(CLIP.vocab_size))
    assert len(CLIP.merges()) == 49152 - 256 - 2


@given(ANY_TEXT)
def test_any_text_gets_start_and_end_tokens_and_ids_in_range(text: str) -> None:
    ids = CLIP.encode(text)
    assert (ids[0], ids[-1]) == (CLIP.start_token, CLIP.end_token)
    assert all(0 <= i < CLIP.vocab_size for i in ids)


@given(st.lists(ANY_TEXT, max_size=5))
def test_a_batch_is_its_texts_one_by_one(texts: list[str]) -> None:
    assert CLIP.encode_batch(texts) == [CLIP.encode(text) for text in texts]


@given(st.text(PLAIN), st.text(PLAIN))
def test_texts_joined_by_a_space_join_their_ids(left: str, right: str) -> None:
    assert CLIP.encode(f"{left} {right}") == CLIP.encode(left)[:-1] + CLIP.encode(right)[1:]


@given(ANY_TEXT)
def test_what_was_met_before_does_not_matter(text: str) -> None:
    first = ClipTokenizer()
    assert first.encode(text) == first.encode(text) == CLIP.encode(text)


def test_more_words_than_the_cache_holds_keep_their_ids() -> None:
    tokenizer = ClipTokenizer()
    tokenizer.encode(" ".join(map("".join, islice(product(string.ascii_lowercase, repeat=4), 66_000))))
    assert tokenizer.encode("aaaa a photo of dogs") == CLIP.encode("aaaa a photo of dogs")


@given(WORDS)
def test_decoding_gives_lower_case_words_back(words: list[str]) -> None:
    assert CLIP.decode(CLIP.encode(" ".join(words))) == " ".join(words)


def test_decoding_stops_at_the_end_token_so_padding_does_not_show() -> None:
    assert CLIP.decode(pad([CLIP.encode("A dog's bone!")], 77)[0].tolist()) == "a dog 's bone !"


@given(IDS)
def test_any_ids_decode_to_text(ids: list[int]) -> None:
    assert isinstance(CLIP.decode(ids), str)


def test_a_paragraph_without_spaces_is_quick() -> None:
    # 30,000 bytes in one piece; scanning all pairs after each merge would take minutes.
    assert len(CLIP.encode("一只狗在雪地里奔跑吗是的" * 834)) > 10_000


def test_threads_agree() -> None:
    tokenizer = ClipTokenizer()
    texts = [record["text"] for record in REFERENCES]
    with ThreadPoolExecutor(8) as pool:
        batches = list(pool.map(lambda _: tokenizer.encode_batch(texts), range(8)))
    assert batches == [[record["ids"] for record in REFERENCES]] * 8


# --- bad arguments ---------------------------------------------------------------------------------------------------


def test_the_position_of_what_is_not_a_string_is_named() -> None:
    with pytest.raises(ValueError, match=r"^text 1 is not a string but float \(nan\): pass a str$"):
        CLIP.encode_batch(["a", float("nan")])  # type: ignore[list-item]


def test_one_text_that_is_not_a_string_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^text is not a string but bytes \(b'a dog'\)"):
        CLIP.encode(b"a dog")  # type: ignore[arg-type]


def test_a_string_in_place_of_a_batch_is_refused() -> None:
    with pytest.raises(ValueError, match=r"^texts is a single str \('a dog'\): put it in a list$"):
        CLIP.encode_batch("a dog")


@pytest.mark.parametrize("token", [-1, 49408])
def test_an_id_out_of_range_is_refused(token: int) -> None:
    with pytest.raises(ValueError, match=f"^{token} is not a token id: they go from 0 to 49407$"):
        CLIP.decode([token])


# --- rows of one length ----------------------------------------------------------------------------------------------


@given(IDS, st.integers(1, 77))
def test_cut_keeps_what_fits_and_ends_what_does_not(ids: list[int], context_length: int) -> None:
    row = cut(ids, context_length, 49407)
    if len(ids) <= context_length:
        assert row == ids
    else:
        assert row == [*ids[: context_length - 1], 49407]


def test_cut_to_no_length_is_refused() -> None:
    with pytest.raises(ValueError, match="context_length is 0"):
        cut([1, 2], 0, 2)


@given(st.lists(st.lists(st.integers(0, 49407), max_size=9), max_size=6), st.integers(9, 12))
def test_padded_rows_hold_their_ids_and_then_zeros(batch: list[list[int]], length: int) -> None:
    rows = pad(batch, length)
    assert rows.shape == (len(batch), length)
    assert rows.dtype == np.int64
    assert rows.tolist() == [ids + [0] * (length - len(ids)) for ids in batch]


def test_a_row_longer_than_the_length_is_named() -> None:
    with pytest.raises(ValueError, match=r"^row 1 has 3 ids, more than the length 2: cut it first$"):
        pad([[1], [1, 2, 3]], 2)


# --- Hugging Face's --------------------------------------------------------------------------------------------------


def write_clip_files(folder: Path, *names: str) -> Path:
    for name, text in huggingface_files().items():
        if name in names:
            (folder / name).write_text(text, encoding="utf-8")
    return folder


def small_tokenizer(**changes: object) -> dict[str, Any]:
    """The content of a tokenizer.json that knows five words; keyword arguments replace parts of it."""
    words = ["[CLS]", "[SEP]", "[UNK]", "a", "dog"]
    special = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return {
        "version": "1.0",
        "truncation": {"direction": "Right", "max_length": 4, "strategy": "LongestFirst", "stride": 0},
        "padding": None,
        "added_tokens": [{"id": i, "content": words[i], **special} for i in range(3)],
        "normalizer": {"type": "Lowercase"},
        "pre_tokenizer": {"type": "Whitespace"},
        "post_processor": {
            "type": "BertProcessing",
            "sep": ["[SEP]", 1],
            "cls": ["[CLS]", 0],
        },
        "decoder": None,
        "model": {"type": "WordLevel", "vocab": {word: i for i, word in enumerate(words)}, "unk_token": "[UNK]"},
        **changes,
    }


def write_json(path: Path, content: object) -> Path:
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


def test_clips_vocabulary_in_a_folder_is_recognised(tmp_path: Path) -> None:
    assert load_tokenizer(write_clip_files(tmp_path, "tokenizer.json")) is CLIP
    assert load_tokenizer(tmp_path / "tokenizer.json") is CLIP


def test_a_folder_with_only_clips_vocab_json_is_recognised(tmp_path: Path) -> None:
    assert load_tokenizer(write_clip_files(tmp_path, "vocab.json", "merges.txt")) is CLIP


def test_a_folder_without_tokenizer_files_has_clips(tmp_path: Path) -> None:
    assert load_tokenizer(tmp_path) is CLIP


def test_exported_files_give_the_same_ids_without_ftfy(tmp_path: Path) -> None:
    exported = JsonTokenizer(write_clip_files(tmp_path, "tokenizer.json") / "tokenizer.json")
    texts = ["A photo of a dog's 2nd bone!!", "naïve   café\n日本 Привет", "🐶 <|EndOfText|> it'll", "", "x" * 300]
    assert exported.encode_batch(texts) == CLIP.encode_batch(texts)
    assert exported.decode(exported.encode(texts[0])) == CLIP.decode(CLIP.encode(texts[0]))
    assert (exported.start_token, exported.end_token, exported.vocab_size) == (49406, 49407, 49408)


def test_exported_settings_name_what_transformers_needs() -> None:
    files = huggingface_files(context_length=64)
    assert json.loads(files["tokenizer_config.json"])["model_max_length"] == 64
    assert json.loads(files["tokenizer_config.json"])["tokenizer_class"] == "CLIPTokenizer"
    assert json.loads(files["special_tokens_map.json"])["eos_token"] == "<|endoftext|>"
    assert files["merges.txt"].splitlines()[:2] == ["#version: 0.2", "i n"]
    assert json.loads(files["vocab.json"]) == CLIP.vocabulary()


def test_another_vocabulary_is_honoured_uncut(tmp_path: Path) -> None:
    write_json(tmp_path / "tokenizer.json", small_tokenizer())
    tokenizer = load_tokenizer(tmp_path)
    assert tokenizer.encode("A dog a cat a dog") == [0, 3, 4, 3, 2, 3, 4, 1]
    assert tokenizer.encode_batch(["dog", ""]) == [[0, 4, 1], [0, 1]]
    assert tokenizer.decode([0, 3, 4, 1, 0, 0]) == "a dog"
    assert tokenizer.vocab_size == 5


def test_an_added_token_makes_it_another_vocabulary(tmp_path: Path) -> None:
    content = json.loads(huggingface_files()["tokenizer.json"])
    content["added_tokens"].append({**content["added_tokens"][0], "id": 49408, "content": "<my-dog>"})
    tokenizer = load_tokenizer(write_json(tmp_path / "tokenizer.json", content))
    assert tokenizer.encode("a <my-dog>") == [49406, 320, 49408, 49407]
    assert tokenizer.vocab_size == 49409


@pytest.mark.parametrize(
    "beside",
    [
        {"bos_token": "a", "eos_token": "dog"},
        {"bos_token": {"content": "a", "lstrip": False}, "eos_token": {"content": "dog"}},
        {"cls_token": "a", "sep_token": "dog", "unk_token": "[UNK]"},
    ],
)
@pytest.mark.parametrize("name", ["special_tokens_map.json", "tokenizer_config.json"])
def test_ends_named_beside_the_file_are_added(tmp_path: Path, name: str, beside: dict[str, object]) -> None:
    write_json(tmp_path / "tokenizer.json", small_tokenizer(post_processor=None))
    write_json(tmp_path / name, beside)
    assert load_tokenizer(tmp_path).encode("cat") == [3, 2, 4]


def test_usual_ends_are_found_when_none_are_named(tmp_path: Path) -> None:
    write_json(tmp_path / "tokenizer.json", small_tokenizer(post_processor=None))
    assert load_tokenizer(tmp_path).encode("dog") == [0, 4, 1]


def test_surrogates_do_not_stop_a_json_tokenizer(tmp_path: Path) -> None:
    tokenizer = load_tokenizer(write_json(tmp_path / "tokenizer.json", small_tokenizer()))
    assert tokenizer.encode("a \ud83d\ude00 \ud83d dog") == [0, 3, 2, 2, 4, 1]


def test_fingerprints_are_stable_and_tell_tokenizers_apart(tmp_path: Path) -> None:
    def fingerprint(name: str, content: dict[str, Any]) -> str:
        return load_tokenizer(write_json(tmp_path / name, content)).fingerprint

    one = fingerprint("one.json", small_tokenizer())
    assert one == fingerprint("again.json", small_tokenizer())
    others = {CLIP.fingerprint, one, fingerprint("other.json", small_tokenizer(normalizer=None))}
    assert len(others) == 3


def test_a_json_tokenizer_refuses_bad_arguments(tmp_path: Path) -> None:
    tokenizer: Tokenizer = load_tokenizer(write_json(tmp_path / "tokenizer.json", small_tokenizer()))
    with pytest.raises(ValueError, match=r"^text 1 is not a string but int \(3\)"):
        tokenizer.encode_batch(["a", 3])  # type: ignore[list-item]
    with pytest.raises(ValueError, match=r"^5 is not a token id: they go from 0 to 4$"):
        tokenizer.decode([5])


ONE_END = {
    "type": "TemplateProcessing",
    "single": [{"Sequence": {"id": "A", "type_id": 0}}, {"SpecialToken": {"id": "[SEP]", "type_id": 0}}],
    "pair": [],
    "special_tokens": {"[SEP]": {"id": "[SEP]", "ids": [1], "tokens": ["[SEP]"]}},
}
NO_ENDS = {"type": "WordLevel", "vocab": {"a": 0, "[UNK]": 1}, "unk_token": "[UNK]"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "cannot be read as JSON"),
        ("{not json", "cannot be read as JSON"),
        ("\udcff", "cannot be read as JSON"),
        ("[" * 100_000, "cannot be read as JSON"),
        ("[]", "holds a JSON list, not an object"),
        ("{}", "is not a usable tokenizer.json"),
        ('{"model": null}', "is not a usable tokenizer.json"),
        ('{"model": {"type": "BPE", "vocab": {"a": 0}, "merges": ["a b"]}}', "out of vocabulary"),
        (json.dumps(small_tokenizer(model={"type": "WordLevel", "vocab": {}, "unk_token": "?"})), "is not a usable"),
        (json.dumps(small_tokenizer(post_processor=ONE_END)), "does not put a start and an end token around a text"),
        (json.dumps(small_tokenizer(post_processor=None, added_tokens=[], model=NO_ENDS)), "none are named beside it"),
    ],
)
def test_an_unusable_file_is_refused_in_one_line_that_names_it(tmp_path: Path, content: str, reason: str) -> None:
    path = tmp_path / "tokenizer.json"
    path.write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(CheckpointError) as error:
        load_tokenizer(tmp_path)
    message = str(error.value)
    assert message.startswith(str(path))
    assert reason in message
    assert "\n" not in message


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"nothing\.json cannot be read"):
        load_tokenizer(tmp_path / "nothing.json")
    with pytest.raises(CheckpointError, match=r"nothing\.json is not a usable"):
        JsonTokenizer(tmp_path / "nothing.json")


def test_another_vocab_json_alone_is_refused_with_the_remedy(tmp_path: Path) -> None:
    write_json(tmp_path / "vocab.json", {"a": 0})
    with pytest.raises(CheckpointError, match=r"vocab\.json is not CLIP's vocabulary.*AutoTokenizer"):
        load_tokenizer(tmp_path)
