"""Tar shards and Parquet files: what is read from them, in which order, and what is kept for the next time."""

import json
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from diptych.data.readers import image_bytes
from diptych.data.sample import DataError, SampleError, Texts
from diptych.data.shards import ShardWriter
from diptych.files import cache_dir
from pairs_on_disk import (
    captions,
    class_names,
    image,
    img2dataset_files,
    keys,
    opened,
    read_all,
    write_images,
    write_parquet,
    write_tar,
)

CAT_OR_DOG = {"label": {"names": ["tabby cat", "dog"], "_type": "ClassLabel"}}


def test_img2dataset_shards_give_their_pairs_in_order(tmp_path: Path) -> None:
    write_tar(tmp_path / "00001.tar", img2dataset_files(3, first=3))
    write_tar(tmp_path / "00000.tar", img2dataset_files(3))
    source = opened(tmp_path)
    assert source.name == tmp_path.name
    assert [sample.image for sample in read_all(source)] == [image(number) for number in range(6)]
    assert captions(source) == [(f"caption {number}",) for number in range(6)]
    assert source.read(5).key == source.key(5) == "000000005"


def test_our_own_shards_are_read_back(tmp_path: Path) -> None:
    texts = [Texts(captions=("a", "b", "a")), Texts(class_names=("dog", "animal")), Texts(captions=("Käse 🧀",))]
    with ShardWriter(tmp_path, 2) as writer:
        written = [writer.write(image(number), text, {"width": 3}) for number, text in enumerate(texts)]
    source = opened(tmp_path)
    assert [source.texts(number) for number in range(3)] == texts
    assert keys(source) == written


def test_a_key_ends_at_the_first_dot_of_the_files_own_name(tmp_path: Path) -> None:
    files = {"v1.5/a.seg.png": b"mask", "v1.5/a.jpg": image(0), "v1.5/a.txt": "one", "v1.5/.hidden.jpg": b"x"}
    source = opened(write_tar(tmp_path / "x.tar", files))
    assert keys(source) == ["v1.5/a"]
    assert source.read(0).image == image(0)


def test_files_of_a_key_may_lie_apart_and_a_second_image_is_another_pair(tmp_path: Path) -> None:
    files = {"a.JPG": image(0), "b.webp": image(1), "b.txt": "b", "a.txt": "a"}
    source = opened(write_tar(tmp_path / "x.tar", files))
    assert [sample.texts.captions for sample in read_all(source)] == [("a",), ("b",)]

    repeated = {"a.jpg": image(0), "a.txt": "one", "./a.jpg": image(1), "a.png": image(2)}
    assert keys(opened(write_tar(tmp_path / "y.tar", repeated))) == ["a", "a#2", "a#3"]


@pytest.mark.parametrize(
    ("record", "txt", "expected"),
    [
        ({"captions": ["one", " ", "two", "one"]}, None, ("one", "two", "one")),
        ({"caption": "one"}, " one\n", ("one",)),
        ({"caption": None}, "one\ntwo", ("one\ntwo",)),
        ({"caption": "one"}, "two", ("one", "two")),
        ({"caption_0": "one", "caption_1": "two"}, None, ("one", "two")),
        ({"TEXT": "half a pair \ud83d"}, None, ("half a pair ?",)),
    ],
)
def test_captions_of_the_json_come_before_that_of_the_txt(
    tmp_path: Path, record: dict[str, object], txt: str | None, expected: tuple[str, ...]
) -> None:
    files: dict[str, bytes | str] = {"a.jpg": image(0), "a.json": json.dumps(record)}
    source = opened(write_tar(tmp_path / "x.tar", files if txt is None else {**files, "a.txt": txt}))
    assert captions(source) == [expected]


def test_caption_columns_name_what_is_read_of_a_tar(tmp_path: Path) -> None:
    record = json.dumps({"caption": "alt text", "blip": "a red kite"})
    path = write_tar(tmp_path / "x.tar", {"a.jpg": image(0), "a.json": record, "a.txt": "alt text"})
    assert captions(opened(path, caption_column="blip")) == [("a red kite",)]
    assert captions(opened(path, caption_column=("txt", "blip"))) == [("alt text", "a red kite")]
    with pytest.raises(DataError, match=r"no column 'blib' \(caption_column\); did you mean 'blip'\? It has: caption"):
        opened(path, caption_column="blib")


def test_class_numbers_are_named_by_a_class_file_above(tmp_path: Path) -> None:
    files = {"a.webp": image(0), "a.cls": "1", "b.webp": image(1), "b.cls": "0"}
    path = write_tar(tmp_path / "test" / "0.tar", files)
    with pytest.raises(DataError, match=r"numbers for classes; put the names into a classes\.txt"):
        opened(path)
    (tmp_path / "classnames.txt").write_text("tench, Tinca tinca\ngoldfish\n", encoding="utf-8")
    assert class_names(opened(path)) == [("goldfish",), ("tench", "Tinca tinca")]


def test_keys_that_several_shards_share_get_the_shards_name(tmp_path: Path) -> None:
    for name in ("a/0", "a/1", "b/0"):
        write_tar(tmp_path / f"{name}.tar", img2dataset_files(1))
    source = opened(tmp_path / "a" / "0.tar", tmp_path / "a" / "1.tar", tmp_path / "b" / "0.tar")
    assert keys(source) == ["a/0/000000000", "a/1/000000000", "b/0/000000000"]


@pytest.mark.parametrize("is_struct", [True, False])
def test_parquet_images_are_structs_or_plain_binary(tmp_path: Path, is_struct: bool) -> None:
    cells = [{"bytes": image(i), "path": f"{i}.jpg"} for i in range(5)] if is_struct else [image(i) for i in range(5)]
    columns = {"image": cells, "label": [0, 1, 1, 0, -1], "text": ["a", "b", "", "d", None]}
    source = opened(write_parquet(tmp_path / "x.parquet", columns, CAT_OR_DOG))
    assert captions(source) == [("a",), ("b",), (), ("d",), ()]
    assert class_names(source) == [("tabby cat",), ("dog",), ("dog",), ("tabby cat",), ()]
    assert [source.read(number).image for number in range(4)] == [image(number) for number in range(4)]
    with pytest.raises(SampleError, match=r"^x/00000004 has neither a caption nor a class\.$"):
        source.read(4)


def test_lists_of_captions_and_numbered_columns_are_read(tmp_path: Path) -> None:
    listed = write_parquet(tmp_path / "a.parquet", {"jpg": [image(0)], "captions": [["one", "two"]], "key": ["k"]})
    assert captions(opened(listed)) == [("one", "two")]
    assert keys(opened(listed)) == ["k"]
    numbered = write_parquet(tmp_path / "b.parquet", {"img": [image(0)], "caption_0": ["one"], "caption_1": ["two"]})
    assert captions(opened(numbered)) == [("one", "two")]


def test_dictionaries_of_words_are_class_names(tmp_path: Path) -> None:
    words = pa.array(["dog", "cat", "dog"]).dictionary_encode()
    source = opened(write_parquet(tmp_path / "x.parquet", {"image": [image(i) for i in range(3)], "label": words}))
    assert class_names(source) == [("dog",), ("cat",), ("dog",)]


TEXT = ["one", "two", "one"]


@pytest.mark.parametrize(
    "column",
    [
        pa.array(TEXT, pa.large_string()),
        pa.array(TEXT, pa.string_view()),
        pa.array(TEXT).dictionary_encode(),
        pa.array([[text] for text in TEXT], pa.large_list(pa.large_string())),
        pa.array([[text] for text in TEXT], pa.list_(pa.string_view())),
        pa.array([[text] for text in TEXT], pa.list_view(pa.string())),
        pa.array([[text] for text in TEXT], pa.list_(pa.string(), 1)),
        pa.array([[[text]] for text in TEXT]),
    ],
    ids=lambda column: str(column.type),
)
def test_captions_are_read_from_every_kind_of_text(tmp_path: Path, column: pa.Array) -> None:
    path = write_parquet(tmp_path / "x.parquet", {"image": [image(i) for i in range(3)], "caption": column})
    assert captions(opened(path)) == [("one",), ("two",), ("one",)]


@pytest.mark.parametrize(
    "type_", [pa.large_binary(), pa.binary_view(), pa.dictionary(pa.int32(), pa.binary())], ids=str
)
@pytest.mark.parametrize("is_struct", [False, True])
def test_images_are_read_from_every_kind_of_bytes(tmp_path: Path, type_: pa.DataType, is_struct: bool) -> None:
    column = pa.array([image(0), image(1)], pa.binary()).cast(type_)
    if is_struct:
        column = pa.StructArray.from_arrays([column], names=["bytes"])
    source = opened(write_parquet(tmp_path / "x.parquet", {"image": column, "text": ["a", "b"]}))
    assert [sample.image for sample in read_all(source)] == [image(0), image(1)]


def test_columns_may_have_dots_in_their_names(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", {"jpg.bytes": [image(0)], "a.text": ["one"]})
    source = opened(path, image_column="jpg.bytes", caption_column="a.text")
    assert (source.read(0).image, captions(source)) == (image(0), [("one",)])


def test_a_caption_column_of_numbers_does_not_hide_one_of_text(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", {"image": [image(0)], "title": [7], "description": ["one"]})
    assert captions(opened(path)) == [("one",)]


@pytest.mark.parametrize("names", ["[" * 100_000, '{"info": {"features": {"label": {"names": 5}}}}', "[]", "5", "{"])
def test_metadata_that_hugging_face_would_not_write_is_passed_over(tmp_path: Path, names: str) -> None:
    table = pa.table({"image": [image(0)], "label": ["cat"]}).replace_schema_metadata({b"huggingface": names.encode()})
    pq.write_table(table, tmp_path / "x.parquet")
    assert class_names(opened(tmp_path / "x.parquet")) == [("cat",)]


def test_an_image_column_of_any_name_is_found_if_it_is_the_only_one_or_named(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", {"scan": [image(0)], "text": ["a"]})
    assert opened(path).read(0).image == image(0)
    two = write_parquet(tmp_path / "y.parquet", {"scan": [image(0)], "mask": [image(1)], "text": ["a"]})
    assert opened(two, image_column="mask").read(0).image == image(1)
    with pytest.raises(DataError, match="no column of image bytes: name it with image_column"):
        opened(two, format="parquet")


def test_several_parquet_files_are_one_source(tmp_path: Path) -> None:
    for shard in range(3):
        columns = {"image": [image(2 * shard), image(2 * shard + 1)], "text": ["a", "b"]}
        write_parquet(tmp_path / f"train-{shard:05d}-of-00003.parquet", columns)
    source = opened(tmp_path / "train-{00000..00002}-of-00003.parquet")
    assert [sample.image for sample in read_all(source)] == [image(number) for number in range(6)]
    assert keys(source)[3] == "train-00001-of-00003/00000001"


def test_a_source_pickles_small_and_reads_in_threads_and_after(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(image_bytes, "_OPEN_FILES", 2)
    for shard in range(5):
        write_tar(tmp_path / f"{shard:05d}.tar", img2dataset_files(28, first=28 * shard))
    source = opened(tmp_path)
    with ThreadPoolExecutor(8) as pool:
        images = list(pool.map(lambda number: source.read(number * 37 % 140).image, range(140)))
    assert images == [image(number * 37 % 140) for number in range(140)]
    packed = pickle.dumps(source)
    assert len(packed) < 1_500
    assert read_all(pickle.loads(packed)) == read_all(source)


def test_a_second_open_reads_nothing_and_a_changed_shard_is_indexed_again(tmp_path: Path) -> None:
    path = write_parquet(tmp_path / "x.parquet", {"image": [image(0)], "text": ["before"]})
    opened(path)
    kept = {file: file.stat().st_mtime_ns for file in cache_dir("data").iterdir()}
    assert captions(opened(path)) == [("before",)]
    assert {file: file.stat().st_mtime_ns for file in cache_dir("data").iterdir()} == kept
    write_parquet(path, {"image": [image(1)], "text": ["after it"]})
    assert captions(opened(path)) == [("after it",)]
    assert opened(path).read(0).image == image(1)


def test_images_that_were_deleted_from_the_cache_are_unpacked_again(tmp_path: Path) -> None:
    for shard in range(2):
        write_parquet(tmp_path / f"{shard}.parquet", {"image": [image(shard)], "text": ["a"]})
    opened(tmp_path)
    for file in cache_dir("data").glob("*.images"):
        file.unlink()
    assert [sample.image for sample in read_all(opened(tmp_path))] == [image(0), image(1)]


def test_a_shard_that_is_replaced_while_it_is_read_gives_bad_samples_and_no_wrong_ones(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "x.tar", img2dataset_files(2))
    source = opened(path)
    written = path.stat()
    write_tar(path, {"b.jpg": image(9), "b.txt": "b"})  # of the same size
    os.utime(path, ns=(written.st_atime_ns, written.st_mtime_ns + 1))  # the clock of files may not have ticked yet
    with pytest.raises(SampleError, match=r"^x/000000001 cannot be read: .* has changed since it was indexed"):
        source.read(1)


def test_the_facts_that_img2dataset_puts_beside_its_tars_are_not_the_data(tmp_path: Path) -> None:
    write_tar(tmp_path / "00000.tar", img2dataset_files(2))
    write_parquet(tmp_path / "00000.parquet", {"url": ["u", "v"], "caption": ["a", "b"]})
    (tmp_path / "00000_stats.json").write_text("{}", encoding="utf-8")
    assert len(opened(tmp_path)) == 2


def test_a_parquet_file_of_file_names_is_a_table(tmp_path: Path) -> None:
    write_images(tmp_path, "a.jpg", "b.jpg")
    path = write_parquet(tmp_path / "x.parquet", {"file_name": ["b.jpg", "a.jpg"], "label": [1, 0]}, CAT_OR_DOG)
    source = opened(path)
    assert [sample.image for sample in read_all(source)] == [image(1), image(0)]
    assert class_names(source) == [("dog",), ("tabby cat",)]
