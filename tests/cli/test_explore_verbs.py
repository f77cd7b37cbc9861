"""`diptych cluster`, `diptych map` and `diptych describe` as a user runs them."""

import base64
import io
import json
import re
from pathlib import Path

import pytest
from command import diptych, printed_json, succeeded
from PIL import Image

from diptych.demo.photographs import find_photographs

NAMES = ("chelsea", "coffee", "rocket")


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs in three sizes each, in a folder beside their library."""
    folder = tmp_path_factory.mktemp("work") / "photos"
    folder.mkdir()
    photographs = {path.stem: path for path in find_photographs()}
    for name in NAMES:
        with Image.open(photographs[name]) as photograph:
            for width in (120, 140, 160):
                photograph.resize((width, 100)).save(folder / f"{name}-{width}.jpg")
    succeeded("index", folder, "--library", folder.parent / "library")
    return folder


@pytest.fixture
def words(tmp_path: Path) -> Path:
    file = tmp_path / "words.txt"
    file.write_text("# what they may be called\ncat\ncup of coffee\nrocket\n")
    return file


def test_groups_are_printed_with_words_and_examples(photos: Path, words: Path) -> None:
    library = photos.parent / "library"
    lines = succeeded("cluster", "--count", "3", "--vocabulary", words, "--library", library).splitlines()
    headings = [line for line in lines if not line.startswith(" ")]
    assert [re.match(r"3  .*  \(cohesion [01]\.\d\d\)$", line) is not None for line in headings] == [True] * 3
    shown = [Path(line.strip()).name for line in lines if line.startswith(" ")]
    assert {name.partition("-")[0] for name in shown} == set(NAMES)


def test_groups_as_json_hold_every_photo_once(photos: Path, words: Path) -> None:
    plain = printed_json("cluster", "--count", "3", "--vocabulary", words, "--library", photos.parent / "library")
    assert sorted(plain) == ["groups", "unassigned"]
    for group in plain["groups"]:
        assert sorted(group) == ["cohesion", "name", "photos", "size", "words"]
        assert group["size"] == len(group["photos"]) == 3
        assert len({Path(photo["path"]).name.partition("-")[0] for photo in group["photos"]}) == 1
        assert group["words"][0]["score"] >= group["words"][1]["score"]
    paths = [photo["path"] for group in plain["groups"] for photo in group["photos"]]
    assert sorted(paths) == sorted(map(str, photos.iterdir()))
    assert plain["unassigned"] == []


def test_a_folder_is_grouped_without_a_library_and_shown_on_a_page(photos: Path, tmp_path: Path) -> None:
    page = tmp_path / "groups.html"
    done = diptych("cluster", photos, "--html", page, DIPTYCH_LIBRARY=str(tmp_path / "none"))
    assert (done.returncode, done.stderr) == (0, "")
    assert page.read_text(encoding="utf-8").count("<img ") == 9
    assert not (tmp_path / "none").exists()


def test_a_map_is_a_page_or_a_picture(photos: Path, words: Path, tmp_path: Path) -> None:
    library = photos.parent / "library"
    for name in ("map.html", "map.PNG"):
        file = tmp_path / name
        said = succeeded("map", "-o", file, "--clusters", "3", "--vocabulary", words, "--library", library)
        assert said == f"9 photos in 3 groups: {file}\n"
    page = (tmp_path / "map.html").read_text(encoding="utf-8")
    data = json.loads(re.findall(r'id="map">(.*?)</script>', page)[0])
    assert len(data["photos"]) == 9
    sheet = base64.b64decode(re.findall(r'src="data:image/jpeg;base64,([^"]+)"', page)[0])
    assert Image.open(io.BytesIO(sheet)).size == (576, 576)
    with Image.open(tmp_path / "map.PNG") as image:
        assert image.width >= image.height > 300


def test_a_photo_that_is_gone_is_grey_on_the_map_and_said(photos: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in photos.glob("*-120.jpg"):
        (folder / path.name).write_bytes(path.read_bytes())
    succeeded("index", folder, "--library", tmp_path / "library")
    (folder / "coffee-120.jpg").unlink()
    done = diptych("map", "--library", tmp_path / "library", "-o", tmp_path / "map.html")
    assert done.returncode == 0
    assert done.stderr == "diptych: 1 photo could not be read; it is grey.\n"


def test_photos_of_the_library_and_files_are_described(photos: Path, words: Path) -> None:
    library = photos.parent / "library"
    cat = photos / "chelsea-160.jpg"
    lines = succeeded("describe", cat, "--texts", words, "--top", "2").splitlines()
    assert lines[0] == str(cat)
    assert re.fullmatch(r"    0\.\d{3}  cat", lines[1])
    assert len(lines) == 3
    listed = printed_json("library", "list", "--library", library)
    number = next(photo["id"] for photo in listed if photo["path"] == str(cat))
    named = f"photo:{number}"
    plain = printed_json("describe", cat, named, cat, "--text", "a cat", "--text", "a cup", "--library", library)
    assert [described["path"] for described in plain] == [str(cat), named, str(cat)]  # in the order they are named
    read, stored, again = (described["texts"] for described in plain)
    assert again == read
    assert [text["text"] for text in stored] == ["a cat", "a cup"]
    assert [text["score"] for text in stored] == pytest.approx([text["score"] for text in read], abs=0.03)


def test_without_texts_everyday_words_describe_a_photo(photos: Path) -> None:
    (described,) = printed_json("describe", photos / "chelsea-160.jpg")
    assert len(described["texts"]) == 5
    assert any("cat" in text["text"] for text in described["texts"])


def test_a_photo_that_cannot_be_read_is_said_and_the_others_are_described(photos: Path, tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_text("words")
    done = diptych("describe", broken, photos / "coffee-120.jpg", "--text", "coffee")
    assert (done.returncode, done.stdout.count("coffee-120.jpg")) == (1, 1)
    assert done.stderr == f"diptych: {broken}: not an image: it begins with b'words'\n"
    done = diptych("describe", broken, photos / "coffee-120.jpg", "--text", "coffee", "--json")
    failed, described = json.loads(done.stdout)
    assert done.returncode == 1
    assert failed == {"path": str(broken), "error": f"{broken}: not an image: it begins with b'words'"}
    assert (described["path"], len(described["texts"])) == (str(photos / "coffee-120.jpg"), 1)


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["cluster", "--library", "nowhere"], 1, "There is no library in nowhere"),
        (["cluster", "NOWHERE"], 1, "There is no folder "),
        (["cluster", "--count", "0"], 2, "greater than or equal to 1"),
        (["cluster", "--vocabulary", "none.txt"], 2, "The texts file none.txt cannot be read: No such file"),
        (["map", "-o", "map.svg"], 2, "map.svg must end in .html, .htm or .png."),
        (["map", "-o", "NOWHERE/map.png", "--library", "LIBRARY"], 1, "map.png cannot be written: there is no folder "),
        (["cluster", "--html", "NOWHERE/groups.html", "--library", "LIBRARY"], 1, "written: there is no folder "),
        (["cluster", "--html", "groups.txt", "--library", "LIBRARY"], 2, "groups.txt must end in .html or .htm."),
        (["describe", "photo:one", "--library", "LIBRARY"], 2, "photo:one is not a photo: write the number"),
        (["describe", "photo:99", "--library", "LIBRARY"], 1, "There is no photo 99"),
        (["describe", "photo:1", "--library", "nowhere"], 1, "There is no library in nowhere"),
        (["describe", "PHOTO", "--text", " "], 2, "A --text is empty"),
        (["describe", "PHOTO", "--text", "a cat", "--texts", "captions.txt"], 2, "Give --text or --texts, not both"),
        (["describe", "no*.jpg"], 2, "No file matches"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(photos: Path, arguments: list[str], status: int, message: str) -> None:
    places = {"LIBRARY": photos.parent / "library", "PHOTO": photos / "rocket-120.jpg"}
    given = [str(places.get(each, each)).replace("NOWHERE", str(photos.parent / "nowhere")) for each in arguments]
    done = diptych(*given)
    assert (done.returncode, done.stderr.count("\n")) == (status, 1), done.stderr
    assert message in done.stderr
