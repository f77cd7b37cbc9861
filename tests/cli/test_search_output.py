"""What `diptych search` and `diptych similar` print, draw, write and open."""

import base64
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest
from command import diptych, environment
from PIL import Image

from diptych.calibration import MATCH_THRESHOLD
from diptych.cli.printing import describe_second
from diptych.demo.photographs import find_photographs

NAMES = ("chelsea", "coffee", "rocket")
FACTS = ["width", "height", "taken_at", "second", "text", "fields"]
KEYS = ["id", "path", "is_file", "key", "score", "relevance", *FACTS]


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small photographs in the folder photos, beside a library of them."""
    folder = tmp_path_factory.mktemp("work") / "photos"
    folder.mkdir()
    for path in find_photographs():
        if path.stem in NAMES:
            with Image.open(path) as photograph:
                photograph.convert("RGB").resize((120, 80)).save(folder / f"{path.stem}.jpg")
    done = diptych("index", folder, "--library", folder.parent / "library")
    assert done.returncode == 0, done.stderr
    return folder.parent / "library"


@pytest.fixture
def opened(tmp_path: Path) -> tuple[dict[str, str], Path]:
    """Variables under which xdg-open and the browser note what they are given, and the file they note it in."""
    notes = tmp_path / "opened"
    for name in ("xdg-open", "a-browser"):
        program = tmp_path / name
        program.write_text(f'#!/bin/sh\necho "{name} $@" >> "{notes}"\n')
        program.chmod(0o755)
    return {"PATH": f"{tmp_path}{os.pathsep}{os.environ['PATH']}", "BROWSER": ""}, notes


def in_terminal(*arguments: object, **variables: str) -> str:
    """What the command prints to a terminal of its own."""
    leader, follower = pty.openpty()
    command = [sys.executable, "-m", "diptych", *map(str, arguments)]
    unnamed = {"TERM_PROGRAM": "", "LC_TERMINAL": "", "TERM": "xterm-256color"}
    process = subprocess.Popen(command, stdout=follower, stderr=follower, env=environment(**{**unnamed, **variables}))
    os.close(follower)
    shown = bytearray()
    try:
        while block := os.read(leader, 65_536):
            shown += block
    except OSError:  # how Linux says that the other end is closed
        pass
    os.close(leader)
    assert process.wait() == 0, shown.decode()
    return shown.decode()


def test_a_pipe_is_given_aligned_lines_and_json_has_every_key(library: Path) -> None:
    lines = diptych("search", "a cat", "--library", library).stdout.splitlines()
    hits = json.loads(diptych("search", "a cat", "--json", "--library", library).stdout)
    assert [list(hit) for hit in hits] == [KEYS] * 3
    assert [line.split()[0] for line in lines] == [f"{hit['score']:.3f}" for hit in hits]
    assert [line.split("  ")[-1] for line in lines] == [hit["path"] for hit in hits]
    assert len({line.index("/") for line in lines}) == 1, "the paths begin in one column"
    first = hits[0]
    assert (first["is_file"], first["width"], first["height"]) == (True, 120, 80)
    assert first["path"].endswith("chelsea.jpg")
    assert [first[name] for name in ("key", "taken_at", "second", "text", "fields")] == [None] * 5
    assert all(hit["relevance"] is None or 0 <= hit["relevance"] <= 1 for hit in hits)


def test_a_terminal_is_given_a_table_with_ranks(library: Path) -> None:
    shown = in_terminal("search", "a cat", "--library", library, "--skip", "1")
    assert "\x1b_G" not in shown
    plain = re.sub(r"\x1b\[[0-9;]*m", "", shown)
    header, *rows = [line for line in plain.splitlines() if line.strip()]
    assert header.split()[0] == "cosine"
    assert [row.split()[0] for row in rows if "jpg" in row] == ["2", "3"]
    assert "120 x 80" in rows[0]


@pytest.mark.parametrize(
    ("variables", "options", "begins", "count"),
    [
        ({"TERM": "xterm-kitty"}, [], "\x1b_Ga=T,f=100", 2),
        ({"TERM_PROGRAM": "iTerm.app"}, [], "\x1b]1337;File=inline=1", 2),
        ({}, ["--pictures"], "\x1bPq", 2),
        ({"TERM": "xterm-kitty"}, ["--no-pictures"], "\x1b_G", 0),
    ],
)
def test_pictures_are_drawn_where_the_terminal_can(
    variables: dict[str, str], options: list[str], begins: str, count: int, library: Path
) -> None:
    shown = in_terminal("search", "a cat", "--top", 2, *options, "--library", library, **variables)
    assert shown.count(begins) == count
    assert "chelsea.jpg" in shown


def test_a_pipe_is_given_no_pictures(library: Path) -> None:
    assert "\x1b" not in diptych("search", "a cat", "--pictures", "--library", library, TERM="xterm-kitty").stdout


def test_a_contact_sheet_holds_the_pictures(library: Path, tmp_path: Path) -> None:
    done = diptych("search", "a <cat>", "--html", tmp_path / "sheet.html", "--paths", "--library", library)
    assert len(done.stdout.splitlines()) == 3
    assert done.stderr.endswith(f"diptych: 3 photos on {tmp_path / 'sheet.html'}.\n")
    page = (tmp_path / "sheet.html").read_text()
    assert "<h1>a &lt;cat&gt;</h1>" in page
    jpegs = [base64.b64decode(data) for data in re.findall(r"base64,([^\"]+)", page)]
    assert [jpeg[:2] for jpeg in jpegs] == [b"\xff\xd8"] * 3
    assert len(list(library.glob("thumbnails/*/*.jpg"))) == 3
    assert diptych("library", "check", "--library", library).stdout == "3 photos, 3 vectors, 0 faults\n"


def test_what_was_found_is_opened(library: Path, tmp_path: Path, opened: tuple[dict[str, str], Path]) -> None:
    variables, notes = opened
    sheet = tmp_path / "sheet.html"
    photo = library.parent / "photos" / "chelsea.jpg"
    diptych("search", "a cat", "--open", "--library", library, **variables)
    diptych("search", "a cat", "--open", "--html", sheet, "--library", library, **variables)
    diptych("search", "a cat", "--open", "--html", sheet, "--library", library, **{**variables, "BROWSER": "a-browser"})
    assert notes.read_text().splitlines() == [f"xdg-open {photo}", f"xdg-open {sheet}", f"a-browser {sheet}"]


def test_a_viewer_that_fails_or_is_not_there_is_said_in_one_line(
    library: Path, tmp_path: Path, opened: tuple[dict[str, str], Path]
) -> None:
    variables, _ = opened
    (tmp_path / "xdg-open").write_text("#!/bin/sh\nexit 3\n")
    done = diptych("search", "a cat", "--open", "--library", library, **variables)
    assert (done.returncode, len(done.stdout.splitlines())) == (1, 3)
    assert done.stderr.endswith(f"xdg-open could not open {library.parent}/photos/chelsea.jpg (exit status 3).\n")
    done = diptych("search", "a cat", "--open", "--library", library, PATH="/nowhere", BROWSER="")
    assert done.returncode == 1
    assert done.stderr.endswith("there is no xdg-open. Open it by hand.\n")


def test_pictures_are_terms_beside_words_or_alone(library: Path) -> None:
    rocket = library.parent / "photos" / "rocket.jpg"
    alone = json.loads(diptych("search", "--image", rocket, "--json", "--library", library).stdout)
    assert Path(alone[0]["path"]) == rocket
    assert alone[0]["score"] == pytest.approx(1, abs=5e-3)  # float16, and the encoder's other way of resizing
    both = json.loads(diptych("search", "a cat", "-i", rocket, "--json", "--library", library).stdout)
    written = json.loads(diptych("search", f"a cat + img:{rocket}", "--json", "--library", library).stdout)
    assert [(hit["id"], hit["score"]) for hit in both] == [(hit["id"], hit["score"]) for hit in written]
    like = diptych("similar", rocket, "--paths", "--library", library).stdout.splitlines()
    assert len(like) == 2
    assert str(rocket) not in like


def test_duplicates_are_shown_on_a_sheet_and_of_one_folder(library: Path, tmp_path: Path) -> None:
    photo = library.parent / "photos" / "rocket.jpg"
    for name in ("a/one.jpg", "a/another.jpg", "b/one.jpg"):
        (tmp_path / "photos" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "photos" / name).write_bytes(photo.read_bytes())
    diptych("index", tmp_path / "photos", "--library", tmp_path / "library")
    command = ("duplicates", "--library", tmp_path / "library", "--html", tmp_path / "sheet.html")
    assert diptych(*command).stdout.count("  like ") == 2
    page = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert (page.count("<h2>3 photos</h2>"), page.count("<img ")) == (1, 3)
    assert (page.count("keep: 120 x 80, "), page.count("the same bytes: 120 x 80, ")) == (1, 2)
    assert diptych(*command, "--folder", tmp_path / "photos" / "a").stdout.count("  like ") == 1
    assert diptych(*command, "--folder", tmp_path / "photos" / "b").stdout == "no duplicates (--threshold 0.97)\n"
    done = diptych(*command, "--folder", tmp_path / "none")
    assert "no photo lies under" in done.stderr
    photo_sheet = diptych("duplicates", "--library", tmp_path / "library", "--html", photo)
    assert (photo_sheet.returncode, "must end in .html or .htm" in photo_sheet.stderr) == (2, True)


@pytest.mark.parametrize("verb", [["search", "a cat"], ["similar", "photo:1"]])
def test_a_sheet_that_cannot_be_written_is_said_before_the_search(verb: list[str], library: Path) -> None:
    done = diptych(*verb, "--html", library / "none" / "sheet.html", "--library", library)
    message = f"sheet.html cannot be written: there is no folder {library / 'none'}."
    assert (done.returncode, done.stdout, message in done.stderr) == (1, "", True)


def test_photos_like_one_of_the_library_are_found_by_its_number(library: Path) -> None:
    rocket = library.parent / "photos" / "rocket.jpg"
    listed = json.loads(diptych("library", "list", "--json", "--library", library).stdout)
    number = next(photo["id"] for photo in listed if photo["path"] == str(rocket))
    by_path = diptych("similar", rocket, "--json", "--library", library).stdout
    assert diptych("similar", f"photo:{number}", "--json", "--library", library).stdout == by_path
    assert {hit["id"] for hit in json.loads(by_path)} == {photo["id"] for photo in listed} - {number}
    done = diptych("similar", "photo:x", "--library", library)
    assert (done.returncode, done.stderr.count("\n")) == (2, 1)


def test_duplicates_as_json_have_paths_as_hits_do(library: Path, tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    photo = library.parent / "photos" / "rocket.jpg"
    for name in ("one.jpg", "another.jpg"):
        (tmp_path / "photos" / name).write_bytes(photo.read_bytes())
    diptych("index", tmp_path / "photos", "--library", tmp_path / "library")
    [group] = json.loads(diptych("duplicates", "--json", "--library", tmp_path / "library").stdout)
    keys = ["id", "path", "is_file", "key", "width", "height", "size", "cosine", "is_exact"]
    assert [list(each) for each in (group["keep"], *group["others"])] == [keys] * 2
    assert group["keep"]["path"] == str(tmp_path / "photos" / "one.jpg")
    assert (group["others"][0]["path"], group["others"][0]["is_exact"]) == (
        str(tmp_path / "photos" / "another.jpg"),
        True,
    )


def test_that_nothing_matches_is_said_once_no_photo_is_relevant(library: Path) -> None:
    for query in ("a cat", "the annual report of a bank"):
        done = diptych("search", query, "--json", "--library", library)
        is_said = "nothing matches: no photo stands out for this query" in done.stderr
        assert is_said == all(hit["relevance"] < MATCH_THRESHOLD for hit in json.loads(done.stdout)), query
    assert is_said
    assert diptych("search", query, "--skip", "1", "--library", library).stderr == ""


def test_one_photo_alone_is_judged_as_twenty_are(library: Path) -> None:
    best, *_ = json.loads(diptych("search", "a kitten", "--json", "--library", library).stdout)
    every = diptych("search", "a kitten", "--library", library)
    one = diptych("search", "a kitten", "--top", "1", "--library", library)
    assert len(one.stdout.splitlines()) == 1
    assert one.stderr == every.stderr
    assert ("nothing matches" in one.stderr) == (best["relevance"] < MATCH_THRESHOLD)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--camera", "Leica"], "no photo is left by the filters."),
        (["--format", "heic"], "no photo is left by the filters: there is no heic, only JPEG."),
        (["--folder", "/nowhere"], "filters: no photo lies under /nowhere, only under PHOTOS."),
        (["--skip", "7"], "3 photos are found in all: --skip 7 leaves none."),
        (["--skip", "7", "--min-relevance", "0"], "3 photos are found in all: --skip 7 leaves none."),
        (["--skip", "7", "--camera", "Leica"], "no photo is left by the filters."),
        (["--threshold", "0.99"], r"no photo reaches --threshold 0.99: the nearest has the cosine 0\.\d+ and the .*"),
        (["--min-relevance", "1", "--threshold", "0"], "no photo reaches --threshold 0 and --min-relevance 1: the .*"),
    ],
)
def test_why_nothing_is_found_is_said_beside_an_empty_list(options: list[str], said: str, library: Path) -> None:
    done = diptych("search", "a cat", *options, "--json", "--library", library)
    assert (done.returncode, json.loads(done.stdout)) == (0, [])
    said = said.replace("PHOTOS", str(library.parent / "photos"))
    assert re.fullmatch(f"diptych: .*{said}\n", done.stderr), done.stderr


def test_words_need_no_quotes_and_relevance_may_be_asked_for(library: Path) -> None:
    quoted = json.loads(diptych("search", "a cup of coffee", "--json", "--library", library).stdout)
    assert json.loads(diptych("search", "a", "cup", "of", "coffee", "--json", "--library", library).stdout) == quoted
    least = quoted[0]["relevance"] - 1e-4
    relevant = diptych("search", "a cup of coffee", "--json", "--min-relevance", least, "--library", library)
    assert json.loads(relevant.stdout) == [hit for hit in quoted if hit["relevance"] >= least]
    assert diptych("search", "a", "cat", "--format", "jpg", "--paths", "--library", library).stdout.count("\n") == 3


def test_words_beyond_what_the_model_reads_are_refused_and_not_cut(library: Path) -> None:
    done = diptych("search", "a dog", "+", "a cat and " * 60, "--library", library)
    assert (done.returncode, done.stdout) == (1, "")
    said = "The words that begin 'a cat and a cat and a cat and a cat and ' have 182 tokens, and the model reads 77"
    assert done.stderr == f"diptych: {said}: shorten them.\n"


def test_of_a_catalogue_the_row_is_told(library: Path, tmp_path: Path) -> None:
    table, own = tmp_path / "products.csv", tmp_path / "library"
    rows = [
        f"{number},{library.parent}/photos/{name}.jpg,a picture of {name},{number}" for number, name in enumerate(NAMES)
    ]
    table.write_text("\n".join(["sku,image,title,price", *rows]))
    columns = ("--id-column", "sku", "--text-column", "title")
    assert diptych("index", "--table", table, *columns, "--library", own).returncode == 0
    [hit] = json.loads(diptych("search", "a rocket", "--top", "1", "--json", "--library", own).stdout)
    assert (hit["key"], hit["text"], hit["fields"]["price"]) == ("2", "a picture of rocket", 2)
    [line] = diptych("search", "a rocket", "--top", "1", "--library", own).stdout.splitlines()
    assert line.split("  ")[-3:] == ["2", "a picture of rocket", hit["path"]]
    shown = re.sub(r"\x1b\[[0-9;]*m", "", in_terminal("search", "a rocket", "--library", own))
    assert shown.split()[:6] == ["cosine", "relevance", "pixels", "taken", "key", "text"]
    (labelled, *_) = json.loads(diptych("label", own, "--labels", "cat,rocket", "--json", "--library", own).stdout)
    assert labelled["key"] == "0"
    done = diptych("search", "a rocket", "--field", "brand=x", "--library", own)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "diptych: There is no column 'brand': known are price, sku, title.\n"
    mistaken = diptych("index", "--table", table, "--image-column", "picture", "--library", own)
    assert (mistaken.returncode, mistaken.stderr.count("\n")) == (1, 1)
    assert "has no column 'picture'" in mistaken.stderr
    assert "--image-column" in mistaken.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "Say what to find, in words"),
        (["cat", "--json", "--paths"], "Give --json or --paths, not both"),
        (["cat", "--field", "brand"], "'brand' is no filter on a column"),
        (["cat", "--field", "brand=a"], "There is no column 'brand': known are none: they come with a table"),
        (["cat", "--format", "xyz"], "There is no format 'xyz': known are JPEG, 3FR, "),
        (
            ["cat", "--since", "2024-02-30"],
            "since must be a date such as 2024, 2024-05 or 2024-05-31, got '2024-02-30'.",
        ),
        (["cat", "--since", "2024", "--until", "2023"], "No time is since 2024 and until 2023: the earlier is since."),
        (["cat", "--html", "sheet.txt"], "sheet.txt must end in .html or .htm."),
    ],
)
def test_wrong_usage_is_said_in_one_line(arguments: list[str], message: str, library: Path) -> None:
    done = diptych("search", *arguments, "--library", library)
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert message in done.stderr


@pytest.mark.parametrize(
    ("second", "text"), [(0.0, "0:00.0"), (64.46, "1:04.5"), (59.96, "1:00.0"), (3_724.5, "1:02:04.5")]
)
def test_a_moment_is_written_as_players_do(second: float, text: str) -> None:
    assert describe_second(second) == text
