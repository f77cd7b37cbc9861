"""Data that cannot be learnt from, through `diptych train`: one line that names it and says what to do, and no run."""

import os
import re
import sys
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
import tomlkit

from diptych.cli import main
from memory_source import picture
from pairs import settings, write_pairs
from pairs_on_disk import write_images, write_parquet, write_tar


class Case(NamedTuple):
    """How the data is made, in a folder, and what the line says after the name of what was made."""

    make: Callable[[Path], Path]
    message: str


def table(text: str) -> Callable[[Path], Path]:
    """Twelve pictures, and a table of them: `text` where each has its number for {}."""

    def make(folder: Path) -> Path:
        path = write_pairs(folder, 12)
        header, row = text.split("\n")
        path.write_text("\n".join([header, *(row.format(f"{i:03d}") for i in range(12))]), encoding="utf-8")
        return path

    return make


def tar_of(caption: str = "a dog") -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        files = {
            f"{i}.{suffix}": content for i in range(12) for suffix, content in (("png", PICTURE), ("txt", caption))
        }
        return write_tar(folder / "x.tar", files)

    return make


def parquet_of(caption: str = "a dog", column: str = "text") -> Callable[[Path], Path]:
    return lambda folder: write_parquet(folder / "x.parquet", {"image": [PICTURE] * 12, column: [caption] * 12})


def cut(make: Callable[[Path], Path]) -> Callable[[Path], Path]:
    """The first half of a file."""

    def made(folder: Path) -> Path:
        path = make(folder)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2 + 100])
        return path

    return made


def garbage(name: str) -> Callable[[Path], Path]:
    def make(folder: Path) -> Path:
        (folder / name).write_bytes(b"\x07\xff garbage \x00" * 1_000)
        return folder / name

    return make


def empty_folder(folder: Path) -> Path:
    return folder


def empty_classes(folder: Path) -> Path:
    for name in ("cats", "dogs"):
        (folder / name).mkdir()
    return folder


def pipe(folder: Path) -> Path:
    os.mkfifo(folder / "x.csv")
    return folder / "x.csv"


PICTURE = picture()
EMPTY = "holds images, but neither captions nor class names that are not empty; "
DAMAGED = "fetch or write it again, or leave it out of the source's path."
CASES = {
    "empty captions of a table": Case(table("filename,caption\n{}.png, "), EMPTY),
    "empty captions of a tar": Case(tar_of(" \n"), EMPTY),
    "empty captions of a Parquet file": Case(parquet_of(""), EMPTY),
    "an empty folder": Case(empty_folder, "holds no images, tar shards or tables; "),
    "empty class folders": Case(empty_classes, "holds no images with texts; "),
    "an empty tar": Case(lambda folder: write_tar(folder / "x.tar", {}), "holds no images with texts; "),
    "a tar of texts": Case(lambda folder: write_tar(folder / "x.tar", {"a.txt": "a"}), "holds texts but no images; "),
    "an empty table": Case(table("filename,caption\n"), "holds no images with texts; "),
    "a table of pictures that are gone": Case(
        table("filename,caption\ngone-{}.png,a dog"), ": none of the first 12 images is there, such as "
    ),
    "images without texts": Case(lambda folder: write_images(folder, "a.jpg"), "put them into a folder for each class"),
    "a tar cut short": Case(cut(tar_of()), DAMAGED),
    "a tar of garbage": Case(garbage("x.tar"), DAMAGED),
    "a Parquet file cut short": Case(cut(parquet_of()), "; fetch or write it again."),
    "a Parquet file of garbage": Case(garbage("x.parquet"), "; fetch or write it again."),
    "a table of garbage": Case(garbage("x.csv"), "is not UTF-8 (invalid start byte at byte 1); save it as UTF-8."),
    "a table without captions": Case(
        table("filename,size\n{}.png,3"), "name it with caption_column or class_column. It has: filename, size."
    ),
    "a table without file names": Case(table("number,caption\n{},a dog"), "name it with image_column. It has: number"),
    "a Parquet file without captions": Case(parquet_of(column="words"), "name it with caption_column or class_column."),
    "a pipe": Case(pipe, "is not a regular file: put a file with its content there."),
}


@pytest.mark.parametrize("case", CASES)
def test_data_that_cannot_be_learnt_from_is_one_line(
    case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    path = CASES[case].make(folder)
    config = tmp_path / "run.toml"
    config.write_text(tomlkit.dumps(settings(path, tmp_path / "run")), encoding="utf-8")
    monkeypatch.setattr(sys, "argv", ["diptych", "train", str(config)])
    monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # main() changes it
    with pytest.raises(SystemExit) as ended:
        main()
    shown = capsys.readouterr()
    assert (ended.value.code, shown.out, shown.err.count("\n")) == (1, "", 1), shown.err
    assert re.search(rf"^diptych: {re.escape(str(path))}.*{re.escape(CASES[case].message)}", shown.err), shown.err
    assert not (tmp_path / "run").exists()
