"""What an attacker found once."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

import diptych
from diptych import CheckpointError, DiptychError, DualEncoder
from diptych.checkpoints.reading import read_tensors
from diptych.cli.inputs import find_pictures
from diptych.files import atomic_folder


def test_compressed_records_are_read_for_what_they_are(tmp_path: Path) -> None:
    torch.save({"a": torch.arange(1_000.0)}, tmp_path / "stored.pt")
    with zipfile.ZipFile(tmp_path / "stored.pt") as stored, zipfile.ZipFile(tmp_path / "a.pt", "w", 8) as deflated:
        for name in stored.namelist():
            deflated.writestr(name, stored.read(name))
    assert (read_tensors(tmp_path / "a.pt")["a"] == torch.arange(1_000.0)).all()


def test_weights_that_are_no_numbers_give_an_error_and_no_winner(model_folder: Path, photos: list[Path]) -> None:
    damaged = diptych.load(model_folder, dtype="float32", device="cpu")
    with torch.no_grad():
        damaged.model.visual.proj.fill_(float("nan"))  # type: ignore[operator]
    with pytest.raises(CheckpointError, match="not finite numbers"):
        damaged.encode_images(photos[:1])


def test_the_callers_autocast_changes_nothing(encoder: DualEncoder, photos: list[Path]) -> None:
    texts = ["a dog", "a cat"]
    with torch.autocast("cpu", dtype=torch.bfloat16):
        images, features = encoder.encode_images(photos[:1]), encoder.encode_texts(texts)
    assert np.abs(images - encoder.encode_images(photos[:1])).max() < 1e-6
    assert np.abs(features - encoder.encode_texts(texts)).max() < 1e-6


def test_a_folder_with_more_than_was_written_is_not_replaced(tmp_path: Path) -> None:
    for _ in range(2):  # one that holds only what was written is
        with atomic_folder(tmp_path / "out") as building:
            (building / "config.json").write_text("{}")
    (tmp_path / "out" / "notes.txt").write_text("mine")
    with pytest.raises(DiptychError, match="was not written by Diptych"), atomic_folder(tmp_path / "out"):
        pass
    assert (tmp_path / "out" / "notes.txt").read_text() == "mine"


def test_an_empty_name_is_not_the_current_folder() -> None:
    with pytest.raises(ValueError, match="name is empty"):
        find_pictures([""])
    with pytest.raises(CheckpointError, match="name is empty"):
        diptych.load("")


def test_templates_are_those_of_the_day_the_classifier_was_made(encoder: DualEncoder, tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("a {} indoors\n")
    classifier = encoder.classifier(["dog", "cat"], templates=tmp_path / "mine.txt")
    (tmp_path / "mine.txt").unlink()
    assert classifier.extended(["boat"]).prompts[2] == ("boat", ("a boat indoors",))
