"""`diptych index`, `diptych search` and `diptych library` as a user runs them."""

import json
import re
import shutil
from pathlib import Path

import pytest
from command import diptych
from PIL import Image

from diptych.demo.photographs import find_photographs


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of photos, one of them with EXIF and a strange name, beside a library of them."""
    folder = tmp_path_factory.mktemp("work") / "photos"
    folder.mkdir()
    photographs = {path.stem: path for path in find_photographs()}
    with Image.open(photographs["coffee"]) as coffee:
        coffee.resize((120, 80)).save(folder / "coffee.jpg")
    exif = Image.Exif()
    exif[0x010F], exif[0x0110] = "Leica", "Q3"
    exif.get_ifd(0x8769)[0x9003] = "2023:06:30 12:00:00"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 24.0), 3: "E", 4: (2.0, 21.0, 3.0)})
    exif[0x0112] = 6  # taken upright
    with Image.open(photographs["chelsea"]) as cat:
        cat.resize((120, 80)).save(folder / "the\ncat \N{CAT FACE}.jpg", exif=exif)
    (folder / "text.jpg").write_text("words")
    done = diptych("index", folder, "--library", folder.parent / "library")
    assert done.returncode == 0, done.stderr
    assert done.stdout == "2 new, 1 not readable\n"
    assert done.stderr.splitlines() == [
        f"diptych: {folder / 'text.jpg'}: not an image: it begins with b'words'",
        "diptych: 1 file could not be read: diptych library failures.",
    ]
    return folder


def search(photos: Path, *arguments: object) -> str:
    done = diptych("search", *arguments, "--library", photos.parent / "library")
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_search_prints_scores_paths_or_json(photos: Path) -> None:
    cat = str(photos / "the\ncat \N{CAT FACE}.jpg")
    lines = search(photos, "a cat").splitlines()
    assert [line.split("  ")[-1] for line in lines] == [ascii(cat), str(photos / "coffee.jpg")]
    assert search(photos, "a cat", "-0") == f"{cat}\0{photos / 'coffee.jpg'}\0"
    assert search(photos, "a cup of coffee", "--paths", "--top", "1") == f"{photos / 'coffee.jpg'}\n"
    hit = json.loads(search(photos, "a cat", "--json"))[0]
    assert {name: hit[name] for name in ("path", "width", "height", "taken_at")} == {
        "path": cat,
        "width": 80,
        "height": 120,
        "taken_at": "2023-06-30T12:00:00",
    }
    assert hit["score"] == pytest.approx(float(lines[0].split()[0]), abs=1e-3)


@pytest.mark.parametrize(
    ("options", "is_found"),
    [
        (["--since", "2023", "--until", "2023-06"], True),
        (["--until", "2023-05"], False),
        (["--camera", "leica"], True),
        (["--camera", "Nikon"], False),
        (["--near", "48.86,2.35,5"], True),
        (["--near", "51.5,-0.1,100"], False),
        (["--where", "photos.height > photos.width"], True),
        (["--format", "png"], False),
    ],
)
def test_filters_tell_the_photo_with_exif(options: list[str], is_found: bool, photos: Path) -> None:
    found = json.loads(search(photos, "anything", "--json", *options))
    assert [hit["height"] for hit in found] == ([120] if is_found else [])


def test_the_library_says_what_it_holds_and_what_failed(photos: Path) -> None:
    library = photos.parent / "library"
    facts = json.loads(diptych("library", "info", "--library", library, "--json").stdout)
    assert [(root["path"], root["photos"], root["failures"]) for root in facts["roots"]] == [(str(photos), 2, 1)]
    assert [(model["name"], model["vectors"]) for model in facts["models"]] == [("postcard", 2)]
    failures = diptych("library", "failures", "--library", library).stdout
    assert failures == f"{photos / 'text.jpg'}: not an image: it begins with b'words'\n"
    lines = diptych("library", "info", "--library", library).stdout.splitlines()
    assert lines[1:3] == [
        f"  {photos}: 2 photos, 1 file that cannot be read",
        "  postcard: 2 vectors of 256 numbers, the default",
    ]
    assert re.fullmatch(r"  last indexed .*: 3 of 3 files, done", lines[3])
    assert library.stat().st_mode & 0o077 == 0
    assert (library / "library.db").stat().st_mode & 0o077 == 0


def test_a_run_that_finds_nothing_new_says_so_and_a_model_is_forgotten(photos: Path, tmp_path: Path) -> None:
    library = shutil.copytree(photos.parent / "library", tmp_path / "library")
    assert diptych("index", "--library", library).stdout == "2 unchanged\n"
    last = diptych("library", "info", "--library", library).stdout.splitlines()[-1]
    assert last.endswith(": nothing new, done")
    done = diptych("library", "forget-model", "another", "--library", library)
    assert (done.returncode, "no vectors of another, only of postcard" in done.stderr) == (1, True)
    assert diptych("library", "forget-model", "postcard", "--library", library).stdout == "2 vectors forgotten\n"
    assert json.loads(diptych("library", "info", "--json", "--library", library).stdout)["models"] == []


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["search", "dog", "--library", "nowhere"], 1, "There is no library in nowhere: `diptych index FOLDER`"),
        (["search", "dog +", "--library", "LIBRARY"], 2, "A term is empty"),
        (["search", "dog", "--since", "yesterday", "--library", "LIBRARY"], 2, "since must be a date such as 2024"),
        (["search", "dog", "--near", "here", "--library", "LIBRARY"], 2, "--near takes latitude, longitude and"),
        (["search", "dog", "--where", "no such", "--library", "LIBRARY"], 2, "The filter is not SQL over the table"),
        (["search", "dog", "--model", "ViT-B/32", "--library", "LIBRARY"], 1, "holds no vectors of ViT-B/32, only"),
        (["search", "photo:99", "--library", "LIBRARY"], 1, "There is no photo 99"),
        (["index", "TEXT", "--library", "LIBRARY"], 1, "is a file: give the folder that holds it"),
        (["index", "PHOTOS", "--library", "PHOTOS"], 1, "holds other files and no library"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(photos: Path, arguments: list[str], status: int, message: str) -> None:
    places = {"LIBRARY": photos.parent / "library", "PHOTOS": photos, "TEXT": photos / "text.jpg"}
    done = diptych(*[str(places.get(each, each)) for each in arguments])
    assert (done.returncode, done.stderr.count("\n")) == (status, 1), done.stderr
    assert message in done.stderr
