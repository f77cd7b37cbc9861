"""Sources at URLs: fetched once into the cache, then read as local ones; what a table from elsewhere may not name."""

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import fsspec
import pytest

from diptych.data.sample import DataError
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


@pytest.fixture
def bucket(tmp_path: Path) -> Iterator[str]:
    """A folder of fsspec's file system in memory, named after the test."""
    url = f"memory://{tmp_path.name}"
    yield url
    fsspec.filesystem("memory").store.clear()


def upload(path: Path, url: str) -> str:
    with fsspec.open(url, "wb") as file:
        file.write(path.read_bytes())
    return url


@contextmanager
def served(folder: Path) -> Iterator[tuple[str, list[str]]]:
    """The address of a folder over HTTP, and the paths that were asked for."""
    asked: list[str] = []

    class Handler(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            asked.append(self.path)

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Handler, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", asked
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def test_shards_in_a_bucket_are_found_by_pattern_and_kept_once_fetched(tmp_path: Path, bucket: str) -> None:
    for shard in range(3):
        upload(write_tar(tmp_path / "x.tar", img2dataset_files(2, first=2 * shard)), f"{bucket}/{shard:03d}.tar")
    source = opened(f"{bucket}/*.tar")
    assert [sample.image for sample in read_all(source)] == [image(number) for number in range(6)]
    upload(write_tar(tmp_path / "x.tar", {"a.jpg": b"a", "a.txt": "another"}), f"{bucket}/000.tar")
    assert captions(opened(bucket))[0] == ("caption 0",)
    fsspec.filesystem("memory").rm(bucket, recursive=True)
    assert captions(opened(f"{bucket}/{{000..002}}.tar"))[5] == ("caption 5",)


def test_parquet_and_class_folders_in_a_bucket_are_read(tmp_path: Path, bucket: str) -> None:
    path = write_parquet(tmp_path / "x.parquet", {"image": [image(0)], "label": ["dog"]})
    assert opened(upload(path, f"{bucket}/shards/x.parquet")).read(0).image == image(0)
    photo = write_images(tmp_path, "a.jpg") / "a.jpg"
    upload(photo, f"{bucket}/classes/polar_bear/a.jpg")
    upload(photo, f"{bucket}/classes/seal/b.jpg")
    source = opened(f"{bucket}/classes")
    assert class_names(source) == [("polar bear",), ("seal",)]
    assert keys(source) == ["polar_bear/a.jpg", "seal/b.jpg"]
    assert source.read(1).image == image(0)


def test_a_table_in_a_bucket_names_images_beside_it_and_no_others(tmp_path: Path, bucket: str) -> None:
    table = tmp_path / "t.csv"
    table.write_text("file,caption\nphotos/a b.jpg,a\n", encoding="utf-8")
    upload(write_images(tmp_path, "a.jpg") / "a.jpg", f"{bucket}/photos/a b.jpg")
    assert opened(upload(table, f"{bucket}/t.csv")).read(0).image == image(0)
    for number, name in enumerate(("/etc/passwd", "../../x.jpg", "file:///etc/passwd", "..\\x.jpg")):
        table.write_text(f"file,caption\n{name},a\n", encoding="utf-8")
        with pytest.raises(DataError, match=r"which is not below memory://.*; remove that row\."):
            opened(upload(table, f"{bucket}/{number}.csv"))


def test_shards_over_http_are_fetched_once(tmp_path: Path) -> None:
    for shard in range(2):
        write_tar(tmp_path / f"{shard}.tar", img2dataset_files(1, first=shard))
    with served(tmp_path) as (address, asked):
        source = opened(f"{address}/{{0..1}}.tar")
        assert [sample.image for sample in read_all(source)] == [image(0), image(1)]
        before = len(asked)
        assert captions(opened(f"{address}/0.tar?download=true")) == [("caption 0",)]
        assert captions(opened(f"{address}/{{0..1}}.tar")) == captions(source)
        assert len(asked) == before + 1
        with pytest.raises(DataError, match=r"^http://127\.0\.0\.1:\d+/gone\.tar: the server answers 404"):
            opened(f"{address}/gone.tar")
        with pytest.raises(DataError, match=r"over http nothing can be listed; write \{000\.\.009\} for a range"):
            opened(f"{address}/[0-9].tar", f"{address}/*.tar")


def test_what_cannot_be_fetched_is_said_in_one_line(bucket: str) -> None:
    with pytest.raises(DataError, match=r"/gone\.tar does not exist; give a file"):
        opened(f"{bucket}/gone.tar")
    with pytest.raises(DataError, match=r"^nosuch://x/a\.tar cannot be opened: Protocol not known: nosuch\.$"):
        opened("nosuch://x/a.tar")


def test_addresses_in_a_table_are_refused_with_what_to_do(tmp_path: Path) -> None:
    table = tmp_path / "t.csv"
    table.write_text("image,caption\nhttps://example.org/a.jpg,a\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"addresses, such as https://example\.org/a\.jpg; fetch the images first"):
        opened(table)
