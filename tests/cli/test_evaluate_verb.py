"""`diptych evaluate` through the real command, on sets on disk."""

import io
import json
import tarfile
from pathlib import Path

import pytest
from command import diptych as run
from command import printed_json, succeeded
from PIL import Image

import diptych
import formats
import seeded
from diptych.data.config import SourceConfig
from diptych.data.open import open_source
from diptych.evaluate.report import record
from diptych.evaluate.retrieval import evaluate_retrieval
from diptych.evaluate.zeroshot import evaluate_zero_shot

NAMES = ("apple", "boat", "bus", "cat", "dog", "tree")


def picture(seed: int) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(seeded.seeded_image(40, 48, seed)).save(buffer, "JPEG")
    return buffer.getvalue()


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return formats.tiny_classifier_folder(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def animals(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of six folders, with a picture each: few enough to be answered without torch."""
    folder = tmp_path_factory.mktemp("sets") / "animals"
    for i in range(6):
        path = folder / NAMES[i] / f"{i}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(picture(i))
    return folder


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A webdataset tar of six pictures with two captions each."""
    path = tmp_path_factory.mktemp("sets") / "pairs.tar"
    with tarfile.open(path, "w") as tar:
        for i in range(6):
            captions = [f"a {NAMES[i]} of kind {i}", f"picture {i}"]
            for suffix, data in (("jpg", picture(i)), ("json", json.dumps({"captions": captions}).encode())):
                member = tarfile.TarInfo(f"{i:04}.{suffix}")
                member.size = len(data)
                tar.addfile(member, io.BytesIO(data))
    return path


def test_zero_shot_prints_what_python_measures(model: Path, animals: Path) -> None:
    shown = printed_json("evaluate", "zero-shot", animals, "--model", model, "--templates", "imagenet-7")
    encoder = diptych.load(model, dtype=shown["dtype"])
    result = evaluate_zero_shot(encoder, open_source(SourceConfig(path=str(animals))), templates="imagenet-7")
    assert shown["sets"] == [record(result)]
    assert shown["mean"] == result.numbers()
    assert len(shown["templates"]) == 7
    assert (shown["model"], shown["fingerprint"]) == (str(model), encoder.fingerprint)
    assert shown["diptych"] == diptych.__version__


def test_retrieval_prints_what_python_measures(model: Path, shard: Path) -> None:
    shown = printed_json("evaluate", "retrieval", shard, "--model", model)
    encoder = diptych.load(model, dtype=shown["dtype"])
    result = evaluate_retrieval(encoder, open_source(SourceConfig(path=str(shard))))
    assert shown["sets"] == [record(result)]
    assert (shown["sets"][0]["images"], shown["sets"][0]["captions"]) == (6, 12)


def test_tables_have_a_row_for_each_set_and_one_for_their_mean(model: Path, animals: Path, shard: Path) -> None:
    lines = succeeded("evaluate", "zero-shot", animals, animals, "--limit", 3, "--model", model).splitlines()
    assert lines[0].split() == ["set", "images", "classes", "top-1", "top-5", "mean", "per", "class"]
    assert [line.split()[0] for line in lines[1:]] == ["animals", "animals", "mean"]
    assert lines[1].split()[1:3] == ["3", "6"]
    lines = succeeded("evaluate", "retrieval", shard, shard, "--limit", 3, "--model", model).splitlines()
    assert lines[0].split() == ["set", "direction", "queries", "R@1", "R@5", "R@10"]
    assert [line.split()[1:4] for line in lines[1:3]] == [["text", "to", "image"], ["image", "to", "text"]]
    assert len(lines) == 7


def test_one_set_has_no_mean_row_and_classes_on_demand(model: Path, animals: Path) -> None:
    plain = succeeded("evaluate", "zero-shot", animals, "--model", model)
    assert len(plain.splitlines()) == 2
    whole = succeeded("evaluate", "zero-shot", animals, "--model", model, "--per-class")
    assert whole.startswith(plain)
    shown = whole.removeprefix(plain)
    assert all(name in shown for name in NAMES)
    assert "what is taken for what" in shown


def test_labels_and_limit_are_passed_on(model: Path, animals: Path, tmp_path: Path) -> None:
    labels = tmp_path / "labels.txt"
    labels.write_text("\n".join([*NAMES, "violin"]))
    shown = printed_json(
        "evaluate", "zero-shot", animals, "--model", model, "--labels-file", labels, "--limit", 3, "--template", "a {}"
    )
    assert (shown["sets"][0]["images"], shown["sets"][0]["classes"]) == (3, 7)
    assert shown["templates"] == ["a {}"]


def test_broken_pictures_are_named_on_stderr_and_too_many_end_the_run(
    model: Path, animals: Path, tmp_path: Path
) -> None:
    for path in animals.rglob("*.jpg"):
        copy = tmp_path / "some" / path.relative_to(animals)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_bytes(b"not a picture" if path.name == "4.jpg" else path.read_bytes())
    command = ("evaluate", "zero-shot", tmp_path / "some", "--model", model)
    done = run(*command, "--bad-sample-limit", 0.2)
    assert done.returncode == 0
    assert "some: samples that could not be used: 1" in done.stderr
    assert "4.jpg" in done.stderr
    assert done.stdout.splitlines()[1].split()[1] == "5"
    done = run(*command)
    assert (done.returncode, done.stdout) == (1, "")
    assert "1 of 6 samples cannot be used, more than 1.0%" in done.stderr
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "said", "status"),
    [
        (["zero-shot", "{shard}"], "has no class names, which zero-shot accuracy needs", 1),
        (["retrieval", "{animals}"], "has no captions, which retrieval needs", 1),
        (["zero-shot", "{animals}", "--labels", "cat,dog"], "which is not among the 2 labels given", 1),
        (["zero-shot", "{animals}", "--labels", "a,b", "--labels-file", "x"], "not both", 2),
        (["zero-shot", "{animals}", "--templates", "imagent"], "the nearest of the 34 names", 2),
        (["zero-shot", "{animals}", "--format", "csv"], "--format must be one of auto, webdataset", 2),
        (["zero-shot", "{animals}", "--limit", "0"], "--limit", 2),
        (["zero-shot"], "Missing argument 'PATH...'", 2),
        (["zeroshot", "{animals}"], "No such command 'zeroshot'", 2),
        (["retrieval", "{animals}/nowhere"], "nowhere", 1),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_wrong_use_is_one_line(
    model: Path, animals: Path, shard: Path, arguments: list[str], said: str, status: int
) -> None:
    places = {"animals": animals, "shard": shard}
    done = run("evaluate", *(argument.format(**places) for argument in arguments), DIPTYCH_MODEL=str(model))
    assert (done.returncode, done.stdout) == (status, "")
    assert said in done.stderr
    assert done.stderr.count("\n") == 1
