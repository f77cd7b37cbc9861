"""Export and import: everything comes back, nothing twice, and what is no vector of a photo is refused and counted."""

import json
import os
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

import diptych
import seeded
from diptych import DualEncoder
from diptych.files import atomic_folder, sha256_file
from diptych.library.database import LibraryError
from diptych.library.embedding_files import open_embeddings
from diptych.library.importing import ImportReport
from diptych.library.library import PhotoLibrary

NAMES = ("a.jpg", "sub/b.jpg", "caf\udce9.jpg", "two\nlines.jpg")
TARGETS = pytest.mark.parametrize("target", ["out.parquet", "out"])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Four photos, one with EXIF, some with strange names."""
    exif = Image.Exif()
    exif[0x0110] = "Leica Q3"
    exif.get_ifd(0x8769)[0x9003] = "2023:06:30 12:00:00"
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 24.0), 3: "E", 4: (2.0, 21.0, 3.0)})
    for number, name in enumerate(NAMES):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.fromarray(seeded.seeded_image(60 + number, 50, seed=number))
        image.save(path, quality=92, exif=exif if number == 0 else Image.Exif())
    return tmp_path / "photos"


@pytest.fixture
def indexed(tmp_path: Path, folder: Path, encoder: DualEncoder) -> PhotoLibrary:
    library = PhotoLibrary.open(tmp_path / "library", encoder=encoder, model="small", create_missing=True)
    library.index(folder)
    return library


def new_library(path: Path, encoder: DualEncoder | None = None) -> PhotoLibrary:
    return PhotoLibrary.open(path, encoder=encoder, model="small" if encoder else None, create_missing=True)


def imported(library: PhotoLibrary, source: Path, **options: Any) -> ImportReport:  # noqa: ANN401
    report = list(library.import_(source, **options))[-1]
    assert library.check().faults == ()
    return report


def vectors_of(library: PhotoLibrary) -> dict[str, bytes]:
    rows = library._database.execute(
        f"SELECT path, vector FROM {library.model().table} JOIN photos ON photos.id = photo_id"
    )
    return {repr(path): vector for path, vector in rows}


def facts_of(library: PhotoLibrary) -> list[dict[str, Any]]:
    return [{name: value for name, value in photo.items() if name != "id"} for photo in library.photos()]


@TARGETS
def test_a_library_comes_back_to_the_bit_and_index_finds_it_unchanged(
    target: str, tmp_path: Path, folder: Path, indexed: PhotoLibrary, encoder: DualEncoder
) -> None:
    assert indexed.export(tmp_path / target) == 4
    other = new_library(tmp_path / "other")
    report = imported(other, tmp_path / target)
    assert (report.total, report.done, report.added, report.refused) == (4, 4, 4, {})
    assert facts_of(other) == facts_of(indexed)
    assert vectors_of(other) == vectors_of(indexed)
    assert (other.model().name, other.model().fingerprint) == ("small", encoder.fingerprint)
    again = new_library(tmp_path / "other", encoder).index(folder)
    assert (again.unchanged, again.encoded, again.forgotten) == (4, 0, 0)


@TARGETS
def test_a_second_import_changes_nothing(target: str, tmp_path: Path, indexed: PhotoLibrary) -> None:
    indexed.export(tmp_path / target)
    before = (vectors_of(indexed), facts_of(indexed))
    report = imported(indexed, tmp_path / target)
    assert (report.added, report.unchanged) == (0, 4)
    assert (vectors_of(indexed), facts_of(indexed)) == before


def test_parquet_is_what_other_programs_expect(tmp_path: Path, indexed: PhotoLibrary, encoder: DualEncoder) -> None:
    indexed.export(tmp_path / "half.parquet")
    indexed.export(tmp_path / "single.parquet", dtype="float32")
    half, single = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("half", "single"))
    assert half.schema.field("vector").type == pa.list_(pa.float16(), encoder.embed_dim)
    assert single.schema.field("vector").type == pa.list_(pa.float32(), encoder.embed_dim)
    assert np.array_equal(np.stack(half["vector"].to_numpy()), np.stack(single["vector"].to_numpy()))
    about = json.loads(half.schema.metadata[b"diptych"])
    assert about["model"] == {"name": "small", "fingerprint": encoder.fingerprint, "width": encoder.embed_dim}
    first = half.slice(0, 1).drop_columns(["vector"]).to_pylist()[0]
    photo = tmp_path / "photos" / "a.jpg"
    assert (first["path"], first["root"], first["key"]) == (str(photo), str(photo.parent), "a.jpg")
    assert (first["size"], first["mtime_ns"]) == (photo.stat().st_size, photo.stat().st_mtime_ns)
    assert first["hash"] == sha256_file(photo)[:32]
    assert (first["camera"], first["taken_at"], first["latitude"]) == ("Leica Q3", "2023-06-30T12:00:00", 48.8566667)
    assert "caf\\udce9.jpg" in half["key"].to_pylist()


def test_the_numpy_folder_is_read_by_numpy_alone(tmp_path: Path, indexed: PhotoLibrary) -> None:
    indexed.export(tmp_path / "out")
    vectors = np.load(tmp_path / "out" / "vectors.npy")
    rows = [json.loads(line) for line in (tmp_path / "out" / "photos.jsonl").read_text().splitlines()]
    stored = vectors_of(indexed)
    assert (vectors.dtype, len(vectors)) == (np.float16, 4)
    assert [vector.tobytes() for vector in vectors] == [
        stored[repr(row["key"].encode("utf-8", "surrogateescape") if "\udce9" in row["key"] else row["key"])]
        for row in rows
    ]


def test_several_frames_of_one_file_stay_together(tmp_path: Path, indexed: PhotoLibrary) -> None:
    """Rows of the same path are frames of a video, each with its second."""
    vectors = np.eye(3, indexed.model().width, dtype=np.float32)
    table = {"path": ["clip.mp4"] * 3, "second": [0.0, 2.5, 5.0], "vector": list(vectors)}
    pq.write_table(pa.table(table), tmp_path / "frames.parquet")
    report = imported(indexed, tmp_path / "frames.parquet", root=tmp_path / "videos", unseen=True)
    assert report.added == 1
    indexed.export(tmp_path / "all.parquet")
    other = new_library(tmp_path / "other")
    imported(other, tmp_path / "all.parquet")
    rows = other._database.execute(f"SELECT second FROM {other.model().table} WHERE second NOT NULL ORDER BY id")
    assert [row[0] for row in rows] == [0.0, 2.5, 5.0]


def frames_of(library: PhotoLibrary) -> dict[str, list[float]]:
    """The seconds of each video, in the order of its vectors."""
    found: dict[str, list[float]] = {}
    table = library.model().table
    for path, second in library._database.execute(
        f"SELECT path, second FROM {table} AS v JOIN photos ON photos.id = photo_id ORDER BY v.id"
    ):
        found.setdefault(path, []).append(second)
    return found


def video_table(path: Path, frames: Sequence[tuple[str, float]], width: int, seed: int = 0) -> Path:
    vectors = np.random.default_rng(seed).standard_normal((len(frames), width)).astype(np.float32)
    names, seconds = zip(*frames, strict=True)
    pq.write_table(pa.table({"path": names, "second": seconds, "vector": list(vectors)}), path)
    return path


def test_frames_that_do_not_stand_together_all_come_in(tmp_path: Path, encoder: DualEncoder) -> None:
    frames = [("a.mp4", 0.0), ("b.mp4", 0.0), ("a.mp4", 1.0), ("b.mp4", 2.5), ("a.mp4", 2.0)]
    source = video_table(tmp_path / "frames.parquet", frames, encoder.embed_dim)
    library = new_library(tmp_path / "new", encoder)
    report = imported(library, source, root=tmp_path, unseen=True)
    assert (report.added, report.unchanged, report.changed) == (2, 0, 0)
    assert frames_of(library) == {"a.mp4": [0.0, 1.0, 2.0], "b.mp4": [0.0, 2.5]}
    before = vectors_of(library)
    report = imported(library, source, root=tmp_path, unseen=True)
    assert (report.added, report.unchanged, report.changed) == (0, 2, 0)
    assert vectors_of(library) == before


def test_other_vectors_of_the_same_photos_take_their_place(tmp_path: Path, encoder: DualEncoder) -> None:
    def source(*frames: tuple[str, float], seed: int) -> Path:
        return video_table(tmp_path / "frames.parquet", frames, encoder.embed_dim, seed)

    library = new_library(tmp_path / "new", encoder)
    place = {"root": tmp_path, "unseen": True}
    a, b, c = ("a.mp4", 0.0), ("b.mp4", 0.0), ("a.mp4", 1.0)
    assert imported(library, source(a, b, c, seed=0), **place).added == 2
    report = imported(library, source(a, b, c, seed=1), **place)
    assert (report.added, report.unchanged, report.changed) == (0, 0, 2)
    right = np.random.default_rng(1).standard_normal((3, encoder.embed_dim)).astype(np.float32)[1]
    number = next(photo["id"] for photo in library.photos() if photo["path"].endswith("b.mp4"))
    assert library.vector(number) @ right / np.linalg.norm(right) == pytest.approx(1, abs=1e-3)
    assert imported(library, source(a, b, seed=1), **place).changed == 1  # the second frame is gone
    assert frames_of(library) == {"a.mp4": [0.0], "b.mp4": [0.0]}
    assert imported(library, source(b, ("a.mp4", 7.0), seed=1), **place).changed == 2
    assert frames_of(library)["a.mp4"] == [7.0]


def test_vectors_that_float16_rounds_are_the_same(tmp_path: Path, folder: Path, encoder: DualEncoder) -> None:
    exact = PhotoLibrary.open(tmp_path / "exact", encoder=encoder, model="small", create_missing=True)
    exact.index(folder, vectors="float32")
    exact.export(tmp_path / "half.parquet", dtype="float16")
    before = vectors_of(exact)
    report = imported(exact, tmp_path / "half.parquet")
    assert (report.unchanged, report.changed) == (4, 0)
    assert vectors_of(exact) == before


def test_a_photo_that_has_changed_in_the_library_stays_as_it_is(
    tmp_path: Path, folder: Path, indexed: PhotoLibrary
) -> None:
    indexed.export(tmp_path / "old.parquet")
    Image.fromarray(seeded.seeded_image(90, 90, seed=9)).save(folder / "a.jpg")
    indexed.index(folder)
    before = vectors_of(indexed)
    report = imported(indexed, tmp_path / "old.parquet")
    assert (report.kept, report.unchanged, report.added) == (1, 3, 0)
    assert vectors_of(indexed) == before


def test_vectors_of_another_model_come_beside_those_that_are_there(
    tmp_path: Path, folder: Path, indexed: PhotoLibrary
) -> None:
    indexed.export(tmp_path / "out")
    about = tmp_path / "out" / "model.json"
    about.write_text(about.read_text().replace('"small"', '"other"').replace(indexed.model().fingerprint, "f" * 16))
    assert imported(indexed, tmp_path / "out").added == 4
    assert {model["name"]: model["vectors"] for model in indexed.info()["models"]} == {"other": 4, "small": 4}
    assert len(indexed.photos()) == 4


# ---- vectors made elsewhere


def made_elsewhere(path: Path, names: Sequence[str | None], vectors: Sequence[Any], **columns: str) -> Path:
    named = {columns.get("path_column", "path"): list(names), columns.get("vector_column", "vector"): list(vectors)}
    pq.write_table(pa.table(named), path)
    return path


def test_vectors_made_elsewhere_are_stored_with_what_their_files_say(
    tmp_path: Path, folder: Path, encoder: DualEncoder
) -> None:
    columns = {"path_column": "file", "vector_column": "embedding"}
    features = encoder.encode_images([folder / name for name in ("a.jpg", "sub/b.jpg")])
    names = [str(folder / "a.jpg"), "sub/b.jpg"]  # absolute, or under the root
    source = made_elsewhere(tmp_path / "theirs.parquet", names, list(7.5 * features), **columns)
    library = new_library(tmp_path / "new", encoder)
    assert imported(library, source, root=folder, **columns).added == 2
    assert imported(library, source, root=folder, **columns).unchanged == 2
    hit = library.search(f"img:{folder / 'a.jpg'}", top=1)[0]
    assert (hit.path, hit.taken_at) == (folder / "a.jpg", "2023-06-30T12:00:00")
    assert hit.score == pytest.approx(1, abs=2e-3)  # float16 has rounded it
    again = library.index(folder)
    assert (again.unchanged, again.encoded) == (2, 2)


def test_only_the_columns_that_are_needed_of_a_table_made_elsewhere_are_read(
    tmp_path: Path, folder: Path, encoder: DualEncoder
) -> None:
    """Its others may be of any kind: here a time that Python has no value for, and a text that is not UTF-8."""
    out_of_range, no_text = pa.array([2**62], pa.timestamp("us")), pa.array([b"\xff"]).view(pa.string())
    columns = {"raw": ["a.jpg"], "taken_at": out_of_range, "text": no_text, "vector": [np.ones(encoder.embed_dim)]}
    pq.write_table(pa.table(columns), tmp_path / "theirs.parquet")
    library = new_library(tmp_path / "new", encoder)
    assert imported(library, tmp_path / "theirs.parquet", root=folder, path_column="raw").added == 1


@pytest.mark.parametrize(
    ("names", "path", "message"),
    [
        (["path", "vector", "vector"], pa.array(["a.jpg"]), "has 2 columns called 'vector': rename all but one"),
        (["path", "vector", "x"], pa.array([b"\xff"]).view(pa.string()), "holds what cannot be read .*utf-8"),
        (["path", "vector", "x"], pa.array([2**62], pa.timestamp("us")), "holds what cannot be read"),
    ],
)
def test_columns_that_cannot_be_read_are_said_with_the_file(
    names: list[str], path: pa.Array, message: str, tmp_path: Path, encoder: DualEncoder
) -> None:
    vectors = pa.array([[1.0] * encoder.embed_dim])
    pq.write_table(pa.Table.from_arrays([path, vectors, vectors], names=names), tmp_path / "theirs.parquet")
    with pytest.raises(LibraryError, match=f"theirs.parquet {message}") as caught:
        list(new_library(tmp_path / "new", encoder).import_(tmp_path / "theirs.parquet", root=tmp_path))
    assert "\n" not in str(caught.value)


def test_an_npy_folder_made_elsewhere_needs_two_files(tmp_path: Path, folder: Path, encoder: DualEncoder) -> None:
    source = tmp_path / "theirs"
    source.mkdir()
    np.save(source / "vectors.npy", np.eye(2, encoder.embed_dim))
    (source / "photos.jsonl").write_text('{"path": "a.jpg"}\n{"path": "sub/b.jpg"}\n')
    assert imported(new_library(tmp_path / "new", encoder), source, root=folder).added == 2


def test_pictures_that_are_not_here_can_be_taken_unseen_and_are_looked_at_later(
    tmp_path: Path, folder: Path, encoder: DualEncoder
) -> None:
    vectors = list(np.eye(2, encoder.embed_dim))
    source = made_elsewhere(tmp_path / "theirs.parquet", ["a.jpg", "gone.jpg"], vectors)
    library = new_library(tmp_path / "new", encoder)
    assert imported(library, source, root=folder, unseen=True).added == 2
    report = library.index(folder)
    assert (report.encoded, report.forgotten, report.unchanged) == (4, 1, 0)
    assert library.search(f"img:{folder / 'a.jpg'}", top=1)[0].score == pytest.approx(1, abs=5e-3)


def test_rows_that_are_no_vectors_of_photos_are_refused_and_counted(
    tmp_path: Path, folder: Path, encoder: DualEncoder
) -> None:
    good = np.ones(encoder.embed_dim)
    vectors = [good, 0 * good, good * np.nan, good[:5], None, good, good, good, good, np.where(good > 0, np.inf, 0)]
    names = ["a.jpg", "b", "c", "d", "e", "../secret.jpg", "/etc/passwd", None, "gone.jpg", "f"]
    source = made_elsewhere(tmp_path / "theirs.parquet", names, vectors)
    report = imported(new_library(tmp_path / "new", encoder), source, root=folder)
    assert (report.done, report.added) == (10, 1)
    assert dict(report.refused) == {
        "no vector of this width, or one of zeros or of what are no numbers": 5,
        "a path that is not below its root": 2,
        "no path": 1,
        "a file that is not there or cannot be read (--unseen)": 1,
    }


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"hash": "words"}, "a hash that is none"),
        ({"key": "../b.jpg"}, "a path that is not below its root"),
        ({"size": "large"}, "no size, or one of another type"),
        ({"width": None}, "no width, or one of another type"),
        ({"width": -1}, "a width that cannot be"),
        ({"size": 2**63}, "a size that cannot be"),
        ({"size": True}, "no size, or one of another type"),
        ({"latitude": float("inf")}, "a latitude that cannot be"),
        ({"longitude": 181}, "a longitude that cannot be"),
        ({"second": float("inf")}, "a second that cannot be"),
        ({"seconds": float("nan")}, "a seconds that cannot be"),
        ({"taken_at": "yesterday"}, "a taken_at that is no time"),
        ({"camera": "\ud800"}, "a camera that is no text"),
        ({"text": "a\0b"}, "a text that is no text"),
        ({"key": "\ud800.jpg"}, "a path that no file can have"),
        ({"source": "\ud800.jpg"}, "a path that no file can have"),
        ({"root": "photos"}, "a root that is no absolute path"),
        ({"root": "/photos/../x"}, "a root that is no absolute path"),
        ({"root": "/photos\0"}, "a root that is no absolute path"),
        ({"root": "/"}, "a root that is the whole machine, which the next `index` would go through"),
        *(
            ({"fields": fields}, "fields that are no JSON object of values")
            for fields in ("[1", "[]", '{"a": NaN}', '{"a": 1e999}', '{"a": {"b": 1}}', '{"a": "\\ud800"}', "[" * 9_999)
        ),
    ],
)
def test_an_export_that_was_tampered_with_is_checked(
    change: dict[str, Any], reason: str, tmp_path: Path, indexed: PhotoLibrary
) -> None:
    indexed.export(tmp_path / "out")
    lines = tmp_path / "out" / "photos.jsonl"
    first, *others = lines.read_text().splitlines(keepends=True)
    lines.write_text(json.dumps(json.loads(first) | change) + "\n" + "".join(others))
    report = imported(new_library(tmp_path / "other"), tmp_path / "out")
    assert (report.added, dict(report.refused)) == (3, {reason: 1})


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("folder", '{"nonsense": true}'),
        ("folder", '{"hidden": 1}'),
        ("folder", '{"kind": "table"}'),
        ("table", None),
        ("table", "{}"),
        ("table", '{"image_column": null}'),
        ("disk", None),
        (["folder"], None),
    ],
)
def test_a_root_that_could_not_be_gone_through_is_refused(
    kind: object, settings: str | None, tmp_path: Path, folder: Path, indexed: PhotoLibrary
) -> None:
    indexed.export(tmp_path / "out")
    model = tmp_path / "out" / "model.json"
    roots = [{"path": str(folder), "kind": kind, "settings": settings}]
    model.write_text(json.dumps(json.loads(model.read_text()) | {"roots": roots}))
    other = new_library(tmp_path / "other")
    assert dict(imported(other, tmp_path / "out").refused) == {"a root with settings that none has": 4}
    assert other.roots() == []


@pytest.mark.parametrize("change", [{"fingerprint": "caf\u00e9"}, {"fingerprint": ""}, {"name": "a\0"}, {"name": 5}])
def test_a_model_that_has_no_name_or_fingerprint_is_refused(
    change: dict[str, Any], tmp_path: Path, indexed: PhotoLibrary
) -> None:
    indexed.export(tmp_path / "out")
    model = tmp_path / "out" / "model.json"
    about = json.loads(model.read_text())
    model.write_text(json.dumps(about | {"model": about["model"] | change}))
    with pytest.raises(LibraryError, match="out does not say of which model it is: export it again"):
        list(new_library(tmp_path / "other").import_(tmp_path / "out"))


@pytest.mark.parametrize("roots", [None, 5, [5, {"path": 5}]])
def test_roots_that_an_export_does_not_describe_are_plain_folders(
    roots: object, tmp_path: Path, indexed: PhotoLibrary
) -> None:
    indexed.export(tmp_path / "out")
    model = tmp_path / "out" / "model.json"
    model.write_text(json.dumps(json.loads(model.read_text()) | {"roots": roots}))
    other = new_library(tmp_path / "other")
    assert imported(other, tmp_path / "out").added == 4
    assert [root.kind for root in other.roots()] == ["folder"]


def swept(path: Path) -> Path:
    path.unlink()
    return path


def with_header(folder: Path, header: str) -> None:
    content = header.encode()
    (folder / "vectors.npy").write_bytes(b"\x93NUMPY\x01\x00" + len(content).to_bytes(2, "little") + content)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-50])


@pytest.mark.parametrize(
    ("target", "damage", "message"),
    [
        ("out.parquet", cut, "out.parquet is not a whole Parquet file"),
        ("out", lambda folder: cut(folder / "vectors.npy"), "is no whole NPY file of numbers"),
        ("out", lambda folder: (folder / "photos.jsonl").unlink(), "needs vectors.npy and photos.jsonl"),
        ("out", lambda folder: cut(folder / "photos.jsonl"), "line 4, is not JSON"),
        ("out", lambda folder: (folder / "photos.jsonl").write_text(""), "not as many lines in photos.jsonl"),
        ("out", lambda folder: (folder / "photos.jsonl").write_bytes(b'{"path": "\xff"}'), "jsonl is not UTF-8"),
        ("out", lambda folder: (folder / "photos.jsonl").write_text("[" * 100_000), "line 1, is not JSON"),
        ("out", lambda folder: os.mkfifo(swept(folder / "photos.jsonl")), "photos.jsonl is no file"),
        ("out", lambda folder: os.mkfifo(swept(folder / "vectors.npy")), "vectors.npy is no file"),
        *(
            ("out", partial(with_header, header=header), "vectors.npy is no whole NPY file of numbers")
            for header in (
                "{'descr': '<f4', 'shape': (",
                "{'a': 1",
                "1 1",
                "",
                "(" * 500,
                "{'descr': 1, 'shape': (1,)}",
            )
        ),
    ],
)
def test_a_damaged_file_is_said_in_one_line(
    target: str, damage: Callable[[Path], object], message: str, tmp_path: Path, indexed: PhotoLibrary
) -> None:
    indexed.export(tmp_path / target)
    damage(tmp_path / target)
    with pytest.raises(LibraryError, match=message) as caught:
        list(new_library(tmp_path / "other").import_(tmp_path / target))
    assert "\n" not in str(caught.value)


def test_what_does_not_fit_is_refused_before_anything_is_stored(
    tmp_path: Path, folder: Path, indexed: PhotoLibrary, encoder: DualEncoder
) -> None:
    narrow = made_elsewhere(tmp_path / "narrow.parquet", ["a.jpg"], [[1.0, 0.0]])
    words = made_elsewhere(tmp_path / "words.parquet", ["a.jpg"], ["words"])
    indexed.export(tmp_path / "ours.parquet")
    library = new_library(tmp_path / "new", encoder)
    width = encoder.embed_dim
    with pytest.raises(LibraryError, match=f"have 2 numbers, and those of small have {width}"):
        list(library.import_(narrow, root=folder))
    with pytest.raises(LibraryError, match=r"The column vector of .* holds string, not lists of numbers"):
        list(library.import_(words, root=folder))
    with pytest.raises(LibraryError, match=r"no column 'embedding' \(--vector-column\), only path, vector"):
        list(library.import_(narrow, root=folder, vector_column="embedding"))
    with pytest.raises(LibraryError, match="the column 'vector' cannot hold both the paths and the vectors"):
        list(library.import_(narrow, root=folder, path_column="vector"))
    with pytest.raises(LibraryError, match=r"There is no .*nothing: give a Parquet file, or a folder"):
        list(library.import_(tmp_path / "nothing"))
    with pytest.raises(ValueError, match="say under which folder its pictures lie"):
        list(library.import_(narrow))
    with pytest.raises(ValueError, match="says itself where its photos lie"):
        list(library.import_(tmp_path / "ours.parquet", root=folder))
    assert library.photos() == []


def test_an_export_replaces_only_what_it_wrote(tmp_path: Path, indexed: PhotoLibrary) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    theirs = made_elsewhere(tmp_path / "theirs.parquet", ["a.jpg"], [[1.0]])
    (tmp_path / "letter.parquet").write_text("dear")
    (tmp_path / "folder.parquet").mkdir()
    (tmp_path / "link.parquet").symlink_to(tmp_path / "nowhere")
    with atomic_folder(tmp_path / "model") as model:
        (model / "model.json").write_text("{}")
    before = theirs.read_bytes()
    for name in ("mine", "model", "theirs.parquet", "letter.parquet", "folder.parquet", "link.parquet"):
        with pytest.raises(diptych.errors.DiptychError, match=f"{name} exists and is no export of Diptych; give a"):
            indexed.export(tmp_path / name)
    assert theirs.read_bytes() == before
    indexed.export(tmp_path / "out.parquet")
    assert indexed.export(tmp_path / "out.parquet") == 4
    with pytest.raises(ValueError, match=r"must end in .parquet, or in nothing"):
        indexed.export(tmp_path / "out.csv")
    assert indexed.export(tmp_path / "out") == indexed.export(tmp_path / "out") == 4


def test_an_import_is_read_in_pieces(tmp_path: Path, folder: Path, encoder: DualEncoder) -> None:
    """More rows than one transaction and one piece of the file: each commit is reported, and each stays."""
    count = 5_000
    vectors = np.random.default_rng(0).standard_normal((count, encoder.embed_dim)).astype(np.float32)
    source = made_elsewhere(tmp_path / "many.parquet", [f"{i:05d}.jpg" for i in range(count)], list(vectors))
    with open_embeddings(source) as file:
        assert len(list(file.chunks())) == 2
    library = new_library(tmp_path / "new", encoder)
    for report in library.import_(source, root=folder, unseen=True):
        assert report.added == 2_000
        break  # as Ctrl-C does
    assert len(library.photos()) == 2_000
    report = imported(library, source, root=folder, unseen=True)
    assert (report.unchanged, report.added) == (2_000, 3_000)


def test_a_parquet_file_is_closed_when_it_was_read(tmp_path: Path, indexed: PhotoLibrary) -> None:
    indexed.export(tmp_path / "out.parquet")
    with open_embeddings(tmp_path / "out.parquet") as file:
        assert file.count == 4
    with pytest.raises(LibraryError, match="closed file"):
        next(file.chunks())
