"""What each format says of a model, and which file of a folder says it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from numpy.testing import assert_allclose

import diptych
import formats
import seeded
from diptych.checkpoints import load_checkpoint, save_checkpoint
from diptych.checkpoints.save import FORMATS, Format
from diptych.preprocess import Preprocess


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64], ids=str)
@pytest.mark.parametrize("format", FORMATS)
def test_numpy_reads_what_torch_reads(format: Format, dtype: torch.dtype, tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model", format)
    (path,) = folder.glob("*.safetensors")
    tensors = {name: tensor.to(dtype) for name, tensor in safetensors.torch.load_file(path).items()}
    safetensors.torch.save_file(tensors, path)
    expected = load_checkpoint(folder).tensors
    read = load_checkpoint(folder, framework="numpy").tensors
    assert read.keys() == expected.keys()
    for name, array in read.items():
        assert isinstance(array, np.ndarray)
        assert np.array_equal(np.asarray(array, np.float64), expected[name].double().numpy())


@pytest.mark.parametrize("nest", ["state_dict", "model_state_dict", "model"])
def test_weights_are_found_inside_training_checkpoints(nest: str, tmp_path: Path) -> None:
    weights = torch.load(formats.write_training_checkpoint("resnet", tmp_path), weights_only=True)["state_dict"]
    torch.save({"epoch": 1, "config": {"lr": 0.1}, nest: weights}, tmp_path / "last.ckpt")
    read = load_checkpoint(tmp_path / "last.ckpt", preset=formats.clip_config("resnet"))
    expected = seeded.seeded_model("resnet")
    assert torch.equal(read.tensors["text.ln_final.weight"], torch.from_numpy(expected["ln_final.weight"]))


def test_a_bare_file_in_hugging_faces_names_is_recognised(tmp_path: Path) -> None:
    folder = formats.write_huggingface("huggingface", tmp_path)
    shutil.copy(folder / "model.safetensors", tmp_path / "alone.safetensors")
    read = load_checkpoint(tmp_path / "alone.safetensors", preset=formats.clip_config("huggingface"))
    assert read.tensors["visual.proj"].shape == (96, 48)


# ---- which file of a folder


def test_a_standard_file_is_read_with_the_config_beside_it(tmp_path: Path) -> None:
    for format in FORMATS:
        folder = formats.tiny_folder(tmp_path / format, format)
        (weights,) = folder.glob("*.safetensors")
        read = load_checkpoint(weights)
        assert read.format == format
        assert read.config.activation == "quick_gelu"


@pytest.mark.parametrize("name", ["model_best.pt", "model.pt", "open_clip_finetuned.pt"])
def test_another_file_in_a_model_folder_is_read_itself(name: str, tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model")
    finetuned = formats.tiny_checkpoint(seed=1).tensors
    torch.save(finetuned, folder / name)
    read = load_checkpoint(folder / name, preset=formats.TINY)
    assert torch.equal(read.tensors["visual.proj"], finetuned["visual.proj"])
    with pytest.raises(diptych.CheckpointError, match="bare state dict"):  # and not the folder's weights instead
        load_checkpoint(folder / name)


def test_pickled_weights_beside_safetensors_are_read_only_by_name(tmp_path: Path) -> None:
    folder = formats.write_huggingface_bin("huggingface", tmp_path)
    formats.write_huggingface("huggingface", tmp_path)
    other = torch.load(folder / "pytorch_model.bin", weights_only=True)
    torch.save({**other, "logit_scale": torch.tensor(1.0)}, folder / "pytorch_model.bin")
    assert float(load_checkpoint(folder).tensors["logit_scale"]) != 1.0
    told = load_checkpoint(folder / "pytorch_model.bin", preset=formats.clip_config("huggingface"))
    assert float(told.tensors["logit_scale"]) == 1.0


def test_of_two_formats_in_a_folder_the_one_with_weights_is_read(tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model", "huggingface")
    formats.tiny_folder(tmp_path / "other", "openclip")
    shutil.copy(tmp_path / "other" / "open_clip_config.json", folder)
    assert load_checkpoint(folder).format == "huggingface"
    shutil.copy(tmp_path / "other" / "open_clip_model.safetensors", folder)
    assert load_checkpoint(folder).format == "openclip"


# ---- preprocessing

PROCESSORS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "as of 2021": ({"size": 32, "crop_size": 32, "resample": 3, "do_resize": True}, {}),
    "shortest edge": ({"size": {"shortest_edge": 32}, "crop_size": {"height": 32, "width": 32}}, {}),
    "colours": (
        {"size": 32, "image_mean": [0.5, 0.5, 0.5], "image_std": [0.25, 0.5, 1]},
        {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.5, 1.0)},
    ),
    "bilinear": ({"size": 32, "resample": 2}, {"interpolation": "bilinear"}),
    # As in transformers, a height and a width are what an image is squashed to, whether it is cropped after or not.
    "squash": ({"size": {"height": 32, "width": 32}, "do_center_crop": False}, {"resize_mode": "squash"}),
    "squash and crop": ({"size": {"height": 32, "width": 32}, "crop_size": 32}, {"resize_mode": "squash"}),
    "nothing said": ({}, {}),
}


@pytest.mark.parametrize("file_name", ["preprocessor_config.json", "processor_config.json"])
@pytest.mark.parametrize(("content", "expected"), PROCESSORS.values(), ids=PROCESSORS)
def test_hugging_faces_preprocessing_is_read(
    content: dict[str, Any], expected: dict[str, Any], file_name: str, tmp_path: Path
) -> None:
    folder = formats.tiny_folder(tmp_path / "model", "huggingface")
    (folder / "preprocessor_config.json").unlink()
    if file_name == "processor_config.json":
        content = {"image_processor": content, "processor_class": "CLIPProcessor"}
    (folder / file_name).write_text(json.dumps(content))
    assert load_checkpoint(folder).preprocess == Preprocess(size=(32, 32), **expected)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ({}, {}),
        ({"size": 32, "mode": "RGB", "interpolation": "bicubic"}, {}),
        ({"size": [32, 32], "mean": [0.5, 0.5, 0.5], "std": [0.5, 0.5, 0.5]}, {"mean": (0.5,) * 3, "std": (0.5,) * 3}),
        (
            {"resize_mode": "squash", "interpolation": "bilinear"},
            {"resize_mode": "squash", "interpolation": "bilinear"},
        ),
        ({"resize_mode": "longest", "fill_color": 9}, {"resize_mode": "longest", "fill_color": 9}),
    ],
)
def test_open_clips_preprocessing_is_read(content: dict[str, Any], expected: dict[str, Any], tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model", "openclip")
    formats.edit_json(folder / "open_clip_config.json", preprocess_cfg=content)
    assert load_checkpoint(folder).preprocess == Preprocess(size=(32, 32), **expected)


# ---- Hugging Face's config


def test_what_a_hugging_face_config_leaves_out_is_the_librarys_default(tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model", "huggingface")
    config = json.loads((folder / "config.json").read_text())
    for part in ("text_config", "vision_config"):
        del config[part]["hidden_act"], config[part]["layer_norm_eps"]
    (folder / "config.json").write_text(json.dumps(config))
    assert load_checkpoint(folder).config.activation == "quick_gelu"
    formats.edit_json(folder / "config.json", text_config=..., text_config_dict=config["text_config"])
    assert load_checkpoint(folder).config.text.width == 16


def test_the_older_config_dict_counts_where_both_are_given(tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model", "huggingface")
    config = json.loads((folder / "config.json").read_text())
    older = {f"{part}_config_dict": config[f"{part}_config"] | {"hidden_act": "gelu"} for part in ("text", "vision")}
    formats.edit_json(folder / "config.json", **older)
    assert load_checkpoint(folder).config.activation == "gelu"


@pytest.mark.parametrize(("eos_token_id", "end_token"), [(2, None), (59, None), (None, None), (7, 7)])
def test_a_wrong_end_token_of_2_means_the_last_of_the_vocabulary(
    eos_token_id: int | None, end_token: int | None, tmp_path: Path
) -> None:
    folder = formats.tiny_folder(tmp_path / "model", "huggingface")
    text = json.loads((folder / "config.json").read_text())["text_config"]
    formats.edit_json(folder / "config.json", text_config=text | {"eos_token_id": eos_token_id})
    assert load_checkpoint(folder).config.text.end_token == end_token


# ---- another vocabulary


def test_another_vocabularys_tokenizer_travels_with_the_weights(tmp_path: Path) -> None:
    config = replace(formats.TINY, text=replace(formats.TINY.text, end_token=1))
    first = tmp_path / "first"
    save_checkpoint(formats.tiny_checkpoint(config), first, "huggingface")
    formats.write_word_tokenizer(first / "tokenizer.json")
    save_checkpoint(load_checkpoint(first), tmp_path / "second", "diptych")
    save_checkpoint(load_checkpoint(tmp_path / "second"), tmp_path / "third", "huggingface")
    assert (tmp_path / "third" / "tokenizer.json").read_bytes() == (first / "tokenizer.json").read_bytes()
    encoders = [diptych.load(folder, dtype="float32") for folder in (first, tmp_path / "second", tmp_path / "third")]
    assert encoders[0].tokenizer.encode("a photo of a dog.") == [0, 3, 4, 5, 3, 6, 8, 1]
    features = [encoder.encode_texts(["a photo of a dog.", "cat"]) for encoder in encoders]
    # The projection lies transposed in memory in one format and not in the other: its product differs in the last bits.
    assert_allclose(features, [features[0]] * 3, atol=1e-6, rtol=0)
    assert len({encoder.fingerprint for encoder in encoders}) == 1


def test_clips_own_tokenizer_is_not_copied_into_our_folder(tmp_path: Path) -> None:
    formats.tiny_folder(tmp_path / "hf", "huggingface")
    save_checkpoint(load_checkpoint(tmp_path / "hf"), tmp_path / "ours")
    assert {path.name for path in (tmp_path / "ours").iterdir()} == {".diptych", "config.json", "model.safetensors"}
