"""What cannot be used as data, and the one line that says so."""

import gzip
import os
import re
import resource
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diptych.data.config import SourceConfig
from diptych.data.open import open_source
from diptych.data.readers.columns import texts_of
from diptych.data.sample import DataError, SampleError
from diptych.files import cache_dir
from pairs_on_disk import image, img2dataset_files, opened, write_images, write_parquet, write_tar


def cut_tar(folder: Path) -> Path:
    path = write_tar(folder / "x.tar", img2dataset_files(20))
    path.write_bytes(path.read_bytes()[:20_100])
    return path


def torn_tar(folder: Path) -> Path:
    path = write_tar(folder / "x.tar", img2dataset_files(20))
    data = bytearray(path.read_bytes())
    data[3072:3200] = b"\x07" * 128  # the header of the third file
    path.write_bytes(data)
    return path


def text(name: str, content: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        write_images(folder, "a.jpg")
        (folder / name).write_bytes(content.encode("latin-1"))
        return folder / name

    return make


def gzipped(folder: Path) -> Path:
    path = folder / "x.tar.gz"
    path.write_bytes(gzip.compress(write_tar(folder / "x.tar", img2dataset_files(1)).read_bytes()))
    return path


def torn_parquet(folder: Path) -> Path:
    path = write_parquet(folder / "x.parquet", {"image": [image(i) * 50 for i in range(9)], "text": ["a"] * 9})
    data = bytearray(path.read_bytes())
    data[100:1200] = b"\xff" * 1100
    path.write_bytes(data)
    return path


CASES: dict[str, tuple[Callable[[Path], Path], str]] = {
    "nothing there": (lambda folder: folder / "gone.tar", "gone.tar does not exist; give a file, a folder, a pattern"),
    "no match": (lambda folder: folder / "*.tar", "No file matches"),
    "empty folder": (lambda folder: folder, "holds no images, tar shards or tables"),
    "images only": (lambda folder: write_images(folder, "a.jpg"), "holds images without texts; put them into a folder"),
    "empty classes": (lambda folder: write_images(folder, "a/b.txt"), "holds no images with texts"),
    "splits as classes": (
        lambda folder: write_images(folder, "train/a/1.jpg", "val/a/1.jpg"),
        "holds the splits train, val, not classes; give the folder of one",
    ),
    "unknown file": (text("x.docx", "x"), "x.docx is not of a known layout: .tar, .parquet"),
    "gzipped tar": (gzipped, "x.tar.gz is compressed, and samples are read in any order; unpack it"),
    "a tar by name": (text("x.tar", "hello"), "is no tar file, or is damaged"),
    "cut tar": (cut_tar, "x.tar is no tar file, or is damaged (unexpected end of data, of 20,100 bytes); fetch"),
    "torn tar": (torn_tar, "x.tar is damaged at byte 3,072; fetch or write it again, or leave it out"),
    "tar without images": (lambda folder: write_tar(folder / "x.tar", {"a.txt": "a"}), "holds texts but no images"),
    "tar without texts": (
        lambda folder: write_tar(folder / "x.tar", {"a.jpg": b"a", "a.txt": " \n", "b.jpg": b"b", "b.json": "{"}),
        "holds images, but neither captions nor class names that are not empty",
    ),
    "empty tar": (lambda folder: write_tar(folder / "x.tar", {}), "holds no images with texts"),
    "parquet by name": (text("x.parquet", "hello"), "x.parquet cannot be read as Parquet ("),
    "torn parquet": (torn_parquet, "x.parquet cannot be read as Parquet ("),
    "parquet of no texts": (
        lambda folder: write_parquet(folder / "x.parquet", {"image": [b"a"], "url": ["u"], "size": [1]}),
        "has no column of captions or classes that is known by its name: name it with caption_column or class_column. "
        "It has: url, size.",
    ),
    "numbers without names": (
        lambda folder: write_parquet(folder / "x.parquet", {"image": [b"a"], "label": [3]}),
        "the class column 'label' holds numbers; put the names into a classes.txt beside it",
    ),
    "captions that are none": (
        lambda folder: write_parquet(folder / "x.parquet", {"image": [b"a"], "text": [0.5], "label": ["a"]}),
        "x.parquet: the column 'text' holds double, and captions are read from string, large_string, string_view or a",
    ),
    "images that are none": (
        lambda folder: write_parquet(folder / "x.parquet", {"image": ["a"], "text": ["a"]}),
        "x.parquet: the column 'image' holds string, and images are read from binary, large_binary, binary_view, or a",
    ),
    "no file names": (text("x.csv", "size,caption\n3,a\n"), "no column of file names that is known by its name"),
    "latin-1": (text("x.csv", "file,caption\na.jpg,k\xe4se\n"), "x.csv is not UTF-8 (invalid continuation byte"),
    "open quotation": (text("x.csv", 'file,caption\na.jpg,"a\n'), "x.csv, line 2: unexpected end of data; is a quot"),
    "too many cells": (text("x.csv", "file,caption\na.jpg,a,b\n"), "x.csv, line 2: has 3 cells and the header 2; put"),
    "broken json": (text("x.jsonl", '{"file": "a.jpg", "text": "a"}\n{"file"\n'), "x.jsonl, line 2: is not JSON ("),
    "json list": (text("x.jsonl", '["a.jpg"]\n'), "x.jsonl, line 1: is not a JSON object, such as"),
    "empty table": (text("x.csv", ""), "no column of file names that is known by its name: name it with image_column"),
    "header only": (text("x.csv", "file,caption\n"), "holds no images with texts"),
}

SETTINGS = {
    "captions that are none": {"caption_column": "text"},
    "images that are none": {"image_column": "image", "format": "parquet"},
}


@pytest.mark.parametrize("case", CASES)
def test_what_cannot_be_used_is_one_line_that_says_why(case: str, tmp_path: Path) -> None:
    make, expected = CASES[case]
    with pytest.raises(DataError) as caught:
        opened(make(tmp_path), **SETTINGS.get(case, {}))
    assert expected in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("setting", ["image_column", "caption_column", "class_column"])
@pytest.mark.parametrize("layout", ["parquet", "table"])
def test_a_column_that_is_not_there_is_named_with_the_nearest(tmp_path: Path, setting: str, layout: str) -> None:
    path = write_images(tmp_path, "a.jpg") / "t.csv"
    path.write_text("pictures,texts,kinds\na.jpg,a,b\n", encoding="utf-8")
    if layout == "parquet":
        path = write_parquet(tmp_path / "t.parquet", {"pictures": [b"a"], "texts": ["a"], "kinds": ["b"]})
    settings = {"image_column": "pictures", "caption_column": "texts", "class_column": "kinds"}
    wrong, right = f"{settings[setting]}es", settings[setting]
    expected = f"t.{path.suffix[1:]} has no column '{wrong}' ({setting}); did you mean '{right}'?"
    with pytest.raises(DataError, match=re.escape(expected)):
        opened(path, **{**settings, setting: wrong})


def test_a_folder_of_several_splits_is_not_mixed(tmp_path: Path) -> None:
    for name in ("train-00000-of-00001", "validation-00000-of-00001"):
        write_parquet(tmp_path / f"{name}.parquet", {"image": [b"a"], "text": ["a"]})
    with pytest.raises(DataError, match=r"holds several splits \(train, validation\); name the files of one"):
        opened(tmp_path)
    assert len(opened(tmp_path / "train-*")) == 1


def test_folders_of_different_layouts_are_not_one_source(tmp_path: Path) -> None:
    write_tar(tmp_path / "tars" / "x.tar", img2dataset_files(1))
    write_images(tmp_path / "classes", "a/1.jpg")
    with pytest.raises(DataError, match="hold folder and webdataset; make each layout a source of its own"):
        opened(tmp_path / "tars", tmp_path / "classes")


def test_files_of_different_layouts_are_not_one_source(tmp_path: Path) -> None:
    write_images(tmp_path, "1.jpg", "2.jpg")
    table, more = text("a.csv", "filename,caption\n1.jpg,a dog")(tmp_path), tmp_path / "b.parquet"
    tar = write_tar(tmp_path / "good.tar", img2dataset_files(1))
    pictures = write_parquet(tmp_path / "c.parquet", {"image": [b"a"], "text": ["a"]})
    for places, found in (((table, tar), "table and webdataset"), ((table, pictures), "parquet and table")):
        first, second = sorted(places, key=lambda place: place != pictures)
        with pytest.raises(DataError) as raised:
            opened(*places)
        assert str(raised.value) == f"{first} and {second} hold {found}; make each layout a source of its own."
    pq.write_table(pa.table({"filename": ["2.jpg"], "caption": ["a cat"]}), more)
    assert len(opened(table, more)) == 2  # both are tables of file names


def test_a_damaged_shard_leaves_the_others_indexed(tmp_path: Path) -> None:
    write_tar(tmp_path / "0.tar", img2dataset_files(2))
    whole = write_tar(tmp_path / "1.tar", img2dataset_files(2, first=2)).read_bytes()
    (tmp_path / "1.tar").write_bytes(whole[:700])
    with pytest.raises(DataError, match=r"1\.tar is no tar file, or is damaged"):
        opened(tmp_path)
    (tmp_path / "1.tar").write_bytes(whole)
    assert len(opened(tmp_path)) == 4


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file can grow beyond `size` bytes meanwhile, as on a full disk."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_full_disk_is_one_line_and_leaves_nothing_behind(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", {"image": [b"a" * 50_000], "text": ["a"]})
    before = set(cache_dir("data").iterdir())
    expected = r"cannot be written to \(File too large\); free space, or set DIPTYCH_CACHE to another folder\.$"
    with pytest.raises(DataError, match=expected), largest_file(20_000):
        opened(path)
    assert set(cache_dir("data").iterdir()) == before
    assert opened(path).read(0).image == b"a" * 50_000


def test_a_sample_number_that_is_not_there_is_an_index_error(tmp_path: Path) -> None:
    source = opened(write_tar(tmp_path / "x.tar", img2dataset_files(2)))
    for number in (-1, 2):
        with pytest.raises(IndexError, match=rf"^x has samples 0 to 1, got {number}$"):
            source.read(number)


def test_a_name_that_no_file_can_have_is_one_bad_sample(tmp_path: Path) -> None:
    (tmp_path / "fine.png").write_bytes(b"x")
    (tmp_path / "pairs.csv").write_text("filename,caption\nfine.png,fine\na\0b.png,impossible\n", encoding="utf-8")
    source = open_source(SourceConfig(path=str(tmp_path / "pairs.csv")))
    with pytest.raises(SampleError, match="cannot be read: embedded null byte"):
        source.read(1)


@pytest.mark.parametrize(
    ("path", "message"),
    [
        (
            "shard-{0..99999999999}.tar",
            "shard-{0..99999999999}.tar stands for more than 1,000,000 files; write shorter",
        ),
        ("{000..999}/{0000..9999}.tar", "{000..999}/{0000..9999}.tar stands for more than 1,000,000 files"),
        (f"{{0..{'9' * 5000}}}.tar", "... stands for more than 1,000,000 files; write shorter ranges."),
        ("{9..0}.tar", "{9..0}.tar: the range {9..0} runs backwards; write the lower number first."),
    ],
)
def test_ranges_that_nobody_means_are_refused_at_once(path: str, message: str) -> None:
    with pytest.raises(DataError, match=re.escape(message)):
        opened(path)


def open_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.bind(os.path.relpath(path))  # a socket's path has 107 bytes at most


@pytest.mark.parametrize("make", [os.mkfifo, open_socket, lambda path: path.symlink_to(os.devnull)])
@pytest.mark.parametrize("layout", ["folder", "table"])
def test_an_image_that_is_no_regular_file_is_one_bad_sample(
    tmp_path: Path, layout: str, make: Callable[[Path], object]
) -> None:
    folder = write_images(tmp_path / "all", "cats/1.jpg")
    make(folder / "cats" / "2.jpg")
    if layout == "table":
        (folder / "t.csv").write_text("file,caption\ncats/1.jpg,one\ncats/2.jpg,two\n", encoding="utf-8")
    source = opened(folder / "t.csv" if layout == "table" else folder)
    assert source.read(0).image == image(0)
    with pytest.raises(SampleError, match=r"cats/2\.jpg cannot be read: .*2\.jpg is not a regular file"):
        source.read(1)


@pytest.mark.parametrize("name", ["x.tar", "x.parquet", "x.csv", "x.jsonl", "classes.txt"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, name: str) -> None:
    os.mkfifo(write_images(tmp_path, "cats/1.jpg") / name)
    with pytest.raises(DataError, match=rf"{name} is not a regular file: put a file with its content there\.$"):
        opened(tmp_path if name == "classes.txt" else tmp_path / name)


A, B = pa.array(["a"]), pa.array([b"a"])
ODD_COLUMNS: list[tuple[dict[str, Any], dict[str, Any], str]] = [
    ({"images": [[{"bytes": b"a"}]], "text": A}, {}, "'images' holds list<element: struct<bytes: binary>>, and images"),
    ({"pics": [[{"bytes": b"a"}]], "text": A}, {"image_column": "pics"}, "'pics' holds list<element: struct<bytes: b"),
    ({"image": [{"bytes": None, "path": "a"}], "text": A}, {}, "'image' holds struct<bytes: null, path: string>, and"),
    ({"image": pa.array([b"ab"], pa.binary(2)), "text": A}, {}, "'image' holds fixed_size_binary[2], and images are"),
    ({"image": [7], "text": A}, {}, "'image' holds int64, and images are read from binary, large_binary, binary_view"),
    ({"path": [7], "text": A}, {}, "a struct with one of these as 'bytes'; file names from string, large_string"),
    ({"image": [7], "text": A}, {"format": "parquet"}, "(of file names, set format to 'table'): name another with ima"),
    ({"image": B, "text": [[{"raw": "a"}]]}, {}, "'text' holds list<element: struct<raw: string>>, and captions are"),
    ({"image": B, "text": [7]}, {"caption_column": "text"}, "'text' holds int64, and captions are read from string"),
    ({"image": B, "text": B}, {}, "'text' holds binary, and captions are read from string, large_string, string_view"),
    ({"image": B, "label": [0.5]}, {}, "'label' holds double, and classes are read from string, large_string, string"),
    ({"image": B, "text": A, "kind": [True]}, {"class_column": "kind"}, "'kind' holds bool, and classes are read from"),
    ({"file": A, "text": [[{"raw": "a"}]]}, {}, "'text' holds list<element: struct<raw: string>>, and captions are"),
    ({"n": A, "text": A}, {"image_column": "m"}, "has no column 'm' (image_column); give one that it has. It has: n"),
]


@pytest.mark.parametrize(("columns", "settings", "message"), ODD_COLUMNS)
def test_a_column_of_a_type_that_cannot_hold_it_is_named_with_those_that_can(
    tmp_path: Path, columns: dict[str, Any], settings: dict[str, Any], message: str
) -> None:
    path = write_parquet(tmp_path / "x.parquet", columns)
    with pytest.raises(DataError, match=re.escape(message)) as caught:
        opened(path, **settings)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_two_columns_of_one_name_are_refused(tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_arrays([B, A, A], names=["image", "text", "text"]), tmp_path / "x.parquet")
    with pytest.raises(DataError, match="has 2 columns called 'text'; give each a name of its own"):
        opened(tmp_path / "x.parquet")


def test_types_of_a_thousand_levels_are_one_line(tmp_path: Path) -> None:
    deep = pa.string()
    for _ in range(1_000):
        deep = pa.list_(deep)
    path = write_parquet(tmp_path / "x.parquet", {"image": B, "text": pa.nulls(1, deep)})
    with pytest.raises(DataError, match=r"x\.parquet cannot be read as Parquet"):
        opened(path)


@pytest.mark.parametrize("content", [b"", b"hello", (1 << 40).to_bytes(8, "little") + b"[" * 100_000])
def test_a_damaged_index_says_which_file_to_delete(tmp_path: Path, content: bytes) -> None:
    path = write_tar(tmp_path / "x.tar", img2dataset_files(2))
    before = set(cache_dir("data").iterdir())
    opened(path)
    [index] = set(cache_dir("data").iterdir()) - before
    index.write_bytes(content)
    with pytest.raises(DataError, match=rf"{index.name}, which Diptych has written, is damaged: delete it"):
        opened(path)
    index.unlink()
    assert len(opened(path)) == 2


def test_captions_in_lists_of_any_depth_are_read() -> None:
    nested: object = "a"
    for _ in range(5_000):
        nested = [nested]
    assert texts_of([["one", nested], "two"], []).captions == ("one", "a", "two")


def test_json_nested_too_deep_is_one_bad_sample(tmp_path: Path) -> None:
    write_tar(tmp_path / "pairs.tar", {"a.png": b"x", "a.txt": b"fine", "b.png": b"x", "b.json": b"[" * 100_000})
    source = open_source(SourceConfig(path=str(tmp_path / "pairs.tar")))
    assert source.texts(0).captions == ("fine",)
    with pytest.raises(SampleError, match="neither a caption nor a class"):
        source.read(1)
