import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
from command import diptych as run
from command import environment, printed_json, succeeded
from numpy.testing import assert_allclose
from PIL import Image

import diptych
import formats
import seeded
from diptych.prompts import DEFAULT_LABELS

LABELS = "dog,cat,a red bus"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return formats.tiny_classifier_folder(tmp_path_factory.mktemp("model") / "tiny")


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a.jpg, b.PNG and below/c.webp, which are pictures, and four files that are not to be looked at."""
    folder = tmp_path_factory.mktemp("pictures")
    for i, name in enumerate(("a.jpg", "b.PNG", "below/c.webp")):
        (folder / name).parent.mkdir(exist_ok=True)
        Image.fromarray(seeded.seeded_image(50, 40, seed=i)).save(folder / name)
    for name in (".hidden.jpg", ".cache/d.jpg", "notes.txt", "movie.mp4"):
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_bytes(b"not a picture")
    return folder


@pytest.fixture(scope="module")
def address(pictures: Path) -> Iterator[str]:
    """Where the pictures are served."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, format: str, *arguments: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(pictures)))
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}"
    server.shutdown()
    server.server_close()


def test_json_has_what_python_computes(model: Path, pictures: Path) -> None:
    (photo,) = printed_json("classify", pictures / "a.jpg", "--labels", LABELS, "--model", model)
    assert photo.keys() == {"path", "labels"}
    assert photo["path"] == str(pictures / "a.jpg")
    classifier = diptych.load(model, dtype="float32").classifier(LABELS.split(","))
    (expected,) = classifier.predict([pictures / "a.jpg"])
    assert [label["name"] for label in photo["labels"]] == [label.name for label in expected]
    for shown, label in zip(photo["labels"], expected, strict=True):
        assert shown.keys() == {"name", "probability", "cosine", "margin"}
        # numpy there, torch here: cosines differ by 1e-6, and a logit scale of some tens makes 1e-4 of it.
        assert_allclose([shown["cosine"], shown["margin"]], [label.cosine, label.margin], atol=1e-5)
        assert_allclose(shown["probability"], label.probability, atol=1e-3)
    assert sum(label["probability"] for label in photo["labels"]) == pytest.approx(1)


def test_files_folders_globs_and_addresses_are_taken_in_the_order_given(
    model: Path, pictures: Path, address: str
) -> None:
    arguments = (f"{address}/b.PNG", pictures, f"{pictures}/**/*.webp", pictures / "a.jpg")
    shown = printed_json("classify", *arguments, "--labels", LABELS, "--model", model)
    names = [*(str(pictures / name) for name in ("a.jpg", "b.PNG", "below/c.webp", "below/c.webp", "a.jpg"))]
    assert [photo["path"] for photo in shown] == [f"{address}/b.PNG", *names]
    assert shown[0]["labels"] == shown[2]["labels"]  # fetched, and from the folder


def test_the_table_has_a_bar_a_percentage_and_the_cosine_of_each_label(model: Path, pictures: Path) -> None:
    arguments = ("classify", pictures / "a.jpg", "--labels", LABELS, "--model", model)
    name, *rows = [line for line in succeeded(*arguments).splitlines() if line.strip()]
    assert name == str(pictures / "a.jpg")
    (photo,) = printed_json(*arguments)
    assert len(rows) == 3
    for row, label in zip(rows, photo["labels"], strict=True):
        assert row.startswith(f"   {label['name']}")
        assert f"{label['probability']:.1%}" in row
        assert f"cosine {label['cosine']:.3f}" in row
    assert rows[0].count("█") > rows[2].count("█")


def test_top_shows_the_first_labels_only(model: Path, pictures: Path) -> None:
    (photo,) = printed_json("classify", pictures / "a.jpg", "--labels", LABELS, "--model", model, "--top", 1)
    assert len(photo["labels"]) == 1
    assert photo["labels"][0]["margin"] > 0  # of the runner-up, which is not shown


def test_multi_takes_each_label_by_itself(model: Path, pictures: Path) -> None:
    arguments = ("classify", pictures / "a.jpg", "--labels", LABELS, "--model", model, "--multi")
    (every,) = printed_json(*arguments, "--threshold", 0)
    assert len(every["labels"]) == 3
    (expected,) = (
        diptych.load(model, dtype="float32")
        .classifier(LABELS.split(","))
        .predict_each([pictures / "a.jpg"], threshold=0)
    )
    # The command takes the processor's own dtype, which may be bfloat16.
    assert {label["name"]: label["cosine"] for label in every["labels"]} == pytest.approx(
        {label.name: label.cosine for label in expected}, abs=0.02
    )
    assert "none of the labels" in succeeded(*arguments, "--threshold", 1)


LABEL_FILES = {
    "lines.txt": "# animals\ndog\n\n  cat  \na red bus\n",
    "list.json": '["dog", "cat", "a red bus"]',
    "marked.txt": "\ufeffdog\ncat\na red bus",
}


@pytest.mark.parametrize("name", LABEL_FILES)
def test_labels_from_a_file_are_those_of_the_line(name: str, model: Path, pictures: Path, tmp_path: Path) -> None:
    (tmp_path / name).write_text(LABEL_FILES[name], encoding="utf-8")
    arguments = ("classify", pictures / "a.jpg", "--model", model)
    from_file = printed_json(*arguments, "--labels-file", tmp_path / name)
    assert from_file == printed_json(*arguments, "--labels", LABELS)


def test_labels_with_descriptions_are_judged_by_them(model: Path, pictures: Path, tmp_path: Path) -> None:
    described = {"dog": ["a loyal pet", "an animal that barks"], "cat": "a small cat"}
    (tmp_path / "described.json").write_text(json.dumps(described))
    arguments = ("classify", pictures / "a.jpg", "--model", model)
    (photo,) = printed_json(*arguments, "--labels-file", tmp_path / "described.json")
    classifier = diptych.load(model, dtype="float32").classifier(described)
    (expected,) = classifier.predict([pictures / "a.jpg"])
    assert {label["name"]: label["cosine"] for label in photo["labels"]} == pytest.approx(
        {label.name: label.cosine for label in expected}, abs=1e-5
    )


@pytest.mark.parametrize("template", ["simple", "a drawing of a {}.", "file"])
def test_templates_come_by_name_as_text_or_from_a_file(
    template: str, model: Path, pictures: Path, tmp_path: Path
) -> None:
    (tmp_path / "templates.txt").write_text("a {}.\nmany {}.\n")
    given = str(tmp_path / "templates.txt") if template == "file" else template
    arguments = ("classify", pictures / "a.jpg", "--labels", "dog,cat", "--model", model)
    (photo,) = printed_json(*arguments, "--template", given)
    templates = ["a {}.", "many {}."] if template == "file" else template
    (expected,) = (
        diptych.load(model, dtype="float32").classifier(["dog", "cat"], templates).predict([pictures / "a.jpg"])
    )
    assert photo["labels"][0]["cosine"] == pytest.approx(expected[0].cosine, abs=1e-5)


def test_everyday_labels_are_tried_when_none_are_given(model: Path, pictures: Path) -> None:
    done = run("classify", pictures / "a.jpg", "--model", model, "--json")
    assert done.returncode == 0
    assert done.stderr.startswith(f"diptych: no labels given, so {len(DEFAULT_LABELS)} everyday ones are tried")
    (photo,) = json.loads(done.stdout)
    assert len(photo["labels"]) == 5
    assert {label["name"] for label in photo["labels"]} <= set(DEFAULT_LABELS)


# ---- what cannot be read


@pytest.fixture
def mixed(pictures: Path, address: str, tmp_path: Path) -> list[str]:
    """Good photos at the second and the last but one place, of six."""
    (tmp_path / "torn.jpg").write_bytes((pictures / "a.jpg").read_bytes()[:200])
    (tmp_path / "text.png").write_text("no picture at all")
    bad = [str(tmp_path / "torn.jpg"), str(tmp_path / "text.png"), f"{address}/gone.jpg", f"{address}/notes.txt"]
    return [bad[0], str(pictures / "a.jpg"), bad[1], bad[2], str(pictures / "b.PNG"), bad[3]]


@pytest.mark.parametrize("more", [0, 6], ids=["by numpy", "by torch"])
def test_bad_photos_are_reported_and_the_rest_done(more: int, mixed: list[str], model: Path) -> None:
    photos = [*mixed, *[mixed[1]] * more]
    done = run("classify", *photos, "--labels", LABELS, "--model", model, "--json")
    assert done.returncode == 1
    assert done.stderr == f"diptych: 4 of {len(photos)} photos could not be read.\n"
    shown = json.loads(done.stdout)
    assert [photo["path"] for photo in shown] == photos
    for i, photo in enumerate(shown):
        is_good = i in (1, 4) or i > 5
        assert photo.keys() == {"path", "labels" if is_good else "error"}
        if not is_good:
            assert photo["path"] in photo["error"]
            assert "\n" not in photo["error"]
    assert "404" in shown[3]["error"]


def test_bad_photos_are_named_on_stderr_between_the_tables(mixed: list[str], model: Path) -> None:
    done = run("classify", *mixed, "--labels", LABELS, "--model", model)
    assert done.returncode == 1
    *lines, last = done.stderr.splitlines()
    assert [line.startswith("diptych: ") for line in lines] == [True] * 4
    for line, photo in zip(lines, (mixed[0], mixed[2], mixed[3], mixed[5]), strict=True):
        assert photo in line
    assert last == "diptych: 4 of 6 photos could not be read."
    assert [line for line in done.stdout.splitlines() if line.startswith(("/", "http"))] == [mixed[1], mixed[4]]


def test_names_that_the_terminal_cannot_show_are_escaped(model: Path, pictures: Path, tmp_path: Path) -> None:
    photo = tmp_path / "crème [brûlée] 東京.jpg"
    photo.write_bytes((pictures / "a.jpg").read_bytes())
    arguments = ("classify", photo, "--labels", "chien,café", "--model", model)
    assert "crème [brûlée] 東京.jpg" in succeeded(*arguments)
    shown = json.loads(succeeded(*arguments, "--json", PYTHONIOENCODING="ascii"))
    assert shown[0]["path"] == str(photo)
    assert "caf\\xe9" in succeeded(*arguments, PYTHONIOENCODING="ascii")


# ---- which encoder


def was_torch_imported(*arguments: object) -> bool:
    script = f"""
import contextlib, sys
sys.argv = {["diptych", *map(str, arguments)]!r}
from diptych.cli import main
with contextlib.suppress(SystemExit):
    main()
print("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, env=environment())
    assert '"labels"' in done.stdout, done.stderr
    return done.stdout.splitlines()[-1] == "True"


def test_a_handful_of_photos_is_answered_without_torch(model: Path, pictures: Path) -> None:
    assert not was_torch_imported("classify", pictures, "--labels", LABELS, "--model", model, "--json")


def test_a_resnet_is_computed_by_torch(pictures: Path, tmp_path: Path) -> None:
    archive = formats.write_torchscript("resnet", tmp_path)
    (photo,) = printed_json("classify", pictures / "a.jpg", "--labels", LABELS, "--model", archive)
    expected = diptych.load(archive, dtype="float32").similarity([pictures / "a.jpg"], [
        f"a photo of a {name}." for name in LABELS.split(",")
    ])  # fmt: skip
    # The command takes the processor's own dtype, which may be bfloat16.
    assert_allclose(sorted(label["cosine"] for label in photo["labels"]), np.sort(expected[0]), atol=0.02)


def test_the_model_may_be_named_by_the_environment(model: Path, pictures: Path) -> None:
    arguments = ("classify", pictures / "a.jpg", "--labels", LABELS)
    assert succeeded(*arguments, DIPTYCH_MODEL=str(model)) == succeeded(*arguments, "--model", model)
