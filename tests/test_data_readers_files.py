"""Tables of file names and class folders: which image gets which words."""

import json
from pathlib import Path

import pytest

from diptych.data.sample import DataError, SampleError
from pairs_on_disk import (
    captions,
    class_names,
    image,
    keys,
    opened,
    read_all,
    write_images,
    write_parquet,
)


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("t.csv", 'filename,caption\nb.jpg,"a, quoted ""b"""\na.jpg,käse\n'),
        ("t.csv", '\ufefffilename;caption\r\nb.jpg;"a, quoted ""b"""\r\na.jpg;käse\r\n'),
        ("t.tsv", 'filepath\ttitle\nb.jpg\t"a, quoted ""b"""\na.jpg\tkäse'),
        ("t.jsonl", '{"file_name": "b.jpg", "text": "a, quoted \\"b\\""}\n\n{"file_name": "a.jpg", "text": "käse"}\n'),
    ],
    ids=["csv", "semicolons", "tsv", "jsonl"],
)
def test_tables_of_every_kind_give_the_same_pairs(tmp_path: Path, name: str, text: str) -> None:
    write_images(tmp_path, "a.jpg", "b.jpg")
    source = opened(write(tmp_path / name, text))
    assert captions(source) == [('a, quoted "b"',), ("käse",)]
    assert [sample.image for sample in read_all(source)] == [image(1), image(0)]
    assert (source.name, keys(source)) == ("t", ["b.jpg", "a.jpg"])


def test_several_columns_and_several_rows_are_captions_of_one_image(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg", "b.jpg")
    rows = write(tmp_path / "rows.csv", "image,caption\na.jpg,one\nb.jpg,other\na.jpg,two\na.jpg, \n")
    assert captions(opened(rows)) == [("one", "two"), ("other",)]
    columns = write(tmp_path / "columns.csv", "image,caption_1,caption_2\na.jpg,one,two\nb.jpg,other,\n")
    assert captions(opened(columns)) == [("one", "two"), ("other",)]
    lists = write(tmp_path / "lists.jsonl", json.dumps({"image": "a.jpg", "captions": ["one", "two"], "label": "x"}))
    assert captions(opened(lists)) == [("one", "two")]
    assert class_names(opened(lists)) == [("x",)]


def test_columns_of_other_names_are_named_in_the_config(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg")
    path = write(tmp_path / "t.csv", "shot,said,kind\na.jpg,hello,greeting\n")
    settings = {"image_column": "shot", "caption_column": "said", "class_column": "kind"}
    source = opened(path, **settings)
    assert (captions(source), class_names(source)) == ([("hello",)], [("greeting",)])


def test_file_names_are_relative_to_the_image_root_or_absolute(tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", "2024/a.jpg", "b.jpg")
    path = write(tmp_path / "lists" / "t.csv", f"file,caption\n2024/a.jpg,a\n{photos / 'b.jpg'},b\n")
    assert [sample.image for sample in read_all(opened(path, image_root=str(photos)))] == [image(0), image(1)]
    beside = write(tmp_path / "lists" / "up.csv", "file,caption\n../photos/b.jpg,b\n")
    assert opened(beside).read(0).image == image(1)


def test_several_tables_are_one_source(tmp_path: Path) -> None:
    write_images(tmp_path, "a/1.jpg", "b/1.jpg")
    for name in ("a", "b"):
        write(tmp_path / name / f"{name}.csv", f"file,caption\n1.jpg,{name}\n")
    source = opened(tmp_path / "*" / "*.csv", name="both")
    assert [sample.image for sample in read_all(source)] == [image(0), image(1)]
    assert (source.name, keys(source)) == ("both", ["1.jpg", "1.jpg#2"])


def test_a_folder_with_a_table_in_it_is_a_table(tmp_path: Path) -> None:
    write_images(tmp_path / "photos", "a.jpg")
    write(tmp_path / "photos" / "metadata.csv", "file_name,text\na.jpg,hello\n")
    assert captions(opened(tmp_path / "photos")) == [("hello",)]


def test_a_missing_image_is_a_bad_sample_and_only_missing_ones_are_an_error(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg")
    source = opened(write(tmp_path / "t.csv", "file,caption\ngone.jpg,x\na.jpg,a\n"))
    with pytest.raises(SampleError, match=r"^t/gone\.jpg cannot be read: .*gone\.jpg: No such file or directory\.$"):
        source.read(0)
    assert source.read(1).image == image(0)
    with pytest.raises(DataError, match=r"none of the first 1 images is there, such as .*gone\.jpg; .* set image_root"):
        opened(write(tmp_path / "u.csv", "file,caption\ngone.jpg,x\n"))


def test_a_row_without_words_is_a_bad_sample(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg", "b.jpg")
    source = opened(write(tmp_path / "t.csv", "file,caption\na.jpg,\nb.jpg,b\n"))
    with pytest.raises(SampleError, match=r"^t/a\.jpg has neither a caption nor a class\.$"):
        source.read(0)


def test_folders_are_classes_by_their_names(tmp_path: Path) -> None:
    write_images(tmp_path, "polar_bear/1.JPG", "polar_bear/deep/2.webp", "snow-leopard/1.png", "empty/notes.txt")
    source = opened(tmp_path)
    assert class_names(source) == [("polar bear",), ("polar bear",), ("snow leopard",)]
    assert [sample.image for sample in read_all(source)] == [image(0), image(1), image(2)]
    assert keys(source) == ["polar_bear/1.JPG", "polar_bear/deep/2.webp", "snow-leopard/1.png"]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("classes.txt", "n02\tgoldfish, Carassius auratus\nn01\ttench\n"),
        ("classes.txt", "n01 tench\nn02 goldfish, Carassius auratus\nn03 shark\n"),
        ("classes.json", '{"n01": "tench", "n02": ["goldfish", "Carassius auratus"]}'),
    ],
)
def test_a_class_file_names_the_folders(tmp_path: Path, name: str, text: str) -> None:
    write_images(tmp_path, "n01/images/a.jpeg", "n02/images/b.jpeg")
    write(tmp_path / name, text)
    assert class_names(opened(tmp_path)) == [("tench",), ("goldfish", "Carassius auratus")]


def test_a_class_list_names_numbered_folders_and_a_list_of_folders_changes_nothing(tmp_path: Path) -> None:
    write_images(tmp_path / "numbered", "0/a.jpg", "1/b.jpg")
    write(tmp_path / "numbered" / "classes.txt", "sea lion\nseal\n")
    assert class_names(opened(tmp_path / "numbered")) == [("sea lion",), ("seal",)]
    write_images(tmp_path / "named", "sea_lion/a.jpg", "seal/b.jpg")
    write(tmp_path / "named" / "classes.txt", "seal\nsea_lion\n")
    assert class_names(opened(tmp_path / "named")) == [("sea lion",), ("seal",)]


def test_a_folder_that_the_class_file_does_not_name_is_an_error(tmp_path: Path) -> None:
    write_images(tmp_path, "n01/a.jpg", "n02/b.jpg")
    write(tmp_path / "classes.txt", "n01 tench\n")
    with pytest.raises(DataError, match=r"classes\.txt has no name for the folder 'n02'; add a line: n02 NAME\."):
        opened(tmp_path)


def test_class_numbers_in_a_table_are_named_by_a_class_file(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg", "b.jpg")
    write(tmp_path / "classes.txt", "tench\ngoldfish\n")
    assert class_names(opened(write(tmp_path / "t.csv", "file,label\na.jpg,1\nb.jpg,0\n"))) == [
        ("goldfish",),
        ("tench",),
    ]
    table = write_parquet(tmp_path / "t.parquet", {"file": ["a.jpg"], "label": [1]})
    assert class_names(opened(table)) == [("goldfish",)]


def test_an_image_added_to_a_class_folder_is_there_at_the_next_open(tmp_path: Path) -> None:
    write_images(tmp_path, "cat/a.jpg")
    assert len(opened(tmp_path)) == 1
    write_images(tmp_path, "cat/a.jpg", "cat/b.jpg")
    assert len(opened(tmp_path)) == 2
