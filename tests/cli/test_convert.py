import subprocess
from pathlib import Path

from command import diptych as run
from command import succeeded

import formats
import seeded


def test_a_model_comes_back_with_the_same_bytes(tmp_path: Path) -> None:
    original = formats.tiny_folder(tmp_path / "original", "openclip")
    said = succeeded("convert", original, tmp_path / "there", "--format", "huggingface")
    assert said == f"{original} (openclip) written to {tmp_path / 'there'} in huggingface's format.\n"
    succeeded("convert", tmp_path / "there", tmp_path / "back", "--format", "openclip")
    assert formats.stored_tensors(tmp_path / "back") == formats.stored_tensors(original)


def test_openais_archive_is_converted_as_it_is(tmp_path: Path) -> None:
    archive = formats.write_torchscript("resnet", tmp_path)
    succeeded("convert", archive, tmp_path / "out", "--format", "openclip")
    stored = formats.stored_tensors(tmp_path / "out")
    for name, tensor in seeded.openai_state_dict(seeded.seeded_model("resnet")).items():
        assert stored[name][2] == tensor.numpy().tobytes(), name


def failed(*arguments: object, **changes: str) -> subprocess.CompletedProcess[str]:
    done = run("convert", *arguments, **changes)
    assert done.returncode != 0
    assert done.stderr.startswith("diptych: ")
    assert done.stderr.count("\n") == 1
    return done


def test_a_folder_of_somebodys_is_replaced_only_if_told(tmp_path: Path) -> None:
    model = formats.tiny_folder(tmp_path / "model")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").write_text("dear")
    assert "was not written by Diptych" in failed(model, tmp_path / "full").stderr
    assert (tmp_path / "full" / "letter.txt").exists()
    succeeded("convert", model, tmp_path / "full", "--overwrite")
    assert not (tmp_path / "full" / "letter.txt").exists()


def test_what_a_format_cannot_hold_leaves_nothing_behind(tmp_path: Path) -> None:
    model = formats.tiny_folder(tmp_path / "model", config=formats.TINY_RESNET)
    done = failed(model, tmp_path / "out", "--format", "huggingface")
    assert done.returncode == 1
    assert "no ResNet image tower" in done.stderr
    assert {path.name for path in tmp_path.iterdir()} == {"model"}


def test_an_unknown_format_is_wrong_usage(tmp_path: Path) -> None:
    done = failed("no-such-model-either", tmp_path / "out", "--format", "onnx")
    assert done.returncode == 2
    assert "--format must be one of diptych, huggingface, openclip, got 'onnx'" in done.stderr
