"""Which folders and catalogues a library is filled from, and what becomes of them when they move, nest or go."""

import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from diptych.checkpoints import load_checkpoint
from diptych.encode.torch_encoder import TorchEncoder
from diptych.library.catalogue_root import CatalogueRoot
from diptych.library.database import LibraryError
from diptych.library.filters import Filters
from diptych.library.library import PhotoLibrary

COLOURS = ("red", "green", "blue", "white")


@pytest.fixture(scope="module")
def encoder() -> TorchEncoder:
    return TorchEncoder(load_checkpoint(None), device="cpu", dtype="float32", preprocess="fast")


@pytest.fixture
def library(tmp_path: Path, encoder: TorchEncoder) -> PhotoLibrary:
    return PhotoLibrary.open(tmp_path / "library", create_missing=True, encoder=encoder)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    """Two in a folder, two in a folder within."""
    folder = tmp_path / "photos"
    (folder / "2024").mkdir(parents=True)
    for number, colour in enumerate(COLOURS):
        Image.new("RGB", (40 + number, 30), colour).save(folder / ("2024" if number % 2 else ".") / f"{colour}.png")
    return folder


def ids(library: PhotoLibrary) -> dict[str, int]:
    return {Path(photo["path"]).name: photo["id"] for photo in library.photos()}


def roots(library: PhotoLibrary) -> list[str]:
    return [root["path"] for root in library.info()["roots"]]


def test_a_folder_takes_in_the_roots_below_it(library: PhotoLibrary, photos: Path) -> None:
    library.index(photos / "2024")
    before = ids(library)
    report = library.index(photos)
    assert (report.encoded, report.unchanged, report.copied) == (2, 2, 0)
    assert roots(library) == [str(photos)]
    assert {name: ids(library)[name] for name in before} == before
    assert library.check().faults == ()


def test_a_folder_below_a_root_is_a_part_of_it(library: PhotoLibrary, photos: Path) -> None:
    library.index(photos)
    Image.new("RGB", (50, 30), "yellow").save(photos / "yellow.png")
    Image.new("RGB", (50, 40), "black").save(photos / "2024" / "black.png")
    (photos / "2024" / "green.png").unlink()
    (photos / "blue.png").unlink()
    report = library.index(photos / "2024")
    assert (report.encoded, report.forgotten, report.unchanged) == (1, 1, 1)
    assert set(ids(library)) == {"red.png", "blue.png", "white.png", "black.png"}
    assert roots(library) == [str(photos)]


def test_what_an_ignore_file_above_leaves_out_is_left_out_of_a_part(library: PhotoLibrary, photos: Path) -> None:
    (photos / ".diptychignore").write_text("green.png\n")
    library.index(photos)
    library.index(photos / "2024")
    assert set(ids(library)) == {"red.png", "blue.png", "white.png"}


def test_roots_named_twice_are_gone_through_once(library: PhotoLibrary, photos: Path) -> None:
    report = library.index(photos, photos / "2024", photos / ".." / "photos", photos)
    assert (report.encoded, report.total) == (4, 4)


def test_other_libraries_and_their_thumbnails_are_no_photos(
    library: PhotoLibrary, photos: Path, encoder: TorchEncoder
) -> None:
    with PhotoLibrary.open(photos / "inner", create_missing=True, encoder=encoder) as inner:
        inner.index(photos)
        assert inner.thumbnail(ids(inner)["red.png"]).jpeg
        assert inner.index(photos).total == 0
    assert library.index(photos).encoded == 4


def test_a_folder_that_never_was_is_an_error_and_no_root(library: PhotoLibrary, photos: Path) -> None:
    with pytest.raises(LibraryError, match=r"There is no folder .*nowhere"):
        library.index(photos / "nowhere")
    assert roots(library) == []


def test_a_table_that_is_gone_stops_no_other_root(library: PhotoLibrary, photos: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text("image\nphotos/red.png\n")
    library.index(photos, CatalogueRoot(path=table, image_column="image"))
    table.unlink()
    Image.new("RGB", (50, 30), "yellow").save(photos / "yellow.png")
    report = library.index()
    assert (report.encoded, report.forgotten, report.absent_roots) == (1, 0, [str(table)])


def test_a_root_that_became_a_link_can_be_relocated_and_removed(library: PhotoLibrary, photos: Path) -> None:
    library.index(photos)
    moved = photos.with_name("moved")
    photos.rename(moved)
    photos.symlink_to(moved)
    assert library.relocate(photos, moved) == 4
    assert library.index(moved).unchanged == 4
    photos.unlink()
    moved.rename(photos)
    moved.symlink_to(photos)
    assert library.remove(moved) == 4


def test_a_catalogue_is_relocated_to_a_table(library: PhotoLibrary, photos: Path, tmp_path: Path) -> None:
    table = tmp_path / "table.csv"
    table.write_text(f"image\n{photos / 'red.png'}\n")
    library.index(CatalogueRoot(path=table, image_column="image"))
    with pytest.raises(LibraryError, match="is not a file: give the table"):
        library.relocate(table, photos)
    table.rename(tmp_path / "other.csv")
    assert library.relocate(table, tmp_path / "other.csv") == 1
    assert library.index().unchanged == 1


def test_a_file_of_a_time_that_no_database_holds_is_indexed(library: PhotoLibrary, photos: Path) -> None:
    os.utime(photos / "red.png", (13_569_465_600, 13_569_465_600))  # the year 2400
    if (photos / "red.png").stat().st_mtime_ns <= 2**63:  # a file system that holds no such time
        os.utime(photos / "red.png", (9_223_372_036, 9_223_372_036))
    assert library.index(photos).encoded == 4
    assert library.index(photos).unchanged == 4


@pytest.mark.parametrize("name", [b"caf\xe9", b"a # b % c"])
def test_photos_under_a_folder_of_any_name_are_found(library: PhotoLibrary, photos: Path, name: bytes) -> None:
    odd = photos.parent / os.fsdecode(name)
    shutil.copytree(photos, odd)
    library.index(odd)
    assert len(library.search("red", filters=Filters(folder=odd))) == 4
    assert len(library.search("red", filters=Filters(folder=odd / "2024"))) == 2
    assert library.search("red", filters=Filters(folder=photos)) == []


def test_a_reason_does_not_say_the_path_again(library: PhotoLibrary, tmp_path: Path) -> None:
    for name in ("trip: day 1", "new\nline"):
        (tmp_path / "bad" / name).mkdir(parents=True)
        (tmp_path / "bad" / name / "a.jpg").write_text("words")
    library.index(tmp_path / "bad")
    assert {failure.reason for failure in library.failures()} == {"not an image: it begins with b'words'"}
