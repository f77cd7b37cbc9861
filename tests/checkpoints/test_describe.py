"""What `diptych info` knows of a model."""

import math
from pathlib import Path

import pytest

import formats
from diptych.checkpoints import load_checkpoint
from diptych.checkpoints.describe import describe
from diptych.checkpoints.fingerprint import fingerprint
from diptych.model.presets import OPENAI_PRESETS, PRESETS
from diptych.tokenizer import clip_tokenizer


def test_every_preset_is_described_without_weights() -> None:
    for name in {**PRESETS, **OPENAI_PRESETS}:
        facts = describe(name)
        assert facts["fingerprint"] is None
        towers = facts["image_tower"]["parameters"] + facts["text_tower"]["parameters"]
        assert facts["parameters"] == towers + 1  # the temperature


def test_a_name_of_both_openais_and_open_clips_is_openais() -> None:
    assert describe("RN50")["activation"] == "quick_gelu"
    assert describe("RN50")["image_tower"]["type"] == "ModifiedResNet"


def test_a_folder_of_a_presets_name_is_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    formats.tiny_folder(tmp_path / "RN50")
    monkeypatch.chdir(tmp_path)
    assert describe("RN50")["embed_dim"] == 8


def test_weights_are_described_as_they_are_stored(tmp_path: Path) -> None:
    archive = formats.write_torchscript("vit", tmp_path)
    facts = describe(str(archive))
    checkpoint = load_checkpoint(archive)
    assert facts["dtypes"] == ["float16", "float32"]
    assert facts["format"] == "openai"
    assert facts["source"] == str(archive)
    assert facts["fingerprint"] == fingerprint(checkpoint, clip_tokenizer())
    assert facts["logit_scale"] == round(math.exp(float(checkpoint.tensors["logit_scale"])), 4)
    assert facts["preprocess"]["size"] == [64, 64]
    assert facts["text_tower"]["config"]["context_length"] == 77
