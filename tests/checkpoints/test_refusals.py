"""What is no plain CLIP, what does not fit, and what was not told: refused in one line that says so."""

import json
import warnings
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import formats
import seeded
from diptych.checkpoints import load_checkpoint
from diptych.checkpoints.open_clip_tags import OPEN_CLIP_TAGS
from diptych.errors import CheckpointError
from diptych.model.config import CLIPConfig
from diptych.model.presets import PRESETS
from diptych.model.shapes import tensor_shapes


def refusal(path: Path | str, **options: Any) -> str:  # noqa: ANN401
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def changed_weights(folder: Path, change: Callable[[dict[str, torch.Tensor]], object]) -> Path:
    """The folder with something done to the tensors of its only safetensors file."""
    (path,) = folder.glob("*.safetensors")
    tensors = {name: tensor.clone() for name, tensor in safetensors.torch.load_file(path).items()}
    change(tensors)
    safetensors.torch.save_file(tensors, path)
    return folder


# ---- other families

OTHER_FAMILIES = {
    "visual.trunk.blocks.0.norm1.weight": "timm",
    "text.transformer.embeddings.word_embeddings.weight": "Hugging Face text model",
    "text.transformer.encoder.layer.0.output.dense.bias": "Hugging Face text model",
    "text_decoder.ln_final.weight": "CoCa",
    "logit_bias": "SigLIP",
    "visual.attn_pool.query": "attentional pooler",
    "text.cls_emb": "class token",
}


@pytest.mark.parametrize(("key", "reason"), OTHER_FAMILIES.items(), ids=OTHER_FAMILIES)
def test_weights_of_another_family_are_refused_by_name(key: str, reason: str, tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model", "openclip")
    changed_weights(folder, lambda tensors: tensors.update({key: torch.zeros(1)}))
    assert "not of the CLIP family" in (text := refusal(folder))
    assert reason in text


def test_siglips_weights_in_hugging_faces_names_are_refused(tmp_path: Path) -> None:
    tensors = {"vision_model.head.probe": torch.zeros(1), "text_model.head.weight": torch.zeros(1)}
    safetensors.torch.save_file(tensors, tmp_path / "siglip.safetensors")
    assert "SigLIP" in refusal(tmp_path / "siglip.safetensors", preset="ViT-B-32")


@pytest.mark.parametrize("model_type", ["siglip", "clip_vision_model", "bert", None])
def test_a_hugging_face_model_of_another_type_is_refused_by_its_type(model_type: str | None, tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model", "huggingface")
    formats.edit_json(folder / "config.json", model_type=model_type)
    text = refusal(folder)
    assert repr(model_type) in text
    assert "'clip'" in text


FOREIGN_OPEN_CLIP = {
    "vision_cfg.timm_model_name": "vit_medium_patch16_gap_256",
    "vision_cfg.attentional_pool": True,
    "vision_cfg.pool_type": "avg",
    "text_cfg.hf_model_name": "roberta-base",
    "text_cfg.embed_cls": True,
    "text_cfg.no_causal_mask": True,
    "model_cfg.multimodal_cfg": {"context_length": 76},
    "model_cfg.init_logit_bias": -10,
    "vision_cfg.frobnicate": 3,
}


@pytest.mark.parametrize(("key", "value"), FOREIGN_OPEN_CLIP.items(), ids=FOREIGN_OPEN_CLIP)
def test_an_open_clip_config_that_says_more_is_refused_by_its_key(key: str, value: object, tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model", "openclip")
    model = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    part, name = key.split(".")
    (model if part == "model_cfg" else model[part])[name] = value
    formats.edit_json(folder / "open_clip_config.json", model_cfg=model)
    text = refusal(folder)
    assert key in text
    assert repr(value) in text


def test_keys_of_an_open_clip_config_that_change_nothing_are_taken(tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model", "openclip")
    model = json.loads((folder / "open_clip_config.json").read_text())["model_cfg"]
    model["vision_cfg"] |= {"attentional_pool": False, "timm_model_name": None, "pool_type": "tok"}
    model["text_cfg"] |= {"embed_cls": False, "hf_tokenizer_name": "openai/clip-vit-base-patch32"}
    formats.edit_json(folder / "open_clip_config.json", model_cfg=model | {"custom_text": True})
    assert load_checkpoint(folder).config == load_checkpoint(formats.tiny_folder(tmp_path / "b", "openclip")).config


# ---- keys and shapes


def test_missing_unknown_and_misshapen_tensors_are_named_with_the_closest_preset(tmp_path: Path) -> None:
    def spoil(tensors: dict[str, torch.Tensor]) -> None:
        del tensors["text.ln_final.weight"]
        tensors["text.extra"] = torch.zeros(3)
        tensors["visual.proj"] = torch.zeros(16, 9)

    text = refusal(changed_weights(formats.tiny_folder(tmp_path / "model"), spoil))
    assert "missing text.ln_final.weight" in text
    assert "unknown text.extra" in text
    assert "misshapen visual.proj [16, 9] (expected [16, 8])" in text
    assert "Closest preset: " in text


def test_many_faults_are_counted_and_not_all_listed(tmp_path: Path) -> None:
    folder = changed_weights(formats.tiny_folder(tmp_path / "model"), lambda tensors: [
        tensors.pop(name) for name in list(tensors) if name.startswith("text.")
    ])  # fmt: skip
    text = refusal(folder)
    assert "and 17 more" in text
    assert len(text) < 1000


def test_weights_of_another_size_name_the_preset_that_they_are(tmp_path: Path) -> None:
    hollow_weights(PRESETS["RN50"], tmp_path / "rn50.pt")
    assert "Its shapes are those of RN50, RN50-quickgelu" in refusal(tmp_path / "rn50.pt", preset="ViT-B-32")


@pytest.mark.parametrize("scale", [float("nan"), float("inf"), 1000.0])
def test_a_temperature_that_makes_no_logits_is_refused(scale: float, tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model")
    changed_weights(folder, lambda tensors: tensors.update({"logit_scale": torch.tensor(scale)}))
    assert f"has a logit_scale of {scale}: damaged" in refusal(folder)


def test_packed_attention_of_an_odd_height_is_named(tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model", "openclip")
    key = "transformer.resblocks.0.attn.in_proj_weight"
    changed_weights(folder, lambda tensors: tensors.update({key: torch.zeros(47, 16)}))
    assert f"{key} has shape [47, 16]; its rows should be 3 x width" in refusal(folder)


def test_images_of_another_size_than_the_towers_are_refused(tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model", "huggingface")
    formats.edit_json(folder / "preprocessor_config.json", size={"shortest_edge": 64}, crop_size=64)
    text = refusal(folder)
    assert "(64, 64)" in text
    assert "(32, 32)" in text


# ---- what a bare state dict leaves open


def test_a_bare_state_dict_of_no_preset_must_be_told_and_names_the_closest(tmp_path: Path) -> None:
    text = refusal(formats.write_state_dict("resnet", tmp_path))
    assert "heads and activation must be told" in text
    assert "preset=" in text
    assert "Closest preset: " in text


@pytest.fixture
def vit_b_32(tmp_path: Path) -> Path:
    """A bare state dict with the shapes of ViT-B/32, in a few bytes."""
    return hollow_weights(PRESETS["ViT-B-32"], tmp_path / "bare.pt")


def hollow_weights(config: CLIPConfig, path: Path) -> Path:
    """Tensors of the full sizes, of which each is one number seen many times."""
    torch.save({name: torch.zeros(()).expand(shape) for name, shape in tensor_shapes(config).items()}, path)
    return path


def test_a_bare_state_dict_of_a_preset_must_be_told_its_activation(vit_b_32: Path) -> None:
    text = refusal(vit_b_32)
    assert "ViT-B-32 and ViT-B-32-quickgelu" in text
    assert "which activation" in text


@pytest.mark.parametrize(
    ("options", "activation"),
    [
        ({"preset": "ViT-B-32"}, "gelu"),
        ({"preset": "ViT-B-32-quickgelu"}, "quick_gelu"),
        ({"preset": "ViT-B/32"}, "quick_gelu"),
        ({"activation": "gelu"}, "gelu"),
        ({"activation": "quick_gelu"}, "quick_gelu"),
        ({"preset": "ViT-B-32", "activation": "quick_gelu"}, "quick_gelu"),
    ],
)
def test_a_preset_or_an_activation_tells_it(options: dict[str, Any], activation: str, vit_b_32: Path) -> None:
    read = load_checkpoint(vit_b_32, **options)
    assert read.config.activation == activation
    assert read.config.vision.heads == 12


def test_a_preset_of_both_openais_and_open_clips_must_be_told_apart(tmp_path: Path) -> None:
    path = formats.write_state_dict("resnet", tmp_path)
    text = refusal(path, preset="RN50")
    assert "RN50-quickgelu" in text
    assert "activation='gelu'" in text


def test_an_unknown_preset_names_those_there_are(tmp_path: Path) -> None:
    assert "There is no preset 'ViT-Z-99'; presets: RN50, " in refusal(tmp_path, preset="ViT-Z-99")


def test_a_preset_that_contradicts_the_config_is_refused(tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model")
    assert "another model than preset ViT-B-32" in refusal(folder, preset="ViT-B-32")
    assert load_checkpoint(folder, preset=formats.TINY).config == formats.TINY


def test_a_config_that_rounds_the_mlp_ratio_otherwise_is_the_same_model(tmp_path: Path) -> None:
    vision = replace(formats.TINY_VIT, width=88, mlp_ratio=4.3637)  # as OpenCLIP says of ViT-g-14; it means 384
    config = replace(formats.TINY, vision=vision)
    folder = formats.tiny_folder(tmp_path / "model", "huggingface", config)
    read = load_checkpoint(folder, preset=config).config
    assert read != config
    assert tensor_shapes(read) == tensor_shapes(config)


# ---- activation


def test_openais_archive_refuses_another_activation_however_it_is_asked_for(tmp_path: Path) -> None:
    archive = formats.write_torchscript("vit", tmp_path)
    assert load_checkpoint(archive, activation="quick_gelu").config.activation == "quick_gelu"
    assert "was trained with quick_gelu, not gelu: leave activation out" in refusal(archive, activation="gelu")
    assert "leave preset out" in refusal(archive, preset=replace(formats.clip_config("vit"), activation="gelu"))


def test_a_config_that_is_overridden_warns(tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model")
    with pytest.warns(
        UserWarning, match="says it was trained with quick_gelu; with gelu, as asked for, features change"
    ):
        read = load_checkpoint(folder, activation="gelu")
    assert read.config.activation == "gelu"


def test_an_activation_that_agrees_with_the_config_is_quiet(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        load_checkpoint(formats.tiny_folder(tmp_path / "model"), activation="quick_gelu")


def test_a_colon_in_a_path_does_not_make_it_a_published_tag(tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "run:3")
    with pytest.warns(UserWarning, match="says it was trained with"):
        load_checkpoint(folder, activation="gelu")


def test_an_unknown_activation_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="activation must be one of gelu, quick_gelu, got 'relu'"):
        load_checkpoint(tmp_path / "nothing here", activation="relu")  # type: ignore[arg-type]


# ---- names


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("no/such/file.pt", "There is no file or folder 'no/such/file.pt'"),
        ("./missing", "There is no file or folder './missing'"),
        ("ViT-B-31", "There is no file or folder 'ViT-B-31'"),
        ("~nobody-of-that-name/x.pt", "There is no file or folder '~nobody"),
        ("ViT-B-32:laion9b", "ViT-B-32 has no tag 'laion9b'; it has openai, "),
        ("RN50/laion2b", "RN50 has no tag 'laion2b'"),
        ("x" * 300, "cannot be opened: File name too long"),
    ],
)
def test_a_name_of_nothing_says_what_there_could_be(name: str, reason: str) -> None:
    text = refusal(name)
    assert reason in text


def test_a_quickgelu_preset_of_a_gelu_tag_is_refused() -> None:
    gelu = next(tag for tag, pretrained in OPEN_CLIP_TAGS["ViT-B-32"].items() if not pretrained.quick_gelu)
    assert "trained with gelu" in refusal(f"ViT-B-32-quickgelu:{gelu}")


def test_a_folder_of_no_model_says_what_is_looked_for(tmp_path: Path) -> None:
    text = refusal(tmp_path)
    assert "neither config.json" in text
    assert "open_clip_config.json" in text


# ---- image size


def test_another_image_size_resizes_positions_and_preprocessing(tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model")
    read = load_checkpoint(folder, image_size=(48, 64))
    assert read.config.vision.image_size == read.preprocess.size == (48, 64)
    assert read.tensors["visual.positional_embedding"].shape == (1 + 3 * 4, 16)
    original = load_checkpoint(folder).tensors["visual.positional_embedding"]
    assert torch.equal(read.tensors["visual.positional_embedding"][0], original[0])


def test_the_models_own_image_size_changes_nothing(tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model")
    read, original = load_checkpoint(folder, image_size=32), load_checkpoint(folder)
    assert read.config == original.config
    key = "visual.positional_embedding"
    assert torch.equal(read.tensors[key], original.tensors[key])


def test_a_resnets_attention_pool_is_resized(tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model", config=formats.TINY_RESNET)
    read = load_checkpoint(folder, image_size=96)
    assert read.tensors["visual.attnpool.positional_embedding"].shape == (1 + 3 * 3, 64)


@pytest.mark.parametrize(("size", "reason"), [(15, "at least one patch"), ((0, 32), "at least one"), (-1, "at least")])
def test_an_image_size_without_a_patch_is_refused(size: int | tuple[int, int], reason: str, tmp_path: Path) -> None:
    assert reason in refusal(formats.tiny_folder(tmp_path / "model"), image_size=size)


@pytest.mark.parametrize("size", ["32", (32,), (32, 32, 3), (32.0, 32.0), 32.0])
def test_an_image_size_that_is_none_is_refused(size: Any, tmp_path: Path) -> None:  # noqa: ANN401
    with pytest.raises(ValueError, match="image_size must be a number of pixels, or"):
        load_checkpoint(tmp_path, image_size=size)


def test_seeded_archives_are_recognised_by_what_openai_puts_beside_the_weights(tmp_path: Path) -> None:
    state = seeded.openai_state_dict(seeded.seeded_model("vit")) | {"input_resolution": torch.tensor(64)}
    torch.save(state, tmp_path / "state.pt")
    read = load_checkpoint(tmp_path / "state.pt")
    assert (read.format, read.config.activation, read.config.vision.heads) == ("openai", "quick_gelu", 2)
