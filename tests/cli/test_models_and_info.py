from pathlib import Path

import pytest
from command import environment, printed_json, succeeded

import formats
from diptych.checkpoints.describe import describe
from diptych.checkpoints.open_clip_tags import OPEN_CLIP_TAGS
from diptych.model.presets import OPENAI_PRESETS, PRESETS


def test_models_lists_openais_nine_and_every_preset() -> None:
    rows = printed_json("models")
    assert [row["name"] for row in rows] == ["postcard", *OPENAI_PRESETS, *PRESETS]
    first = next(row for row in rows if row["name"] == "ViT-B/32")
    assert first == {
        "name": "ViT-B/32",
        "kind": "openai",
        "parameters": 151_277_313,
        "embed_dim": 512,
        "image_size": [224, 224],
        "activation": "quick_gelu",
        "tags": [],
    }


def test_models_shows_a_line_for_each_even_in_a_narrow_terminal() -> None:
    assert environment()["COLUMNS"] == "120"
    shown = succeeded("models", COLUMNS="80").splitlines()
    assert len(shown) == 2 + len(OPENAI_PRESETS) + len(PRESETS)
    assert shown[0].split() == ["name", "parameters", "embed_dim", "image", "activation", "weights"]
    assert any(line.split()[:5] == ["ViT-L-14-336-quickgelu", "428", "M", "768", "336"] for line in shown)


def test_models_lists_tags_when_asked() -> None:
    shown = succeeded("models", "--tags").splitlines()
    assert "ViT-B-32:laion2b_s34b_b79k" in shown
    assert sum(":" in line for line in shown) == sum(map(len, OPEN_CLIP_TAGS.values()))


def test_info_prints_what_is_known_of_a_model(tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model", "huggingface")
    facts = printed_json("info", folder)
    assert facts == describe(str(folder))
    shown = succeeded("info", folder)
    for part in (str(folder), "huggingface", facts["fingerprint"], "quick_gelu", "32 x 32", "float32", "vocab_size 60"):
        assert part in shown


@pytest.mark.parametrize("name", ["ViT-B/32", "RN50", "ViT-bigG-14"])
def test_info_knows_a_preset_without_fetching_it(name: str) -> None:
    shown = succeeded("info", name)
    assert "none: weights not read" in shown
    assert f"{describe(name)['parameters'] / 1e6:.1f} M" in shown
