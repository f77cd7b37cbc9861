"""`diptych demo`, and the page that it writes."""

import base64
import io
import re
import shutil
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from command import diptych as run
from command import environment, succeeded
from PIL import Image

import diptych
import formats
import seeded
from diptych.demo.photographs import LABELS, find_photographs

ROOT = Path(__file__).parents[2]


class Page(HTMLParser):
    """What a browser would see: tags with attributes, and text."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data)

    def every(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return formats.tiny_classifier_folder(tmp_path_factory.mktemp("demo") / "model")


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """Five readable photos, one of them with markup in its name, and one that is broken."""
    folder = tmp_path / "own photos"
    folder.mkdir()
    for seed in range(4):
        Image.fromarray(seeded.seeded_image(500, 700 + seed, seed)).save(folder / f"{seed}.jpg")
    Image.fromarray(seeded.seeded_image(40, 50)).save(folder / '<img src=x onerror=alert(1)>&".png')
    (folder / "broken.jpg").write_bytes((folder / "0.jpg").read_bytes()[:4000])
    return folder


def test_photographs_of_the_wheels_are_named_found_and_shown(model: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    shown = succeeded("demo", "--model", model, "--output", page)
    for name in ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "moon.png", "china.jpg", "flower.jpg"):
        assert name in shown
    assert shown.count("cosine") == 3 * len(find_photographs())
    assert "“an orange flower”: " in shown
    assert str(page) in shown
    assert "demo ~/Pictures" in shown
    parsed = Page(page)
    assert len(find_photographs()) >= 15
    assert len(parsed.every("img")) == len(find_photographs()) + 6 * 3
    assert ", ".join(LABELS) in parsed.source


def test_the_page_needs_nothing_beside_it(model: Path, own: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    run("demo", own, "--labels", "dog,cat", "--model", model, "-o", page)
    parsed = Page(page)
    assert not {name for name, _ in parsed.tags} & {"script", "link", "iframe", "object", "embed", "base"}
    assert "//" not in re.sub(r"base64,[^\"]*", "", parsed.source)
    assert "url(" not in parsed.source
    assert "default-src 'none'" in parsed.source
    assert "prefers-color-scheme: dark" in parsed.source
    for image in parsed.every("img"):
        head, _, data = str(image["src"]).partition(",")
        assert head == "data:image/jpeg;base64"
        assert max(Image.open(io.BytesIO(base64.b64decode(data))).size) <= 360
        assert image["alt"]


def test_names_and_labels_are_text_and_never_markup(model: Path, own: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    run("demo", own, "--labels", "<b>dog</b>,c&at", "--search", '"</style><script>x', "--model", model, "-o", page)
    parsed = Page(page)
    assert not {name for name, _ in parsed.tags} & {"script", "b"}
    assert not any("onerror" in attributes for _, attributes in parsed.tags)
    for text in ("<b>dog</b>", "c&at", '“"</style><script>x”'):
        assert text in parsed.texts
    assert any(text.endswith('<img src=x onerror=alert(1)>&".png') for text in parsed.texts)


def test_bars_are_as_long_as_the_probabilities_say(model: Path, own: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    run("demo", own / "1.jpg", "--labels", "dog,cat,bird,fish", "--model", model, "-o", page)
    parsed = Page(page)
    widths = [float(re.fullmatch(r"width: ([\d.]+)%", str(bar["style"]))[1]) for bar in parsed.every("i")]  # type: ignore[index]
    written = [float(text.removesuffix("%")) for text in parsed.texts if re.fullmatch(r"[\d.]+%", text)]
    assert widths == written
    assert len(widths) == 3
    assert widths == sorted(widths, reverse=True)
    encoder = diptych.load(model, device="cpu", dtype="float32")
    ((first, *_),) = encoder.classifier(["dog", "cat", "bird", "fish"], "imagenet-7").predict([own / "1.jpg"])
    assert widths[0] == pytest.approx(100 * first.probability, abs=0.2)  # the command may compute in bfloat16


def test_unreadable_photos_are_reported_and_the_rest_shown(model: Path, own: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = run("demo", own, "--labels", "dog,cat", "--model", model, "-o", page)
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert re.match(r"diptych: .*broken\.jpg: cannot be read", line)
    parsed = Page(page)
    assert any("broken.jpg: cannot be read" in text for text in parsed.texts)
    assert len(parsed.every("img")) == 5 + 2 * 3


def test_no_readable_photo_at_all_is_a_failure(model: Path, own: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    done = run("demo", own / "broken.jpg", own / "none.jpg", "--labels", "dog,cat", "--model", model, "-o", page)
    assert (done.returncode, done.stdout) == (1, "")
    assert "none.jpg: no such file" in done.stderr
    assert done.stderr.splitlines()[-1] == "diptych: none of the photos could be read."
    assert not page.exists()


def test_of_a_large_folder_some_are_taken_from_all_along(model: Path, own: Path, tmp_path: Path) -> None:
    done = run("demo", own, "--labels", "dog,cat", "--most", "2", "--model", model, "-o", tmp_path / "page.html")
    assert "2 of 6 photos, from all along" in done.stderr
    assert "0.jpg" in done.stdout
    assert "3.jpg" in done.stdout
    assert "1.jpg" not in done.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--labels", "dog"), "One label alone"),
        (("--labels", "dog,,cat"), "empty label"),
        (("--most", "0"), "greater than or equal to 1"),
        (("nowhere/*.jpg",), "No file matches"),
    ],
    ids=str,
)
def test_wrong_usage_is_told_in_one_line(arguments: tuple[str, ...], message: str, model: Path) -> None:
    done = run("demo", *arguments, "--model", model)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def test_photographs_of_a_missing_package_are_told_with_the_command_that_installs_it(model: Path) -> None:
    code = (
        "import sys; sys.modules['skimage'] = None\n"
        f"sys.argv = ['diptych', 'demo', '--model', {str(model)!r}]\n"
        "from diptych.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment())
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].endswith("pip install 'diptych[demo]'.")


def test_make_demo_hands_its_variables_on_as_they_are(model: Path, own: Path, tmp_path: Path) -> None:
    # A tree that is installed already; its command is this one.
    for name in ("pyproject.toml", "constraints.txt", "Makefile"):
        shutil.copy(ROOT / name, tmp_path)
    command = tmp_path / ".venv" / "bin" / "diptych"
    command.parent.mkdir(parents=True)
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m diptych "$@"\n')
    command.chmod(0o755)
    (tmp_path / ".venv" / ".demo").touch()
    arguments = [f"PHOTOS={own}", 'LABELS=dog,a "big" cat', "SEARCH=it's; echo no"]
    done = subprocess.run(
        ["make", "demo", *arguments],
        cwd=tmp_path,
        env=environment(DIPTYCH_MODEL=str(model)),
        capture_output=True,
        encoding="utf-8",
    )
    assert done.returncode == 0, done.stderr
    assert 'a "big" cat' in done.stdout
    assert "“it's; echo no”" in done.stdout
    assert "broken.jpg: cannot be read" in done.stderr
    assert "  diptych classify photo.jpg" in done.stdout or "-m diptych classify photo.jpg" in done.stdout
    assert (tmp_path / "diptych-demo.html").is_file()
