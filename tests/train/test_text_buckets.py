"""Captions of a batch in buckets: next to no padding, and the features of texts padded to the context."""

import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.testing import assert_close

from diptych.model.clip import CLIP
from diptych.model.config import CLIPConfig
from diptych.preprocess import Preprocess
from diptych.settings import from_dict
from diptych.tokenizer.clip import clip_tokenizer
from diptych.train.text_buckets import bucket_texts
from diptych.train.towers import Towers
from pairs import VIT

texts = st.lists(st.lists(st.integers(1, 40), min_size=2, max_size=77), min_size=1, max_size=60)


@given(texts=texts)
@settings(deadline=None)
def test_less_than_a_tenth_of_what_is_computed_is_padding(texts: list[list[int]]) -> None:
    assert bucket_texts(texts).padding_share <= 0.1


@given(texts=texts)
@settings(deadline=None)
def test_each_row_finds_its_own_text(texts: list[list[int]]) -> None:
    buckets = bucket_texts(texts)
    rows = [row[row != 0].tolist() for bucket in buckets.tokens for row in bucket]
    assert [rows[i] for i in buckets.rows] == texts
    assert len(rows) == len({tuple(text) for text in texts})


def test_few_buckets_hold_captions_of_like_length() -> None:
    assert len(bucket_texts([[1] * 20, [2] * 20, [3] * 19]).tokens) == 1


def test_the_features_are_those_of_texts_padded_to_the_context() -> None:
    torch.manual_seed(0)
    model = CLIP(from_dict(CLIPConfig, VIT, where="test"))
    towers = Towers(model, Preprocess(size=(32, 32)))
    captions = ["a dog", "two dogs that run in the snow", "a dog", "a", "a cat sits on a very red mat and looks at me"]
    ids = clip_tokenizer().encode_batch(captions)
    padded = torch.tensor([[*text, *[0] * (77 - len(text))] for text in ids])
    expected = F.normalize(model.encode_text(padded), dim=-1)
    assert_close(towers.encode_texts(bucket_texts(ids)), expected, atol=1e-6, rtol=0)  # fp32: other orders of sums
