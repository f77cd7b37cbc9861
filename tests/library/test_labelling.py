"""Photos of a library named by labels, and the rows of that written to files and read back."""

import csv
import json
import os
import shutil
import sqlite3
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from PIL import Image

from diptych.calibration import none_of_these
from diptych.checkpoints import load_checkpoint
from diptych.demo.photographs import find_photographs
from diptych.encode.torch_encoder import TorchEncoder
from diptych.errors import DiptychError
from diptych.library import photo_vectors
from diptych.library.database import LibraryError
from diptych.library.filters import Filters
from diptych.library.labelling import (
    Labelled,
    LabelRule,
    encode_background,
    encode_everyday,
    list_columns,
    to_record,
)
from diptych.library.library import PhotoLibrary
from diptych.library.results import Columns, check_results_path, open_results
from diptych.library.target import open_target
from diptych.prompts import DEFAULT_LABELS
from diptych.zeroshot import build_classifier

PICTURES = {"b/cat.jpg": "chelsea", "a/coffee.jpg": "coffee", "rocket.jpg": "rocket", "moon.jpg": "moon"}
LABELS = ["cat", "cup of coffee", "rocket"]
ALWAYS = LabelRule(none_from=2.0)


@pytest.fixture(scope="module")
def encoder() -> TorchEncoder:
    return TorchEncoder(load_checkpoint(None), device="cpu", dtype="float32", preprocess="fast")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Photos, and beside them a library of them."""
    folder = tmp_path_factory.mktemp("labelling") / "photos"
    photographs = {path.stem: path for path in find_photographs()}
    for name, stem in PICTURES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with Image.open(photographs[stem]) as photograph:
            photograph.convert("RGB").reduce(2).save(folder / name, quality=95)
    return folder


@pytest.fixture
def library(folder: Path, encoder: TorchEncoder, tmp_path: Path) -> PhotoLibrary:
    kept = folder.parent / "library"
    if not kept.exists():
        with PhotoLibrary.open(kept, encoder=encoder, create_missing=True) as indexed:
            indexed.index(folder)
    return PhotoLibrary.open(shutil.copytree(kept, tmp_path / "library"), encoder=encoder)


def by_name(rows: object) -> dict[str, Labelled]:
    assert isinstance(rows, list)
    return {Path(row.source).name: row for row in rows}


def test_photos_come_by_path_with_what_classify_says_of_them(
    library: PhotoLibrary, folder: Path, encoder: TorchEncoder
) -> None:
    rows = list(library.label(LABELS, rule=ALWAYS))
    paths = sorted(folder.rglob("*.jpg"), key=str)
    assert [row.source for row in rows] == list(map(str, paths))
    for row, [best] in zip(rows, build_classifier(encoder, LABELS).predict(paths, top=1), strict=True):
        assert (row.label, row.nearest.name) == (best.name, best.name)
        assert row.nearest.cosine == pytest.approx(best.cosine, abs=2e-3)  # the library rounds to float16
        assert row.nearest.margin == pytest.approx(best.margin, abs=2e-3)
        assert row.nearest.probability == pytest.approx(best.probability, abs=2e-2)


def test_multi_gives_what_predict_each_gives(library: PhotoLibrary, encoder: TorchEncoder) -> None:
    labels = ["cat", "animal", "rocket"]
    classifier = build_classifier(encoder, labels)
    for threshold in (0.0, 0.3, 1.0):
        for row in library.label(labels, rule=LabelRule(multi=True, threshold=threshold)):
            [expected] = classifier.predict_each([row.source], threshold=threshold)
            assert [label.name for label in row.labels] == [label.name for label in expected]
            for label, other in zip(row.labels, expected, strict=True):
                assert label.probability == pytest.approx(other.probability, abs=2e-2)
                assert (label.cosine, label.margin) == pytest.approx((other.cosine, other.margin), abs=2e-3)
            [every] = classifier.predict_each([row.source], threshold=0.0)
            assert row.nearest.name == every[0].name
            assert row.none_of_these is None
            assert row.nearest.probability == pytest.approx(every[0].probability, abs=2e-2)
    assert row.labels == ()


def test_labels_that_are_all_of_the_background_cannot_be_held_against_it(library: PhotoLibrary) -> None:
    with pytest.raises(ValueError, match="nothing is left to hold each against: give fewer"):
        list(library.label(DEFAULT_LABELS, rule=LabelRule(multi=True)))


def test_one_label_alone_is_the_nearest_of_all_photos(library: PhotoLibrary) -> None:
    rows = list(library.label(["cat"], rule=LabelRule(multi=True, threshold=0.0)))
    assert {(row.nearest.name, row.nearest.margin, len(row.labels)) for row in rows} == {("cat", 0.0, 1)}


def test_none_of_these_is_said_where_nothing_offered_fits(library: PhotoLibrary, encoder: TorchEncoder) -> None:
    rows = by_name(list(library.label(["cat", "lighthouse"])))
    assert rows["cat.jpg"].label == "cat"
    assert rows["moon.jpg"].label is None
    assert rows["moon.jpg"].nearest.name in ("cat", "lighthouse")
    features = encoder.encode_images([rows["moon.jpg"].source])
    background = build_classifier(encoder, [text for text in DEFAULT_LABELS if text not in ("cat", "lighthouse")])
    best = np.array([rows["moon.jpg"].nearest.cosine])
    [expected] = none_of_these(best, features @ background.class_features.T)
    assert rows["moon.jpg"].none_of_these == pytest.approx(expected, abs=1e-2)
    assert all(row.label for row in library.label(["cat", "lighthouse"], rule=ALWAYS))
    assert not any(row.label for row in library.label(["cat", "lighthouse"], rule=LabelRule(none_from=0)))


def test_against_all_of_the_background_nothing_can_be_said_of_none(library: PhotoLibrary) -> None:
    rows = list(library.label(DEFAULT_LABELS))
    assert {row.none_of_these for row in rows} == {None}
    assert all(row.label for row in rows)


def test_a_photo_of_several_vectors_is_labelled_by_their_mean(library: PhotoLibrary, encoder: TorchEncoder) -> None:
    before = by_name(list(library.label(LABELS, rule=ALWAYS)))
    cat, rocket = before["cat.jpg"], before["rocket.jpg"]
    with sqlite3.connect(library.folder / "library.db") as database:
        copy = "INSERT INTO vectors_1 (photo_id, vector) SELECT ?, vector FROM vectors_1 WHERE photo_id = ?"
        database.executemany(copy, [(cat.id, rocket.id)] * 5)
    after = by_name(list(library.label(LABELS, rule=ALWAYS)))
    frames = encoder.encode_images([cat.source, *[rocket.source] * 5])
    mean = frames.sum(axis=0) / np.linalg.norm(frames.sum(axis=0))
    [[expected]] = build_classifier(encoder, LABELS).rank(mean[None], top=1)
    assert after["cat.jpg"].label == expected.name
    assert after["cat.jpg"].nearest.cosine == pytest.approx(expected.cosine, abs=2e-3)
    assert after["cat.jpg"].nearest.cosine < cat.nearest.cosine - 0.05
    assert {name: row.nearest for name, row in after.items() if name != "cat.jpg"} == {
        name: row.nearest for name, row in before.items() if name != "cat.jpg"
    }


def test_it_does_not_matter_how_many_photos_are_taken_at_once(
    library: PhotoLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    expected = [to_record(row, ALWAYS) for row in library.label(LABELS, rule=ALWAYS)]
    monkeypatch.setattr(photo_vectors, "_PHOTOS_AT_ONCE", 3)
    rows = [to_record(row, ALWAYS) for row in library.label(LABELS, rule=ALWAYS)]
    assert [row["path"] for row in rows] == [row["path"] for row in expected]
    assert [row["cosine"] for row in rows] == pytest.approx([row["cosine"] for row in expected], abs=1e-5)


def test_filters_let_a_folder_through(library: PhotoLibrary, folder: Path) -> None:
    rows = library.label(LABELS, filters=Filters(folder=str(folder / "b")))
    assert [row.source for row in rows] == [str(folder / "b" / "cat.jpg")]


@pytest.mark.parametrize("rule", [{"threshold": 1.5}, {"none_from": -1.0}, {"none_from": float("nan")}])
def test_probabilities_that_are_none_are_refused(rule: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"(threshold|none_from) is a probability"):
        LabelRule(**rule)  # type: ignore[arg-type]


# ---- where the vectors come from


def test_a_folder_of_the_library_is_served_from_it(library: PhotoLibrary, folder: Path) -> None:
    with (target := open_target(folder / "b", library=library.folder)).library as served:
        assert (served.folder, target.is_own) == (library.folder, False)
        assert [report.encoded for report in target.refresh()][-1] == 0
        assert [row.label for row in served.label(LABELS, filters=target.filters)] == ["cat"]


def test_other_folders_and_other_models_get_an_index_of_their_own(
    library: PhotoLibrary, folder: Path, tmp_path: Path
) -> None:
    with open_target(tmp_path, library=library.folder).library as other:
        assert other.folder.is_relative_to(os.environ["DIPTYCH_CACHE"])
    with open_target(folder, library=library.folder, model="ViT-B/32").library as another:
        assert another.folder.is_relative_to(os.environ["DIPTYCH_CACHE"])
    with (target := open_target(library.folder)).library as whole:
        assert (whole.folder, target.folder, list(target.refresh())) == (library.folder, None, [])


def test_a_place_that_is_no_folder_is_said(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(LibraryError, match=r"rocket.jpg is a file: give the folder that holds it"):
        open_target(folder / "rocket.jpg")
    with pytest.raises(LibraryError, match=r"There is no folder .*/nowhere"):
        open_target(tmp_path / "nowhere")


# ---- files of results

ODD = os.fsdecode(b'/photos/not \xff UTF-8,\n"quoted"\r \xf0\x9f\x90\xb1.jpg')
ESCAPED = '/photos/not \\udcff UTF-8,\n"quoted"\r \N{CAT FACE}.jpg'
LABEL = {"name": "cat; or dog", "probability": 0.25, "cosine": 0.1, "margin": 0.0}
ROWS: list[dict[str, Any]] = [
    {"path": ODD, "key": None, "label": None, "nearest": "cat", "probability": 0.1, "cosine": 0.2, "margin": 0.3}
    | {"labels": []},
    {"path": "b.jpg", "key": "7", "label": "cat", "nearest": "cat", "probability": 1.0, "cosine": -0.2, "margin": 0.0}
    | {"labels": [LABEL, {**LABEL, "name": "dog"}]},
]
COLUMNS: Columns = list_columns(LabelRule(multi=True))


def written(path: Path) -> Path:
    with open_results(path, COLUMNS) as write:
        for row in ROWS:
            write(row)
    return path


def test_json_lines_give_back_every_path(tmp_path: Path) -> None:
    lines = written(tmp_path / "rows.jsonl").read_text(encoding="ascii").splitlines()
    assert list(map(json.loads, lines)) == ROWS


def test_parquet_gives_back_types_and_lists(tmp_path: Path) -> None:
    table = pq.read_table(written(tmp_path / "rows.parquet"))
    assert table.to_pylist() == [{**ROWS[0], "path": ESCAPED}, ROWS[1]]
    assert {name: str(table.schema.field(name).type) for name in ("path", "label", "margin", "labels")} == {
        "path": "string",
        "label": "string",
        "margin": "double",
        "labels": "list<element: struct<name: string, probability: double, cosine: double, margin: double>>",
    }
    with open_results(tmp_path / "empty.parquet", COLUMNS):
        pass
    assert pq.read_table(tmp_path / "empty.parquet").schema.names == list(COLUMNS)


def test_csv_joins_lists(tmp_path: Path) -> None:
    with written(tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        first, second = csv.DictReader(file)
    assert (first["path"], first["label"], first["labels.name"], first["key"]) == (ESCAPED, "", "", "")
    assert (second["labels.name"], second["labels.cosine"]) == ("cat; or dog; dog", "0.1; 0.1")
    assert float(second["cosine"]) == -0.2


@pytest.mark.parametrize("suffix", [".csv", ".jsonl", ".parquet"])
def test_a_file_of_results_is_whole_or_as_it_was(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"rows{suffix}"
    path.write_text("before")

    def interrupted() -> None:
        with open_results(path, COLUMNS) as write:
            write(ROWS[1])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_what_cannot_be_written_is_said_before_the_work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"rows.xls must end in .parquet, .csv or .jsonl\."):
        check_results_path(tmp_path / "rows.xls")
    with pytest.raises(DiptychError, match=r"there is no folder .*nowhere\."):
        check_results_path(tmp_path / "nowhere" / "rows.csv")
    (tmp_path / "folder.csv").mkdir()
    with pytest.raises(DiptychError, match=r"is a folder, where a file is to be written\."):
        check_results_path(tmp_path / "folder.csv")
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(DiptychError, match=r"pip install 'diptych\[library\]'"):
        check_results_path(tmp_path / "rows.parquet")
    check_results_path(tmp_path / "rows.csv")


def test_everyday_labels_are_encoded_whole_and_left_out_where_they_are_offered(encoder: TorchEncoder) -> None:
    everyday = encode_everyday(encoder, None)
    offered = (DEFAULT_LABELS[3], "something else", DEFAULT_LABELS[0])
    left = encode_background(build_classifier(encoder, offered))
    np.testing.assert_array_equal(left, np.delete(everyday, [0, 3], axis=0))
    assert encode_background(build_classifier(encoder, DEFAULT_LABELS)).shape == (0, encoder.embed_dim)
