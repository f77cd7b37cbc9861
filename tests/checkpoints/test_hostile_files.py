"""Checkpoints that would run code if they were unpickled or executed: none does, each is refused in one line."""

import argparse
import json
import os
import pickle
import random
import shutil
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

import formats
import seeded
from diptych.checkpoints import load_checkpoint
from diptych.errors import CheckpointError


class Payload:
    """Pickles as a call of `function` on `arguments`."""

    def __init__(self, function: Callable[..., Any], *arguments: object) -> None:
        self.call = (function, arguments)

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[object, ...]]:
        return self.call


def payloads(marker: Path) -> dict[str, Any]:
    """Objects whose unpickling makes the file `marker`, and one that is harmless but no tensor."""
    return {
        "os.system": Payload(os.system, f"echo > '{marker}'"),
        "eval": Payload(eval, f"__import__('pathlib').Path({str(marker)!r}).touch()"),
        "copyfile": Payload(shutil.copyfile, __file__, str(marker)),
        "a class": argparse.Namespace(learning_rate=0.1),
    }


PAYLOADS = list(payloads(Path()))


def weights() -> dict[str, torch.Tensor]:
    """A state dict in OpenAI's names."""
    return {name: torch.from_numpy(tensor) for name, tensor in seeded.seeded_model("resnet").items()}


Slot = Callable[[Any, Path], Path]


def in_zip(payload: Any, folder: Path) -> Path:  # noqa: ANN401
    torch.save({"state_dict": weights(), "args": payload}, folder / "zip.pt")
    return folder / "zip.pt"


def in_legacy_file(payload: Any, folder: Path) -> Path:  # noqa: ANN401
    torch.save({**weights(), "args": payload}, folder / "old.pt", _use_new_zipfile_serialization=False)
    return folder / "old.pt"


def in_bare_pickle(payload: Any, folder: Path) -> Path:  # noqa: ANN401
    (folder / "bare.ckpt").write_bytes(pickle.dumps(payload, protocol=2))
    return folder / "bare.ckpt"


def in_hugging_face_bin(payload: Any, folder: Path) -> Path:  # noqa: ANN401
    formats.tiny_folder(folder / "hf", "huggingface")
    (folder / "hf" / "model.safetensors").unlink()
    torch.save({"logit_scale": torch.tensor(1.0), "x": payload}, folder / "hf" / "pytorch_model.bin")
    return folder / "hf"


def in_shard(payload: Any, folder: Path) -> Path:  # noqa: ANN401
    in_hugging_face_bin(payload, folder)
    (folder / "hf" / "pytorch_model.bin").rename(folder / "hf" / "shard-2.bin")
    torch.save({"logit_scale": torch.tensor(1.0)}, folder / "hf" / "shard-1.bin")
    index = {"weight_map": {"logit_scale": "shard-1.bin", "x": "shard-2.bin"}}
    (folder / "hf" / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    return folder / "hf"


def in_open_clip_bin(payload: Any, folder: Path) -> Path:  # noqa: ANN401
    formats.tiny_folder(folder / "oc", "openclip")
    (folder / "oc" / "open_clip_model.safetensors").unlink()
    torch.save({"state_dict": payload}, folder / "oc" / "open_clip_pytorch_model.bin")
    return folder / "oc"


def in_safetensors_name(payload: Any, folder: Path) -> Path:  # noqa: ANN401
    formats.tiny_folder(folder / "ours")
    torch.save({"state_dict": payload}, folder / "ours" / "model.safetensors")
    return folder / "ours"


def in_torchscript_data(payload: Any, folder: Path) -> Path:  # noqa: ANN401
    return replace_member(formats.write_torchscript("resnet", folder), "data.pkl", pickle.dumps(payload, protocol=2))


SLOTS = (
    *(in_zip, in_legacy_file, in_bare_pickle, in_hugging_face_bin, in_shard, in_open_clip_bin),
    *(in_safetensors_name, in_torchscript_data),
)


def replace_member(archive: Path, name: str, content: bytes) -> Path:
    """A copy of a zip with one member's content changed, or the member added."""
    changed = archive.with_name("changed.pt")
    with zipfile.ZipFile(archive) as old, zipfile.ZipFile(changed, "w") as new:
        members = old.infolist()
        root = members[0].filename.split("/")[0]
        for member in members:
            if member.filename != f"{root}/{name}":
                new.writestr(member.filename, old.read(member))
        new.writestr(f"{root}/{name}", content)
    return changed


def refusal(path: Path, **options: Any) -> str:  # noqa: ANN401
    with pytest.raises(CheckpointError) as caught:
        load_checkpoint(path, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert "\x1b" not in text  # torch colours its own
    return text


@pytest.mark.parametrize("slot", SLOTS)
@pytest.mark.parametrize("name", PAYLOADS)
def test_what_is_pickled_in_any_slot_is_never_called(name: str, slot: Slot, tmp_path: Path) -> None:
    marker = tmp_path / "pwned"
    path = slot(payloads(marker)[name], tmp_path)
    text = refusal(path)
    assert not marker.exists()
    assert str(path) in text
    assert "weights_only" not in text  # torch's own text tells how to run it all the same


def test_the_payloads_are_live(tmp_path: Path) -> None:
    for name, payload in payloads(tmp_path / "pwned").items():
        pickle.loads(pickle.dumps(payload))
        assert (tmp_path / "pwned").exists() == (name != "a class")
        (tmp_path / "pwned").unlink(missing_ok=True)


def test_a_refused_pickle_is_told_by_what_it_asks_for(tmp_path: Path) -> None:
    assert "argparse.Namespace" in refusal(in_zip(argparse.Namespace(), tmp_path))
    assert "argparse.Namespace" in refusal(in_torchscript_data(argparse.Namespace(), tmp_path))


class WritesOnLoading(torch.nn.Module):
    """A scripted module that writes a file when it is loaded."""

    def __init__(self, path: str) -> None:
        super().__init__()
        self.weight: torch.Tensor = torch.nn.Parameter(torch.zeros(2))
        self.path = path

    @torch.jit.export
    def __getstate__(self) -> tuple[torch.Tensor, str, bool]:
        return (self.weight, self.path, self.training)

    @torch.jit.export
    def __setstate__(self, state: tuple[torch.Tensor, str, bool]) -> None:
        self.weight = state[0]
        self.path = state[1]
        self.training = state[2]
        torch.save(state[0], self.path)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


def test_archived_code_is_not_run(tmp_path: Path) -> None:
    marker, archive = tmp_path / "pwned", tmp_path / "scripted.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # torch deprecates what OpenAI's files are made with
        torch.jit.save(torch.jit.script(WritesOnLoading(str(marker))), str(archive))
        assert not marker.exists()
        refusal(archive)
        assert not marker.exists()
        torch.jit.load(archive)  # type: ignore[no-untyped-call]
    assert marker.exists()  # as it does for those who run it


def test_code_in_an_archive_does_not_keep_its_tensors_from_being_read(tmp_path: Path) -> None:
    archive = formats.write_torchscript("resnet", tmp_path)
    changed = replace_member(archive, "code/__torch__.py", b"this is not even a program")
    expected = seeded.openai_state_dict(seeded.seeded_model("resnet"))
    read = load_checkpoint(changed).tensors
    assert torch.equal(read["visual.conv1.weight"], expected["visual.conv1.weight"])


@pytest.mark.parametrize(
    "pickled",
    [
        b"\x80\x02c__torch__\nM\n)\x81q\x00}q\x01X\x01\x00\x00\x00sh\x00sb.",  # a module inside itself
        b"\x80\x02c__torch__\nM\nN}X\x08\x00\x00\x00__init__K\x01s\x86b.",  # a changed class
        b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\nK\x01K\x02K\x03\x87R.",  # a tensor out of no storage
        b"\x80\x02ctorch\nFloatStorage\n.",  # a storage and no module
        b"\x80\x02}X\x0a\x00\x00\x00state_dictK\x01s.",
        b"\x80\x02X\xff\xff\xff\x7f.",  # a text of 2 GB
        b"",
    ],
)
def test_odd_pickles_in_an_archive_are_damage(pickled: bytes, tmp_path: Path) -> None:
    archive = formats.write_torchscript("resnet", tmp_path)
    refusal(replace_member(archive, "data.pkl", pickled))
    load_checkpoint(archive)  # and leave nothing behind that would spoil the next


def test_a_storage_is_not_read_beyond_its_record(tmp_path: Path) -> None:
    archive = formats.write_torchscript("resnet", tmp_path)
    with zipfile.ZipFile(archive) as file:
        record = max((info for info in file.infolist() if "/data/" in info.filename), key=lambda info: info.file_size)
        name = record.filename.split("/", 1)[1]
        content = file.read(record)
    assert "compressed or cut short" in refusal(replace_member(archive, name, content[:-2]))


def test_a_state_dict_inside_itself_is_refused(tmp_path: Path) -> None:
    content: dict[str, Any] = {}
    content["state_dict"] = content
    torch.save(content, tmp_path / "circle.pt")
    assert "no named tensors" in refusal(tmp_path / "circle.pt")


def test_shards_outside_the_folder_are_refused(tmp_path: Path) -> None:
    folder = formats.tiny_folder(tmp_path / "hf", "huggingface")
    shutil.move(folder / "model.safetensors", tmp_path / "elsewhere.safetensors")
    for shard in ("../elsewhere.safetensors", str(tmp_path / "elsewhere.safetensors")):
        (folder / "model.safetensors.index.json").write_text(json.dumps({"weight_map": {"logit_scale": shard}}))
        assert "outside its folder" in refusal(folder)


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
def test_files_with_any_bytes_changed_are_read_or_refused(tmp_path: Path) -> None:
    files = [in_zip(0, tmp_path), in_legacy_file(0, tmp_path), formats.write_torchscript("resnet", tmp_path)]
    files.append(formats.tiny_folder(tmp_path / "ours") / "model.safetensors")
    dice, told = random.Random(0), []
    for path in files:
        original = path.read_bytes()
        damaged = tmp_path / f"damaged{path.suffix}"
        for _ in range(12):
            content = bytearray(original)
            if dice.random() < 0.3:
                content = content[: dice.randrange(len(content))]
            else:  # where the structure is: in the first and the last few thousand bytes
                for _ in range(dice.choice((1, 3, 20))):
                    position = dice.choice((dice.randrange(2_000), len(content) - 1 - dice.randrange(5_000)))
                    content[position % len(content)] = dice.randrange(256)
            damaged.write_bytes(content)
            for framework in ("torch", "numpy"):
                try:
                    load_checkpoint(damaged, framework=framework, preset=formats.TINY)
                except CheckpointError as error:
                    told.append(str(error))
    assert len(told) > 48
    assert not any("\n" in text for text in told)
