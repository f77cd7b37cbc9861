"""Weights from one format to another and back: every tensor's bytes, and all that is said about them, stay."""

import itertools
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import safetensors.torch
import torch

import formats
import seeded
from diptych.checkpoints import load_checkpoint, save_checkpoint
from diptych.checkpoints.checkpoint import canonical
from diptych.checkpoints.save import FORMATS, Format
from diptych.errors import CheckpointError
from diptych.model.shapes import tensor_shapes
from diptych.preprocess import Preprocess

# What each family's reference implementation would have written, and so what it starts from.
STARTS: dict[str, tuple[formats.Writer, Format]] = {
    "vit": (formats.write_open_clip, "openclip"),
    "open_clip": (formats.write_open_clip, "openclip"),
    "huggingface": (formats.write_huggingface, "huggingface"),
    "huggingface-gelu": (formats.write_huggingface, "huggingface"),
}


@pytest.mark.parametrize("kind", STARTS)
def test_there_and_back_every_family_keeps_its_bytes(kind: str, tmp_path: Path) -> None:
    write, start = STARTS[kind]
    (tmp_path / "original").mkdir()
    original = write(kind, tmp_path / "original")
    for via in FORMATS:
        save_checkpoint(load_checkpoint(original), tmp_path / via, via)
    expected = formats.stored_tensors(original)
    for via in FORMATS:
        save_checkpoint(load_checkpoint(tmp_path / via), tmp_path / "back", start)
        assert formats.stored_tensors(tmp_path / "back") == expected


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("start", FORMATS)
def test_there_and_back_every_dtype_keeps_its_bytes(start: Format, dtype: torch.dtype, tmp_path: Path) -> None:
    original = formats.tiny_folder(tmp_path / "original", start)
    cast_weights(original, dtype)
    for via in FORMATS:
        save_checkpoint(load_checkpoint(original), tmp_path / via, via)
        save_checkpoint(load_checkpoint(tmp_path / via), tmp_path / "back", start)
        assert formats.stored_tensors(tmp_path / "back") == formats.stored_tensors(original)
        assert str(dtype) in {stored[0] for stored in formats.stored_tensors(tmp_path / "back").values()}


def test_there_and_back_a_resnet_keeps_its_bytes(tmp_path: Path) -> None:
    original = formats.tiny_folder(tmp_path / "original", "openclip", formats.TINY_RESNET)
    save_checkpoint(load_checkpoint(original), tmp_path / "ours", "diptych")
    save_checkpoint(load_checkpoint(tmp_path / "ours"), tmp_path / "back", "openclip")
    assert formats.stored_tensors(tmp_path / "back") == formats.stored_tensors(original)


def cast_weights(folder: Path, dtype: torch.dtype) -> None:
    """Rewrite a folder's safetensors in another dtype, all but the temperature."""
    (path,) = folder.glob("*.safetensors")
    tensors = safetensors.torch.load_file(path)
    cast = {name: tensor.to(dtype) if tensor.ndim else tensor.clone() for name, tensor in tensors.items()}
    safetensors.torch.save_file(cast, path)


@pytest.mark.parametrize("kind", formats.OPENAI_KINDS)
def test_openais_archive_keeps_its_bytes_and_its_two_dtypes(kind: str, tmp_path: Path) -> None:
    archive = formats.write_torchscript(kind, tmp_path)
    save_checkpoint(load_checkpoint(archive), tmp_path / "ours", "diptych")
    save_checkpoint(load_checkpoint(tmp_path / "ours"), tmp_path / "theirs", "openclip")
    stored = safetensors.torch.load_file(tmp_path / "theirs" / "open_clip_model.safetensors")
    expected = seeded.openai_state_dict(seeded.seeded_model(kind))
    assert stored.keys() == expected.keys()
    for name, tensor in expected.items():
        assert stored[name].dtype == tensor.dtype
        assert torch.equal(stored[name], tensor), name


@pytest.mark.parametrize(("kind", "writer"), formats.WRITTEN, ids=lambda value: getattr(value, "__name__", value))
def test_every_format_that_is_read_is_written_whole(kind: str, writer: formats.Writer, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    read = load_checkpoint(writer(kind, tmp_path / "in"), **formats.load_options(kind, writer))
    save_checkpoint(read, tmp_path / "out")
    again = load_checkpoint(tmp_path / "out")
    assert again.format == "diptych"
    assert again.config == read.config
    assert again.tensors.keys() == read.tensors.keys()
    assert all(torch.equal(again.tensors[name], tensor) for name, tensor in read.tensors.items())


@pytest.mark.parametrize(("first", "second"), list(itertools.permutations(FORMATS, 2)))
def test_a_model_is_the_same_in_every_format(first: Format, second: Format, tmp_path: Path) -> None:
    save_checkpoint(formats.tiny_checkpoint(), tmp_path / "first", first)
    save_checkpoint(load_checkpoint(tmp_path / "first"), tmp_path / "second", second)
    read = load_checkpoint(tmp_path / "second")
    expected = formats.tiny_checkpoint()
    assert canonical(read.config) == canonical(expected.config)
    assert read.preprocess == expected.preprocess
    assert all(torch.equal(read.tensors[name], tensor) for name, tensor in expected.tensors.items())


@pytest.mark.parametrize("format", FORMATS)
def test_mlp_widths_survive_ratios_that_floats_cannot_hold(format: Format, tmp_path: Path) -> None:
    for hidden in (25, 251, 6144, 8191):
        config = replace(formats.TINY, vision=replace(formats.TINY_VIT, width=88, mlp_ratio=(hidden + 0.5) / 88))
        save_checkpoint(formats.tiny_checkpoint(config), tmp_path / str(hidden), format)
        assert tensor_shapes(load_checkpoint(tmp_path / str(hidden)).config) == tensor_shapes(config)


PREPROCESSES = {
    "LAION's L/14": {"mean": (0.5, 0.5, 0.5), "std": (0.5, 0.5, 0.5)},
    "DFN's": {"resize_mode": "squash"},
    "bilinear": {"interpolation": "bilinear"},
    "all at once": {
        "mean": (0.1, 0.2, 0.3),
        "std": (0.3, 0.2, 0.1),
        "resize_mode": "squash",
        "interpolation": "lanczos",
    },
}


@pytest.mark.parametrize("format", FORMATS)
@pytest.mark.parametrize("settings", PREPROCESSES.values(), ids=PREPROCESSES)
def test_preprocessing_travels_with_the_weights(settings: dict[str, Any], format: Format, tmp_path: Path) -> None:
    preprocess = Preprocess(size=(32, 32), **settings)
    save_checkpoint(formats.tiny_checkpoint(preprocess=preprocess), tmp_path / "out", format)
    assert load_checkpoint(tmp_path / "out").preprocess == preprocess


@pytest.mark.parametrize("format", ["diptych", "openclip"])
def test_padding_and_oblong_images_travel_where_the_format_can_say_them(format: Format, tmp_path: Path) -> None:
    config = replace(formats.TINY, vision=replace(formats.TINY_VIT, image_size=(32, 64)))
    preprocess = Preprocess(size=(32, 64), resize_mode="longest", fill_color=114)
    save_checkpoint(formats.tiny_checkpoint(config, preprocess=preprocess), tmp_path / "out", format)
    read = load_checkpoint(tmp_path / "out")
    assert (read.preprocess, read.config.vision.image_size) == (preprocess, (32, 64))


def test_hugging_face_refuses_what_it_cannot_say(tmp_path: Path) -> None:
    oblong = replace(formats.TINY, vision=replace(formats.TINY_VIT, image_size=(32, 64)))
    for checkpoint, reason in (
        (formats.tiny_checkpoint(formats.TINY_RESNET), "no ResNet image tower"),
        (formats.tiny_checkpoint(oblong), "square images only"),
        (formats.tiny_checkpoint(preprocess=Preprocess(size=(32, 32), resize_mode="longest")), "longest side"),
    ):
        with pytest.raises(CheckpointError, match=reason):
            save_checkpoint(checkpoint, tmp_path / "out", "huggingface")
    assert not any(tmp_path.iterdir())


def test_open_clip_refuses_another_end_token(tmp_path: Path) -> None:
    config = replace(formats.TINY, text=replace(formats.TINY.text, end_token=7))
    with pytest.raises(CheckpointError, match="end token is another"):
        save_checkpoint(formats.tiny_checkpoint(config), tmp_path / "out", "openclip")
    save_checkpoint(formats.tiny_checkpoint(config), tmp_path / "out", "huggingface")
    assert load_checkpoint(tmp_path / "out").config.text.end_token == 7


def test_the_training_config_travels_in_our_own_folder(tmp_path: Path) -> None:
    training = {"optimiser": {"lr": 5e-4, "betas": [0.9, 0.98]}, "data": "pairs.csv", "seed": None}
    save_checkpoint(replace(formats.tiny_checkpoint(), training=training), tmp_path / "out")
    assert load_checkpoint(tmp_path / "out").training == training


def test_a_folder_can_be_converted_onto_itself(tmp_path: Path) -> None:
    formats.tiny_folder(tmp_path / "model", "huggingface")
    before = load_checkpoint(tmp_path / "model")
    save_checkpoint(before, tmp_path / "model", "openclip")  # while its tensors are still mapped from there
    after = load_checkpoint(tmp_path / "model")
    assert after.format == "openclip"
    expected = formats.tiny_checkpoint().tensors
    assert all(torch.equal(after.tensors[name], tensor) for name, tensor in expected.items())
    assert not (tmp_path / "model" / "model.safetensors").exists()


def test_saving_keeps_a_folder_that_is_not_ours(tmp_path: Path) -> None:
    (tmp_path / "thesis").mkdir()
    (tmp_path / "thesis" / "chapter.txt").write_text("words")
    with pytest.raises(Exception, match="was not written by Diptych"):
        save_checkpoint(formats.tiny_checkpoint(), tmp_path / "thesis")
    assert (tmp_path / "thesis" / "chapter.txt").read_text() == "words"
