"""`diptych label` and `diptych moderate` as a user runs them."""

import csv
import json
import os
import re
import shutil
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from command import diptych, environment, printed_json, succeeded
from PIL import Image

import self_signalling
from diptych.demo.photographs import find_photographs

PICTURES = {"cat": "chelsea", "coffee": "coffee", "rocket": "rocket"}
LABELS = "cat,cup of coffee,rocket"


ODD = b'line\nbreak, "\xff" \xf0\x9f\x90\xb1.png'


def write_photos(folder: Path) -> Path:
    folder.mkdir()
    photographs = {path.stem: path for path in find_photographs()}
    for name, stem in PICTURES.items():
        with Image.open(photographs[stem]) as photograph:
            photograph.reduce(2).save(folder / f"{name}.png")
    return folder


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of the folder `photos` beside it, where one photo has an odd name."""
    folder = write_photos(tmp_path_factory.mktemp("labels") / "photos")
    shutil.copy(folder / "cat.png", folder / os.fsdecode(ODD))
    succeeded("index", folder, "--library", folder.parent / "library")
    return folder.parent / "library"


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of photos; a cache and a library of this test's own."""
    monkeypatch.setenv("DIPTYCH_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("DIPTYCH_LIBRARY", str(tmp_path / "library"))
    return write_photos(tmp_path / "photos")


def make_undecodable(folder: Path) -> None:
    """Files of the same size and time whose bytes are no pictures any more: who opens one fails."""
    for path in folder.iterdir():
        state = path.stat()
        path.write_bytes(bytes(state.st_size))
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))


def labelled(*arguments: object) -> list[dict[str, Any]]:
    rows = printed_json("label", *arguments)
    assert isinstance(rows, list)
    return rows


def test_every_photo_gets_what_classify_says(library: Path) -> None:
    photos = [library.parent / "photos" / f"{name}.png" for name in sorted(PICTURES)]
    for options in ([], ["--multi", "--threshold", "0.2"]):
        never = [] if options else ["--none-from", "2"]
        rows = {row["path"]: row for row in labelled(library, "--labels", LABELS, *options, *never)}
        for each in printed_json("classify", *photos, "--labels", LABELS, *options):
            row = rows[each["path"]]
            labels = row["labels"] if options else [{**row, "name": row["label"]}]
            for label, expected in zip(labels, each["labels"][: len(labels) or None], strict=True):
                assert label["name"] == expected["name"]
                # The library's are encoded in bfloat16 where that is fast, and kept in float16.
                for name, tolerance in (("cosine", 5e-3), ("margin", 5e-3), ("probability", 5e-2)):
                    assert label[name] == pytest.approx(expected[name], abs=tolerance)


def test_a_second_run_opens_no_photo_again(photos: Path) -> None:
    (photos / "text.jpg").write_text("words")
    command = ("label", photos, "--labels", LABELS, "--json")
    first = diptych(*command)
    make_undecodable(photos)
    second = diptych(*command)
    assert [row["label"] for row in json.loads(second.stdout)] == [row["label"] for row in json.loads(first.stdout)]
    assert len(json.loads(second.stdout)) == 3
    for done in (first, second):  # what could not be read is named each time
        assert done.returncode == 0
        assert done.stderr == f"diptych: {photos / 'text.jpg'}: not an image: it begins with b'words'\n"
    assert not (photos.parent / "library").exists()  # nothing is added to the user's own unasked


def test_vectors_of_the_library_are_used(library: Path, tmp_path: Path) -> None:
    photos = shutil.copytree(library.parent / "photos", tmp_path / "photos")
    own = shutil.copytree(library, tmp_path / "library")
    succeeded("library", "relocate", library.parent / "photos", photos, "--library", own)
    for path in photos.iterdir():
        state = (library.parent / "photos" / path.name).stat()
        os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    make_undecodable(photos)
    rows = labelled(photos, "--labels", LABELS, "--library", own)
    assert {Path(row["path"]).name for row in rows} == {path.name for path in photos.iterdir()}
    shutil.rmtree(photos)  # a library is labelled as it stands
    again = printed_json("label", "--labels", LABELS, "--library", own)
    assert [(row["path"], row["label"]) for row in again] == [(row["path"], row["label"]) for row in rows]


def test_new_photos_are_added_and_those_gone_left_out(photos: Path) -> None:
    labelled(photos, "--labels", LABELS)
    (photos / "cat.png").unlink()
    Image.new("RGB", (64, 64), "red").save(photos / "new.png")
    rows = labelled(photos, "--labels", LABELS)
    assert [Path(row["path"]).stem for row in rows] == ["coffee", "new", "rocket"]


def test_an_interrupted_run_goes_on_where_it_was(photos: Path, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 255, (760, 8, 8, 3), np.uint8)
    for number, pixels in enumerate(noise):
        Image.fromarray(pixels).save(photos / f"{number:04d}.png")
    output = tmp_path / "labels.jsonl"
    arguments = [str(each) for each in ("label", photos, "--labels", LABELS, "-o", output)]
    command = [sys.executable, self_signalling.__file__, str(tmp_path / "cache"), "photos", "SIGINT", *arguments]
    done = subprocess.run(command, env=environment(), stderr=subprocess.PIPE, text=True, timeout=120)
    assert (done.returncode, output.exists()) == (130, False)
    assert "what was encoded is kept; the same command goes on." in done.stderr
    before = indexed_at(tmp_path)
    assert 0 < len(before) < 763
    assert diptych(*arguments).returncode == 0
    after = indexed_at(tmp_path)
    assert len(after) == len(output.read_text().splitlines()) == 763
    assert {path: after[path] for path in before} == before  # these were not encoded again


def indexed_at(work: Path) -> dict[str, float]:
    (path,) = (work / "cache").glob("folders/*/library.db")
    with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as opened:
        return dict(opened.execute("SELECT path, indexed_at FROM photos"))


def test_odd_names_survive_every_format(library: Path, tmp_path: Path) -> None:
    for suffix in (".csv", ".jsonl", ".parquet"):
        printed = succeeded(
            "label", library, "--labels", LABELS, "--none-from", "2", "-o", tmp_path / f"labels{suffix}"
        )
        assert "break" not in printed  # the summary alone
    lines = [json.loads(line) for line in (tmp_path / "labels.jsonl").read_text(encoding="ascii").splitlines()]
    assert [os.fsencode(row["path"]).rpartition(b"/")[2] for row in lines] == [
        *(b"cat.png", b"coffee.png", ODD, b"rocket.png"),
    ]
    escaped = [row["path"].encode("utf-8", "backslashreplace").decode() for row in lines]
    with (tmp_path / "labels.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    table = pq.read_table(tmp_path / "labels.parquet").to_pylist()
    for found in (rows, table):
        assert [row["path"] for row in found] == escaped
        assert [row["label"] for row in found] == [row["label"] for row in lines]
        assert [float(row["cosine"]) for row in found] == pytest.approx([row["cosine"] for row in lines])
    assert list(rows[0]) == list(table[0]) == list(lines[0])


def test_the_summary_counts_labels_and_a_sheet_shows_them(library: Path, tmp_path: Path) -> None:
    lines = succeeded("label", library, "--labels", "cat,lighthouse", "--html", tmp_path / "sheet.html").splitlines()
    assert len(lines) == 4 + 2  # each photo one line, whatever its name
    assert lines[0].startswith(f"{library.parent / 'photos' / 'cat.png'}  cat ")
    assert lines[-2].split()[:2] == ["cat", "2"]
    assert lines[-1].split()[:4] == ["none", "of", "these", "2"]
    page = (tmp_path / "sheet.html").read_text(encoding="utf-8")
    assert page.index("cat (2)") < page.index("none of these (2)")
    assert page.count("data:image/jpeg;base64,") == 4


def test_a_summary_of_everyday_labels_is_short(library: Path, photos: Path) -> None:
    for path in find_photographs():
        with Image.open(path) as photograph:
            wide, high = photograph.width // 3, photograph.height // 3
            for place in range(9):
                x, y = place % 3 * wide, place // 3 * high
                photograph.crop((x, y, x + wide, y + high)).save(photos / f"{path.stem}-{place}.png")
    lines = diptych("label", photos, "-o", photos.parent / "labels.csv").stdout.splitlines()
    with (photos.parent / "labels.csv").open(encoding="utf-8", newline="") as file:
        labels = [row["label"] for row in csv.DictReader(file)]
    assert len(set(labels)) > 21
    assert len(lines) == 21
    assert lines[-1].split()[:3] == [str(len(set(labels)) - 20), "other", "labels"]
    counts = [int(re.split(r"  +", line.strip())[1].split()[0]) for line in lines]
    assert sum(counts) == len(labels)


def test_how_more_photos_get_labels_is_said_where_most_have_none(library: Path, tmp_path: Path) -> None:
    command = ("label", library, "--labels", "lighthouse,bassoon", "-o", tmp_path / "labels.csv")
    assert diptych(*command).stderr == "diptych: 4 of 4 show none of these: --none-from 0.7 labels more.\n"
    assert diptych(*command, "--none-from", "0").stderr.endswith(" --none-from 0.7 labels more.\n")
    assert diptych(*command, "--none-from", "2").stderr == ""
    assert diptych(*command, "--multi", "--threshold", "1").stderr.endswith(": --threshold 0.5 labels more.\n")


def test_labels_may_be_a_file_for_both_verbs(library: Path, tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text(LABELS.replace(",", "\n"))
    (tmp_path / "labels.json").write_text(json.dumps({"cat": "a photo of a cat.", "rocket": ["a rocket", "a launch"]}))
    rows = labelled(library, "--labels", LABELS)
    assert labelled(library, "--labels", tmp_path / "labels.txt") == rows
    assert labelled(library, "--labels-file", tmp_path / "labels.txt") == rows
    assert labelled(library, "--labels", tmp_path / "labels.json")[0]["nearest"] == "cat"
    photo = library.parent / "photos" / "cat.png"
    by_name = printed_json("classify", photo, "--labels", LABELS)
    assert printed_json("classify", photo, "--labels", tmp_path / "labels.txt") == by_name


def test_photos_without_vectors_of_the_model_are_counted(library: Path, tmp_path: Path) -> None:
    own = shutil.copytree(library, tmp_path / "library")
    with sqlite3.connect(own / "library.db") as opened:
        opened.execute("DELETE FROM vectors_1 WHERE photo_id = 1")
    done = diptych("label", own, "--labels", LABELS, "--none-from", "2")
    assert done.returncode == 0
    assert done.stderr == "diptych: 1 photo has no vector of postcard: diptych index makes them.\n"
    with sqlite3.connect(own / "library.db") as opened:
        opened.execute("DELETE FROM vectors_1")
    done = diptych("label", own, "--labels", LABELS)
    assert (done.returncode, done.stderr) == (1, f"diptych: There are no photos with vectors in {own}.\n")


POLICY = """
[[category]]
name = "cats"
prompts = ["a photo of a cat."]
threshold = 0.3
action = "blur"

[[category]]
name = "boats"
prompts = ["a photo of a boat."]
exceptions = ["a photo of a rocket.", "a photo of a cup of coffee.", "a photo of a cat."]
threshold = 0.9
"""


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    path = tmp_path / "policy.toml"
    path.write_text(POLICY)
    return path


def test_moderate_reports_findings_with_reasons(library: Path, policy: Path, tmp_path: Path) -> None:
    findings = printed_json("moderate", library, "--policy", policy)
    assert [os.fsencode(each["path"]).rpartition(b"/")[2] for each in findings] == [b"cat.png", ODD]
    for each in findings:
        assert (each["category"], each["action"], each["prompt"]) == ("cats", "blur", "a photo of a cat.")
        assert each["above"] == pytest.approx(each["probability"] - 0.3)
    every = printed_json("moderate", library, "--policy", policy, "--all")
    assert len(every) == 4 * 2
    assert [row["path"] for row in every if row["above"] >= 0] == [row["path"] for row in findings]
    assert {row["exception"] is None for row in every if row["category"] == "boats"} == {False}


@pytest.mark.parametrize("suffix", [".parquet", ".html"])
def test_a_report_is_written_and_summed_up(library: Path, policy: Path, tmp_path: Path, suffix: str) -> None:
    report = tmp_path / f"report{suffix}"
    assert [line.split() for line in succeeded("moderate", library, "--policy", policy, "-o", report).splitlines()] == [
        ["category", "action", "of", "4", "photos", "share"],
        ["cats", "blur", "2", "50.0%"],
        ["boats", "review", "0", "0.0%"],
    ]
    if suffix == ".parquet":
        assert pq.read_table(report).column("category").to_pylist() == ["cats", "cats"]
        return
    page = report.read_text(encoding="utf-8")
    assert "cats: 2 to blur" in page
    assert page.count("data:image/jpeg;base64,") == 2


def test_findings_are_an_exit_status_where_asked_for(library: Path, policy: Path) -> None:
    done = diptych("moderate", library, "--policy", policy, "--fail-on-findings")
    assert (done.returncode, done.stderr) == (3, "")
    assert done.stdout.startswith(f"{library.parent / 'photos' / 'cat.png'}  blur: cats ")
    policy.write_text(POLICY.replace("0.3", "1.0"))
    assert diptych("moderate", library, "--policy", policy, "--fail-on-findings").returncode == 0


def test_the_sample_policy_is_printed_and_can_be_used(library: Path, tmp_path: Path) -> None:
    (tmp_path / "sample.toml").write_text(succeeded("moderate", "--sample-policy"))
    assert "weapons" in succeeded("moderate", library, "--policy", tmp_path / "sample.toml")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["label", "nowhere", "--labels", LABELS], 1, "There is no folder"),
        (["label", "PHOTOS/cat.png", "--labels", LABELS], 1, "cat.png is a file: give the folder that holds it."),
        (["label", "EMPTY", "--labels", LABELS], 1, "There are no photos in"),
        (["label", "--labels", LABELS], 1, "There is no library in"),
        (["label", "PHOTOS", "--labels", LABELS, "--threshold", "0.5"], 2, "--threshold is for --multi: without it,"),
        (["label", "PHOTOS", "--labels", LABELS, "--multi", "--none-from", "2"], 2, "--none-from is for one label a"),
        (["classify", "PHOTOS", "--labels", LABELS, "--threshold", "1"], 2, "--threshold is for --multi: without it,"),
        (
            ["index", "PHOTOS", "--id-column", "sku"],
            2,
            "--id-column is a column of a table, and none is given: --table",
        ),
        (["label", "PHOTOS", "--labels", "cat"], 2, "One label alone gets 100% whatever the photo shows"),
        (["label", "PHOTOS", "--labels", "none.txt"], 2, "The labels file none.txt cannot be read: No such file"),
        (["label", "PHOTOS", "--labels", LABELS, "--template", "a photo"], 2, "there are no templates named 'a photo'"),
        (["label", "PHOTOS", "--labels", LABELS, "-o", "a.xls"], 2, "a.xls must end in .parquet, .csv or .jsonl."),
        (["label", "PHOTOS", "--labels", LABELS, "-o", "nowhere/a.csv"], 1, "there is no folder nowhere."),
        (["label", "PHOTOS", "--labels", LABELS, "--html", "a.csv"], 2, "a.csv must end in .html or .htm."),
        (["moderate", "PHOTOS"], 2, "Say what to look for: --policy FILE. --sample-policy prints one"),
        (["moderate", "PHOTOS", "--policy", "none.toml"], 2, "The policy none.toml cannot be read: No such file"),
        (
            ["moderate", "PHOTOS", "--policy", "POLICY", "-o", "a.txt"],
            2,
            "must end in .html, .htm, .parquet, .csv or .jsonl.",
        ),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    library: Path,
    policy: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    status: int,
    message: str,
) -> None:
    monkeypatch.setenv("DIPTYCH_LIBRARY", str(tmp_path / "library"))
    (tmp_path / "empty").mkdir()
    places = {"PHOTOS": library.parent / "photos", "EMPTY": tmp_path / "empty", "POLICY": policy}
    for name, path in places.items():
        arguments = [each.replace(name, str(path)) for each in arguments]
    done = diptych(*arguments)
    assert (done.returncode, done.stderr.count("\n")) == (status, 1), done.stderr
    assert message in done.stderr


def test_an_unknown_key_of_a_policy_is_refused_with_the_nearest(library: Path, policy: Path) -> None:
    policy.write_text(POLICY.replace("prompts", "promts", 1))
    done = diptych("moderate", library, "--policy", policy)
    assert (done.returncode, done.stdout) == (2, "")
    assert "unknown key 'category.0.promts'; did you mean 'category.0.prompts'?" in done.stderr
