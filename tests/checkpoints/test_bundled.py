"""The model in the package: a copy of the package with a small one in it, and one without any."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

import diptych
import formats
import seeded
from diptych.checkpoints import save_checkpoint
from diptych.model.config import ResNetConfig

PACKAGE = Path(diptych.__file__).parent
Run = Callable[..., subprocess.CompletedProcess[str]]

# Python runs this file before anything else: whoever asks for a connection fails.
NO_NETWORK = """
import socket
def refuse(*_):
    raise AssertionError("the network was asked")
socket.socket.connect = socket.getaddrinfo = refuse
"""


def installation(folder: Path, vision: Any | None) -> Run:  # noqa: ANN401
    """A copy of the package with a small bundled model in half precision, or none; gives `python ...` that uses it."""
    left_out = shutil.ignore_patterns("postcard", "__pycache__")
    copy = shutil.copytree(PACKAGE, folder / "site" / "diptych", ignore=left_out)
    (folder / "site" / "sitecustomize.py").write_text(NO_NETWORK)
    if vision is not None:
        text = replace(formats.TINY.text, vocab_size=seeded.VOCAB_SIZE)
        checkpoint = formats.tiny_checkpoint(replace(formats.TINY, vision=vision, text=text))
        halves = {n: t.half() if t.ndim > 1 else t for n, t in checkpoint.tensors.items()}
        save_checkpoint(replace(checkpoint, tensors=halves), copy / "postcard")
    work = folder / "work"
    work.mkdir()
    Image.fromarray(seeded.seeded_image(60, 80)).save(work / "photo.jpg")

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PYTHONPATH": str(folder / "site"), "COLUMNS": "200"}
        return subprocess.run(
            [sys.executable, *arguments], cwd=work, env=environment, capture_output=True, encoding="utf-8", timeout=120
        )

    return run


@pytest.fixture(scope="module")
def with_vit(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return installation(tmp_path_factory.mktemp("vit"), formats.TINY_VIT)


@pytest.fixture(scope="module")
def with_resnet(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return installation(
        tmp_path_factory.mktemp("resnet"), ResNetConfig(image_size=(64, 64), layers=(1, 2, 1, 1), width=4, heads=2)
    )


@pytest.fixture(scope="module")
def without(tmp_path_factory: pytest.TempPathFactory) -> Run:
    return installation(tmp_path_factory.mktemp("none"), None)


def printed(done: subprocess.CompletedProcess[str]) -> Any:  # noqa: ANN401
    assert (done.returncode, done.stderr) == (0, "")
    return json.loads(done.stdout)


BOTH_ENCODERS = """
import json, numpy as np, diptych
from diptych.encode.choose import encoder_for
few = encoder_for(None, items=1)
many = diptych.load(dtype="float32", device="cpu")
photos, texts = ["photo.jpg"], ["a dog", "two cats"]
images_agree = np.allclose(few.encode_images(photos), many.encode_images(photos), atol=1e-5, rtol=0)
texts_agree = np.allclose(few.encode_texts(texts), many.encode_texts(texts), atol=1e-5, rtol=0)
names = [type(few).__name__, type(many.encoder).__name__, many.checkpoint.source]
print(json.dumps([*names, few.fingerprint == many.fingerprint, images_agree, texts_agree]))
"""


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_no_name_is_the_bundled_model_and_both_encoders_agree_on_it(kind: str, request: pytest.FixtureRequest) -> None:
    run: Run = request.getfixturevalue(f"with_{kind}")
    assert printed(run("-c", BOTH_ENCODERS)) == ["NumpyEncoder", "TorchEncoder", "postcard", True, True, True]


@pytest.mark.parametrize("model", [[], ["--model", "postcard"]], ids=["no name", "by name"])
def test_classify_needs_no_model_and_no_torch(model: list[str], with_resnet: Run) -> None:
    arguments = ["-X", "importtime", "-m", "diptych", "classify", "photo.jpg", "--labels", "dog,cat", "--json", *model]
    done = with_resnet(*arguments)
    (photo,) = json.loads(done.stdout)
    assert {label["name"] for label in photo["labels"]} == {"dog", "cat"}
    assert "diptych.encode.numpy_resnet" in done.stderr
    assert " torch\n" not in done.stderr


def test_a_folder_of_that_name_comes_before_it_but_not_before_no_name(with_vit: Run, tmp_path: Path) -> None:
    other = tmp_path / "postcard"
    formats.tiny_classifier_folder(other)
    code = (
        f"import os, diptych; os.chdir({str(tmp_path)!r}); "
        "print(diptych.load('postcard').checkpoint.source, diptych.load().checkpoint.format)\n"
        "print(repr(diptych.load()))"
    )
    done = with_vit("-c", code)
    assert done.stdout.splitlines()[0] == "postcard diptych"
    assert done.stdout.splitlines()[1].startswith("DualEncoder('postcard'")


def test_models_lists_it_first_and_info_describes_it(with_vit: Run) -> None:
    first, second = printed(with_vit("-m", "diptych", "models", "--json"))[:2]
    assert (first["name"], first["kind"], first["image_size"]) == ("postcard", "bundled", [32, 32])
    assert second["kind"] == "openai"
    assert "in the package" in with_vit("-m", "diptych", "models").stdout
    facts = printed(with_vit("-m", "diptych", "info", "--json"))
    assert (facts["source"], facts["format"]) == ("postcard", "diptych")
    assert facts["dtypes"] == ["float16", "float32"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("classify", "photo.jpg", "--labels", "dog,cat"),
        ("classify", "photo.jpg", "--labels", "dog,cat", "--model", "postcard"),
        ("info",),
    ],
    ids=" ".join,
)
def test_an_installation_without_it_says_so_in_one_line(arguments: tuple[str, ...], without: Run) -> None:
    done = without("-m", "diptych", *arguments)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.count("\n") == 1
    assert "lacks its own model" in done.stderr
    assert "diptych models" in done.stderr


def test_an_installation_without_it_loads_and_lists_others(without: Run) -> None:
    done = without("-c", "import diptych; diptych.load()")
    assert done.stderr.splitlines()[-1].startswith("diptych.errors.CheckpointError: This installation")
    assert printed(without("-m", "diptych", "models", "--json"))[0]["kind"] == "openai"


def test_it_has_no_revisions() -> None:
    for name in (None, "postcard"):
        with pytest.raises(ValueError, match="revision goes with a hub id; postcard has none"):
            diptych.load(name, revision="main")
