"""One name for what a model computes."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
import safetensors.torch
import torch

import formats
from diptych.checkpoints import Checkpoint, load_checkpoint, save_checkpoint
from diptych.checkpoints.fingerprint import fingerprint
from diptych.checkpoints.save import FORMATS
from diptych.preprocess import Preprocess
from diptych.tokenizer import JsonTokenizer, clip_tokenizer


def named(checkpoint: Checkpoint) -> str:
    return fingerprint(checkpoint, clip_tokenizer())


def test_it_is_equal_in_every_format_and_framework(tmp_path: Path) -> None:
    vision = replace(formats.TINY_VIT, width=88, mlp_ratio=(251 + 0.5) / 88)  # each format rounds this otherwise
    checkpoint = formats.tiny_checkpoint(replace(formats.TINY, vision=vision))
    names = {named(checkpoint)}
    for format in FORMATS:
        save_checkpoint(checkpoint, tmp_path / format, format)
        names.add(named(load_checkpoint(tmp_path / format)))
        names.add(named(load_checkpoint(tmp_path / format, framework="numpy")))
    assert len(names) == 1
    assert len(names.pop()) == 16


def test_it_is_equal_where_files_are_in_half_precision(tmp_path: Path) -> None:
    for dtype in (torch.float16, torch.bfloat16):
        folder = formats.tiny_folder(tmp_path / str(dtype))
        path = folder / "model.safetensors"
        tensors = {name: tensor.to(dtype) for name, tensor in safetensors.torch.load_file(path).items()}
        safetensors.torch.save_file(tensors, path)
        in_half = load_checkpoint(folder)
        in_full = replace(in_half, tensors={name: tensor.float() for name, tensor in in_half.tensors.items()})
        in_numpy = load_checkpoint(folder, framework="numpy")
        assert named(in_half) == named(in_full) == named(in_numpy)


def test_openais_archive_and_what_it_is_converted_to_share_it(tmp_path: Path) -> None:
    archive = load_checkpoint(formats.write_torchscript("resnet", tmp_path))
    save_checkpoint(archive, tmp_path / "openclip", "openclip")
    assert named(load_checkpoint(tmp_path / "openclip")) == named(archive)


def with_one_weight_changed(checkpoint: Checkpoint) -> Checkpoint:
    tensors = {name: tensor.clone() for name, tensor in checkpoint.tensors.items()}
    weight = tensors["visual.transformer.resblocks.0.mlp.c_fc.weight"]
    weight[3, 5] = torch.nextafter(weight[3, 5], torch.tensor(9.0))
    return replace(checkpoint, tensors=tensors)


def with_two_tensors_exchanged(checkpoint: Checkpoint) -> Checkpoint:
    block = "text.transformer.resblocks.0.attn"
    q, k = checkpoint.tensors[f"{block}.q_proj.weight"], checkpoint.tensors[f"{block}.k_proj.weight"]
    exchanged = {f"{block}.q_proj.weight": k, f"{block}.k_proj.weight": q}
    return replace(checkpoint, tensors=dict(checkpoint.tensors) | exchanged)


def with_other_preprocessing(checkpoint: Checkpoint) -> Checkpoint:
    return replace(checkpoint, preprocess=Preprocess(size=(32, 32), mean=(0.5, 0.5, 0.5)))


def with_other_heads(checkpoint: Checkpoint) -> Checkpoint:
    config = checkpoint.config
    return replace(checkpoint, config=replace(config, vision=replace(formats.TINY_VIT, heads=4)))


def with_other_activation(checkpoint: Checkpoint) -> Checkpoint:
    return replace(checkpoint, config=replace(checkpoint.config, activation="gelu"))


CHANGES = (
    *(with_one_weight_changed, with_two_tensors_exchanged, with_other_preprocessing),
    *(with_other_heads, with_other_activation),
)


@pytest.mark.parametrize("change", CHANGES)
def test_it_differs_after_any_change(change: Callable[[Checkpoint], Checkpoint]) -> None:
    checkpoint = formats.tiny_checkpoint()
    assert named(change(checkpoint)) != named(checkpoint)


def test_it_differs_at_another_image_size_and_with_another_tokenizer(tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model")
    checkpoint = load_checkpoint(folder)
    assert named(load_checkpoint(folder, image_size=64)) != named(checkpoint)
    words = JsonTokenizer(formats.write_word_tokenizer(tmp_path / "tokenizer.json"))
    assert fingerprint(checkpoint, words) != named(checkpoint)


def test_where_it_lies_and_what_it_was_trained_with_do_not_matter(tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "model")
    shutil.copytree(folder, tmp_path / "copy")
    trained = replace(load_checkpoint(tmp_path / "copy"), training={"lr": 0.1})
    assert named(trained) == named(load_checkpoint(folder))


def test_counters_of_batch_norm_do_not_matter() -> None:
    checkpoint = formats.tiny_checkpoint(formats.TINY_RESNET)
    counted = {"visual.bn1.num_batches_tracked": torch.tensor(1_000)}
    assert named(replace(checkpoint, tensors=dict(checkpoint.tensors) | counted)) == named(checkpoint)
