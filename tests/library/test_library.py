"""Folders indexed and searched through the library's own face, with the model in the package."""

import os
import shutil
import sqlite3
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diptych.checkpoints import load_checkpoint
from diptych.demo.photographs import find_photographs
from diptych.encode.torch_encoder import TorchEncoder
from diptych.library.database import LibraryError
from diptych.library.filters import Filters
from diptych.library.indexing import IndexReport
from diptych.library.library import PhotoLibrary
from diptych.library.query import Term, Words

PHOTOGRAPHS = {path.stem: path for path in find_photographs()}
PICTURES = {"cat": "chelsea", "coffee": "coffee", "rocket": "rocket", "astronaut": "astronaut"}


@pytest.fixture(scope="module")
def encoder() -> TorchEncoder:
    return TorchEncoder(load_checkpoint(None), device="cpu", dtype="float32", preprocess="fast")


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    (folder / "animals").mkdir(parents=True)
    for name, picture in PICTURES.items():
        with Image.open(PHOTOGRAPHS[picture]) as photograph:
            photograph.resize((160, 120)).save(folder / ("animals" if name == "cat" else ".") / f"{name}.jpg")
    return folder


@pytest.fixture
def library(tmp_path: Path, encoder: TorchEncoder) -> PhotoLibrary:
    return PhotoLibrary.open(tmp_path / "library", create_missing=True, encoder=encoder)


def indexed(library: PhotoLibrary, folder: Path, *, retry_failures: bool = False) -> IndexReport:
    return library.index(folder, retry_failures=retry_failures)


def paths(library: PhotoLibrary, query: str, **given: object) -> list[str]:
    return [hit.path.name for hit in library.search(query, **given)]  # type: ignore[arg-type]


def ids(library: PhotoLibrary) -> dict[str, int]:
    return {hit.path.name: hit.id for hit in library.search("anything", top=100)}


def test_photos_are_found_by_words_pictures_and_example(
    library: PhotoLibrary, photos: Path, encoder: TorchEncoder
) -> None:
    report = indexed(library, photos)
    assert (report.encoded, report.failed) == (4, 0)
    features = encoder.encode_images(sorted(photos.rglob("*.jpg")))
    text = encoder.encode_texts(["a cat"])[0]
    found = library.search("a cat")
    assert [hit.score for hit in found] == pytest.approx(sorted((features @ text).tolist(), reverse=True), abs=1e-3)
    assert found[0].path == photos / "animals" / "cat.jpg"
    assert (found[0].width, found[0].height) == (160, 120)
    cat = found[0].id
    assert paths(library, f"img:{photos / 'coffee.jpg'}", top=1) == ["coffee.jpg"]
    assert paths(library, f"photo:{cat}", top=1) == ["cat.jpg"]
    assert "cat.jpg" not in [hit.path.name for hit in library.similar(cat)]
    assert paths(library, f"photo:{cat} - 2:photo:{cat} + 0.1:a rocket")[-1] == "cat.jpg"


def test_pages_and_thresholds_cut_the_same_order(library: PhotoLibrary, photos: Path, encoder: TorchEncoder) -> None:
    indexed(library, photos)
    everything = paths(library, "a cat")
    assert paths(library, "a cat", top=2) + paths(library, "a cat", top=2, skip=2) == everything
    scores = [hit.score for hit in library.search("a cat")]
    assert paths(library, "a cat", threshold=scores[1]) == everything[:2]
    assert paths(library, "a cat", threshold=1.1) == []


def test_what_is_known_is_not_opened_again(library: PhotoLibrary, photos: Path, encoder: TorchEncoder) -> None:
    indexed(library, photos)
    for path in photos.rglob("*.jpg"):
        path.chmod(0)
    report = indexed(library, photos)
    assert (report.unchanged, report.total, report.failed) == (4, 0, 0)


def test_moved_photos_keep_their_number_and_copies_their_vector(
    library: PhotoLibrary, photos: Path, encoder: TorchEncoder
) -> None:
    indexed(library, photos)
    before = ids(library)
    (photos / "animals").rename(photos / "beasts")
    shutil.copy(photos / "coffee.jpg", photos / "copy.jpg")
    (photos / "rocket.jpg").rename(photos / "astronaut.jpg")  # over another
    os.utime(photos / "coffee.jpg", (1, 1))
    report = indexed(library, photos)
    assert (report.encoded, report.moved, report.copied, report.forgotten) == (0, 2, 1, 0)
    after = ids(library)
    assert after["cat.jpg"] == before["cat.jpg"]
    assert after["astronaut.jpg"] == before["rocket.jpg"]
    assert set(after) == {"cat.jpg", "coffee.jpg", "copy.jpg", "astronaut.jpg"}
    assert indexed(library, photos).total == 0


def test_two_photos_that_change_places_are_both_right(
    library: PhotoLibrary, photos: Path, encoder: TorchEncoder
) -> None:
    indexed(library, photos)
    one, other = photos / "coffee.jpg", photos / "rocket.jpg"
    size = max(one.stat().st_size, other.stat().st_size)
    for path in (one, other):  # of one size, so that only their bytes tell them apart
        path.write_bytes(path.read_bytes().ljust(size, b"\0"))
    indexed(library, photos)
    one.rename(photos / "swap.jpg")
    other.rename(one)
    (photos / "swap.jpg").rename(other)
    indexed(library, photos)
    for path in (one, other):
        assert library.search(f"img:{path}", top=1)[0].path == path
        assert library.search(f"img:{path}", top=1)[0].score == pytest.approx(1, abs=1e-3)


def test_what_is_gone_is_forgotten_but_not_with_its_disk(
    library: PhotoLibrary, photos: Path, encoder: TorchEncoder, tmp_path: Path
) -> None:
    indexed(library, photos)
    (photos / "coffee.jpg").unlink()
    assert indexed(library, photos).forgotten == 1
    assert len(ids(library)) == 3
    photos.rename(tmp_path / "unplugged")
    assert indexed(library, photos).absent_roots == [str(photos)]
    photos.mkdir()  # the mount point
    assert indexed(library, photos).absent_roots == [str(photos)]
    assert len(ids(library)) == 3


def test_a_bad_file_is_noted_once_and_tried_again_when_it_changes(
    library: PhotoLibrary, photos: Path, encoder: TorchEncoder
) -> None:
    (photos / "text.jpg").write_text("words")
    (photos / "empty.png").touch()
    report = indexed(library, photos)
    assert (report.encoded, report.failed) == (4, 2)
    assert {failure.source.path.name: failure.reason for failure in library.failures()} == {
        "text.jpg": "not an image: it begins with b'words'",
        "empty.png": "empty, 0 bytes",
    }
    report = indexed(library, photos)
    assert (report.total, report.known_failures) == (0, 2)
    shutil.copy(photos / "coffee.jpg", photos / "text.jpg")
    (photos / "empty.png").unlink()
    assert indexed(library, photos).copied == 1
    assert library.failures() == []


def test_filters_come_before_the_ranking(library: PhotoLibrary, photos: Path, encoder: TorchEncoder) -> None:
    indexed(library, photos)
    for filters in (Filters(folder=str(photos / "animals")), Filters(where="photos.path LIKE '%cat%'")):
        assert paths(library, "a rocket", filters=filters, top=1) == ["cat.jpg"]
    assert paths(library, "a rocket", filters=Filters(min_side=121)) == []
    with pytest.raises(ValueError, match="The filter is not SQL over the table photos"):
        paths(library, "a rocket", filters=Filters(where="1; DROP TABLE photos"))
    assert len(ids(library)) == 4


def test_an_empty_library_and_another_model_are_said(
    library: PhotoLibrary, photos: Path, encoder: TorchEncoder
) -> None:
    with pytest.raises(LibraryError, match=r"is empty: `diptych index FOLDER` fills it"):
        library.search("a cat")
    indexed(library, photos)
    with pytest.raises(LibraryError, match=r"holds no vectors of ViT-B/32, only of postcard"):
        PhotoLibrary.open(library.folder, model="ViT-B/32").search("a cat")


def test_a_damaged_matrix_is_made_again(library: PhotoLibrary, photos: Path, encoder: TorchEncoder) -> None:
    indexed(library, photos)
    before = paths(library, "a cat")
    matrix = next(library.folder.glob("matrix-*"))
    for damage in (
        lambda: shutil.rmtree(matrix),
        lambda: (matrix / "vectors.npy").write_bytes(b"damaged"),
        lambda: (matrix / "ids.npy").write_bytes(b""),
        lambda: (matrix / "last-gone").write_bytes(b"\xff"),
        lambda: (matrix / "ids.npy").write_bytes(b"\x93NUMPY\x01\x00\x10\x00{'descr': ('\n\n\n\n\n"),
        lambda: np.save(matrix / "ids.npy", np.zeros((2, 3), np.int64)),
    ):
        damage()
        with PhotoLibrary.open(library.folder, encoder=encoder) as again:
            assert paths(again, "a cat") == before


def test_no_database_of_another_kind_is_touched(tmp_path: Path) -> None:
    folder = tmp_path / "library"
    folder.mkdir()
    other = sqlite3.connect(folder / "library.db")
    other.execute("CREATE TABLE photos (name)")
    other.commit()
    with pytest.raises(LibraryError, match="is a database of something else"):
        PhotoLibrary.open(folder)
    (folder / "library.db").write_bytes(b"not a database at all, but long enough to look at" * 50)
    with pytest.raises(LibraryError, match="is damaged"):
        PhotoLibrary.open(folder)
    with pytest.raises(LibraryError, match="There is no library in"):
        PhotoLibrary.open(tmp_path / "nowhere")


def test_a_root_can_move_and_go(library: PhotoLibrary, photos: Path, encoder: TorchEncoder, tmp_path: Path) -> None:
    indexed(library, photos)
    before = ids(library)
    moved = photos.rename(tmp_path / "moved")
    assert library.relocate(photos, moved) == 4
    assert indexed(library, moved).unchanged == 4
    assert ids(library) == before
    assert library.search("a cat")[0].path == moved / "animals" / "cat.jpg"
    with pytest.raises(LibraryError, match=r"is not a root of the library; its roots are: .*moved\."):
        library.remove(photos)
    assert library.remove(moved) == 4
    assert library.photos() == []
    assert (moved / "coffee.jpg").exists()


def test_a_check_finds_what_is_not_whole(library: PhotoLibrary, photos: Path, encoder: TorchEncoder) -> None:
    indexed(library, photos)
    report = library.check()
    assert (report.photos, report.vectors, report.faults) == (4, 4, ())
    database = sqlite3.connect(library.folder / "library.db")
    for id, vector in ((1, np.zeros(256, "<f2")), (2, np.ones(3, "<f2"))):
        database.execute("UPDATE vectors_1 SET vector = ? WHERE id = ?", (vector.tobytes(), id))
    database.execute("DELETE FROM vectors_1 WHERE id = 3")
    database.execute("UPDATE photos SET hash = x'00' WHERE id = 4")
    database.commit()
    faults = " ".join(library.check().faults)
    for part in (
        "1 photos have no whole hash",
        "length 0 and not 1",
        "has 3 numbers where 256 belong",
        "has no vector of",
    ):
        assert part in faults


def test_duplicates_are_grouped_by_bytes_and_by_likeness(
    library: PhotoLibrary, photos: Path, encoder: TorchEncoder
) -> None:
    shutil.copy(photos / "coffee.jpg", photos / "coffee copy.jpg")
    with Image.open(photos / "rocket.jpg") as rocket:
        rocket.resize((320, 240)).save(photos / "larger.png")
    indexed(library, photos)
    groups = {Path(group.keep.source).name: group.others for group in library.duplicates(threshold=0.97)}
    assert {name: [Path(copy.source).name for copy in others] for name, others in groups.items()} == {
        "coffee.jpg": ["coffee copy.jpg"],
        "larger.png": ["rocket.jpg"],
    }
    assert groups["coffee.jpg"][0].is_exact
    assert not groups["larger.png"][0].is_exact
    assert 0.97 < groups["larger.png"][0].cosine < 1
    assert [Path(group.keep.source).name for group in library.duplicates(threshold=1)] == ["coffee.jpg"]


def test_a_second_indexer_is_told_who_has_the_library(
    library: PhotoLibrary, photos: Path, encoder: TorchEncoder
) -> None:
    first = library.iter_index(photos)
    next(first)
    with PhotoLibrary.open(library.folder, encoder=encoder) as second:
        with pytest.raises(LibraryError, match=rf"is being indexed by process {os.getpid()} since \d\d:\d\d: wait"):
            next(second.iter_index(photos))
        assert list(first)[-1].encoded == 4
        assert indexed(second, photos).unchanged == 4


def test_models_are_held_side_by_side(library: PhotoLibrary, photos: Path, encoder: TorchEncoder) -> None:
    checkpoint = encoder.checkpoint
    turned = {**checkpoint.tensors, "visual.attnpool.c_proj.bias": -checkpoint.tensors["visual.attnpool.c_proj.bias"]}
    other = TorchEncoder(replace(checkpoint, tensors=turned), device="cpu", dtype="float32", preprocess="fast")
    indexed(library, photos)
    with PhotoLibrary.open(library.folder, model="other", encoder=other) as second:
        indexed(second, photos)
        assert PhotoLibrary.open(library.folder).model_name == "other"
        assert second.search("a cat")[0].score != pytest.approx(library.search("a cat")[0].score, abs=1e-3)
    again = TorchEncoder(replace(checkpoint, tensors=turned), device="cpu", dtype="float32", preprocess="fast")
    again.model.logit_scale.data = again.model.logit_scale.data + 1
    with pytest.raises(LibraryError, match=r"holds no vectors of other"):
        PhotoLibrary.open(library.folder, model="other", encoder=again).search("a cat")


def test_a_database_put_back_from_a_copy_is_what_counts(
    library: PhotoLibrary, photos: Path, encoder: TorchEncoder, tmp_path: Path
) -> None:
    indexed(library, photos)
    expected = paths(library, "a cat")
    library.close()
    shutil.copy(library.folder / "library.db", tmp_path / "copy.db")
    with PhotoLibrary.open(library.folder, encoder=encoder) as changed:
        (photos / "coffee.jpg").rename(photos / "tea.jpg")
        Image.new("RGB", (90, 60), "green").save(photos / "rocket.jpg")
        indexed(changed, photos)
        assert set(paths(changed, "a cat")) == {"astronaut.jpg", "cat.jpg", "rocket.jpg", "tea.jpg"}
    shutil.copy(tmp_path / "copy.db", library.folder / "library.db")
    with PhotoLibrary.open(library.folder, encoder=encoder) as back:
        assert paths(back, "a cat") == expected
        assert back.check().faults == ()


def test_one_who_searches_on_sees_what_another_changes(
    library: PhotoLibrary, photos: Path, encoder: TorchEncoder
) -> None:
    indexed(library, photos)
    with PhotoLibrary.open(library.folder, encoder=encoder) as reader:
        assert len(paths(reader, "a cat")) == 4
        with Image.open(PHOTOGRAPHS["chelsea"]) as photograph:
            photograph.resize((90, 60)).save(photos / "small.png")
        indexed(library, photos)
        assert paths(reader, "a cat", top=2) == paths(library, "a cat", top=2)
        assert "small.png" in paths(reader, "a cat")
        (photos / "small.png").unlink()
        (photos / "coffee.jpg").unlink()
        indexed(library, photos)
        assert paths(reader, "a cat") == paths(library, "a cat")
        assert len(paths(reader, "a cat")) == 3


def test_what_went_is_passed_over_and_the_matrix_kept(library: PhotoLibrary, photos: Path) -> None:
    indexed(library, photos)
    written = (library.folder / "matrix-1" / "vectors.npy").stat().st_mtime_ns
    (photos / "coffee.jpg").unlink()
    indexed(library, photos)
    assert set(paths(library, "coffee", top=10)) == {"cat.jpg", "rocket.jpg", "astronaut.jpg"}
    assert len(paths(library, "coffee", top=2, skip=2)) == 1
    assert paths(library, "coffee", filters=Filters(format="JPEG"), top=10) == paths(library, "coffee", top=10)
    assert library.duplicates(threshold=0.01)[0].keep.id != 0
    assert library.check().faults == ()
    assert (library.folder / "matrix-1" / "vectors.npy").stat().st_mtime_ns == written


def test_a_check_compares_the_matrix_with_the_database(library: PhotoLibrary, photos: Path) -> None:
    indexed(library, photos)
    vectors = np.load(library.folder / "matrix-1" / "vectors.npy")
    vectors[[0, 1]] = vectors[[1, 0]]
    np.save(library.folder / "matrix-1" / "vectors.npy", vectors)
    assert [fault.partition(":")[0] for fault in library.check().faults] == [
        "the matrix of postcard is not what the database has"
    ]


def test_like_a_photo_by_number_path_or_any_picture(library: PhotoLibrary, photos: Path, tmp_path: Path) -> None:
    indexed(library, photos)
    cat = ids(library)["cat.jpg"]
    by_number = [hit.id for hit in library.similar(cat)]
    assert cat not in by_number
    assert [hit.id for hit in library.similar(photos / "animals" / "cat.jpg")] == by_number
    shutil.copy(photos / "animals" / "cat.jpg", tmp_path / "other.jpg")
    assert library.similar(tmp_path / "other.jpg", top=1)[0].id == cat
    assert library.similar(cat, filters=Filters(folder=photos / "animals")) == []


def test_only_what_stands_out_where_that_is_asked_for(library: PhotoLibrary, photos: Path) -> None:
    indexed(library, photos)
    hits = library.search("a cup of coffee", top=10)
    least = sorted(hit.relevance or 0.0 for hit in hits)[2]
    relevant = library.search("a cup of coffee", min_relevance=least)
    assert {hit.id for hit in relevant} == {hit.id for hit in hits if (hit.relevance or 0.0) >= least}
    with pytest.raises(ValueError, match="Only queries in words"):
        library.search("photo:1", min_relevance=0.5)


def test_a_model_is_forgotten_with_its_vectors(library: PhotoLibrary, photos: Path) -> None:
    indexed(library, photos)
    with pytest.raises(LibraryError, match="holds no vectors of other, only of postcard"):
        library.forget_model("other")
    assert library.forget_model("postcard") == 4
    assert (library.photos(), list(library.folder.glob("matrix-*"))) == ([], [])
    assert indexed(library, photos).encoded == 4
    assert library.check().faults == ()


def test_pictures_join_no_chain(library: PhotoLibrary, tmp_path: Path, encoder: TorchEncoder) -> None:
    with Image.open(PHOTOGRAPHS["chelsea"]) as cat, Image.open(PHOTOGRAPHS["coffee"]) as cup:
        one, other = (picture.convert("RGB").resize((128, 128)) for picture in (cat, cup))
    (tmp_path / "blends").mkdir()
    for step in range(11):
        Image.blend(one, other, step / 10).save(tmp_path / "blends" / f"{step:02d}.png")
    indexed(library, tmp_path / "blends")
    vectors = {photo["id"]: library.vector(photo["id"]) for photo in library.photos()}
    for group in library.duplicates(threshold=0.9):
        for copy in group.others:
            assert float(vectors[copy.id] @ vectors[group.keep.id]) >= 0.9 - 1e-3
            assert copy.cosine >= 0.9


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"top": 0}, "top is at least 1"),
        ({"skip": -3}, "skip at least 0"),
        ({"where": "nonsense"}, "The filter is not SQL"),
    ],
    ids=str,
)
def test_what_cannot_be_asked_is_said(
    library: PhotoLibrary, photos: Path, given: dict[str, object], message: str
) -> None:
    indexed(library, photos)
    with pytest.raises(ValueError, match=message):
        paths(library, "a cat", **given)
    with pytest.raises(ValueError, match="A weight is from"):
        library.search([Term(Words("cat"), float("nan"))])


def test_where_speaks_of_photos_alone(library: PhotoLibrary, photos: Path) -> None:
    indexed(library, photos)
    assert paths(library, "a cat", where="path LIKE 'animals/%'") == ["cat.jpg"]
    assert len(paths(library, "a cat", where="id > 1")) == 3


def test_what_kills_left_half_made_is_swept_away(library: PhotoLibrary, photos: Path) -> None:
    old, new = library.folder / ".matrix-1.0123456789ab.tmp", library.folder / ".matrix-1.ba9876543210.tmp"
    for left in (old, new):
        left.mkdir()
        (left / "vectors.npy").write_bytes(b"half")
    os.utime(old, (1, 1))
    indexed(library, photos)
    assert (old.exists(), new.exists()) == (False, True)


def test_a_check_measures_the_background_again(library: PhotoLibrary, photos: Path) -> None:
    indexed(library, photos)
    best = np.load(library.folder / "background-1" / "best.npy")
    np.save(library.folder / "background-1" / "best.npy", best + 1)
    assert [fault.partition(":")[0] for fault in library.check().faults] == [
        "the background of postcard is not as measured"
    ]


def test_what_there_is_to_filter_by_is_always_of_now(library: PhotoLibrary, photos: Path) -> None:
    indexed(library, photos)
    assert library.formats() == library.formats() == ["JPEG"]
    with Image.open(photos / "coffee.jpg") as picture:
        picture.save(photos / "coffee.png")
    indexed(library, photos)  # by its own connection
    assert library.formats() == ["JPEG", "PNG"]
    (photos / "coffee.png").unlink()
    with PhotoLibrary.open(library.folder) as other:
        indexed(other, photos)
    assert library.formats() == ["JPEG"]
