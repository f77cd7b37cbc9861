"""Catalogues indexed and searched: what their rows are to a library, and how their pictures are read."""

import functools
import io
import json
import threading
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from diptych.checkpoints import load_checkpoint
from diptych.demo.photographs import find_photographs
from diptych.encode.numpy_encoder import NumpyEncoder
from diptych.errors import ImageError
from diptych.library.catalogue_root import CatalogueFile, CatalogueRoot
from diptych.library.field_filters import parse_field_filter
from diptych.library.filters import Filters
from diptych.library.indexing import IndexReport
from diptych.library.library import PhotoLibrary

PRODUCTS: list[dict[str, Any]] = [
    {"sku": "1", "photo": "cat.jpg", "title": "A cat", "price": 19.9, "colour": "grey"},
    {"sku": "2", "photo": "coffee.jpg", "title": "A cup", "price": 5, "colour": "red"},
    {"sku": "3", "photo": "rocket.jpg", "title": "A rocket", "price": 999, "colour": "white"},
]


@pytest.fixture(scope="module")
def encoder() -> NumpyEncoder:
    return NumpyEncoder(load_checkpoint(None, framework="numpy"))


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    names = {path.stem: path for path in find_photographs()}
    for name, picture in {"cat": "chelsea", "coffee": "coffee", "rocket": "rocket"}.items():
        with Image.open(names[picture]) as photograph:
            photograph.resize((160, 120)).save(tmp_path / f"{name}.jpg")
    return tmp_path


@pytest.fixture
def server(photos: Path) -> Iterator[str]:
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(photos))) as http:
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


@pytest.fixture
def library(tmp_path: Path, encoder: NumpyEncoder) -> Iterator[PhotoLibrary]:
    with PhotoLibrary.open(tmp_path / "library", encoder=encoder, create_missing=True) as opened:
        yield opened


def table(folder: Path, products: list[dict[str, Any]]) -> CatalogueRoot:
    path = folder / "products.jsonl"
    path.write_text("".join(json.dumps(each) + "\n" for each in products))
    text_column = "title" if "title" in products[0] else None
    return CatalogueRoot(path=path, image_column="photo", id_column="sku", text_column=text_column)


def files(root: CatalogueRoot) -> list[CatalogueFile]:
    return list(root.open(root.scan().found))


def counts(report: IndexReport) -> tuple[int, int, int, int]:
    return report.encoded, report.failed, report.unchanged, report.forgotten


def test_products_are_found_by_words_among_those_that_pass(library: PhotoLibrary, photos: Path) -> None:
    assert counts(library.index(table(photos, PRODUCTS))) == (3, 0, 0, 0)
    best = library.search("a cat", top=1)[0]
    assert (best.source, best.text) == (str(photos / "cat.jpg"), "A cat")

    def found(*fields: str) -> list[str]:
        filters = Filters(fields=tuple(map(parse_field_filter, fields)))
        return sorted(str(hit.text) for hit in library.search("a cat", filters=filters))

    assert found("price<20") == ["A cat", "A cup"]
    assert found("price<20", "colour!=grey") == ["A cup"]
    assert found("title~ROCK") == ["A rocket"]
    assert found("sku=2") == ["A cup"]


def test_a_changed_row_is_said_anew_and_a_changed_picture_is_encoded_anew(library: PhotoLibrary, photos: Path) -> None:
    library.index(table(photos, PRODUCTS))
    cheaper = [{**each, "price": 1, "title": each["title"].upper()} for each in PRODUCTS[:2]]
    assert counts(library.index(table(photos, cheaper))) == (0, 0, 2, 1)
    cheap = Filters(fields=(parse_field_filter("price=1"),))
    assert sorted(str(hit.text) for hit in library.search("a cat", filters=cheap)) == ["A CAT", "A CUP"]
    (photos / "coffee.jpg").write_bytes((photos / "rocket.jpg").read_bytes())
    assert counts(library.index(table(photos, cheaper))) == (1, 0, 1, 0)


def test_pictures_at_addresses_are_fetched_once(library: PhotoLibrary, photos: Path, server: str) -> None:
    products = [{**each, "photo": f"{server}/{each['photo']}"} for each in PRODUCTS]
    gone = {"sku": "4", "photo": f"{server}/gone.jpg"}
    assert counts(library.index(table(photos, [*products, gone]))) == (3, 1, 0, 0)
    [failure] = library.failures()
    assert failure.reason.startswith("the server answers 404")
    assert counts(library.index(table(photos, [*products, gone]))) == (0, 0, 3, 0)
    Image.new("RGB", (20, 20), "red").save(photos / "red.png")
    elsewhere = [{**products[0], "photo": f"{server}/red.png"}, *products[1:]]
    assert counts(library.index(table(photos, elsewhere))) == (1, 0, 2, 0)
    assert {hit.source for hit in library.search("red")} == {
        f"{server}/{n}" for n in ("red.png", "coffee.jpg", "rocket.jpg")
    }


def test_pictures_in_the_table_are_known_by_their_bytes(library: PhotoLibrary, photos: Path) -> None:
    path = photos / "products.parquet"

    def index(*names: str) -> tuple[int, int, int, int]:
        cells = [{"bytes": (photos / name).read_bytes(), "path": None} for name in names]
        pq.write_table(pa.table({"image": cells, "sku": range(len(names))}), path)
        return counts(library.index(CatalogueRoot(path=path, image_column="image", id_column="sku")))

    assert index("cat.jpg", "coffee.jpg") == (2, 0, 0, 0)
    assert index("cat.jpg", "coffee.jpg") == (0, 0, 2, 0)
    assert index("cat.jpg", "rocket.jpg") == (1, 0, 1, 0)


def test_what_is_found_says_when_a_picture_changes(photos: Path, server: str) -> None:
    root = table(photos, [{"sku": "a", "photo": "cat.jpg"}, {"sku": "b", "photo": f"{server}/cat.jpg"}])
    local, remote = root.scan().found
    status = (photos / "cat.jpg").stat()
    assert (local.path, local.size, local.mtime_ns) == ("a", status.st_size, status.st_mtime_ns)
    assert (remote.path, remote.size, remote.source) == ("b", 0, f"{server}/cat.jpg")
    moved = table(photos, [{"sku": "b", "photo": f"{server}/coffee.jpg"}]).scan().found[0]
    assert moved.mtime_ns != remote.mtime_ns


def test_a_file_gives_its_bytes_their_hash_and_their_facts(photos: Path, server: str) -> None:
    root = table(photos, [{"sku": "a", "photo": "cat.jpg"}, {"sku": "b", "photo": f"{server}/cat.jpg"}])
    local, remote = files(root)
    data = (photos / "cat.jpg").read_bytes()
    assert local.read() == remote.read() == data
    assert local.hash == remote.hash
    assert local.facts == remote.facts
    assert local.facts is not None
    assert (local.facts.width, local.facts.height, local.facts.format) == (160, 120, "JPEG")
    other = CatalogueFile(next(iter(root._catalogue())), root.path)
    other.identify()
    assert (other.hash, other.facts) == (local.hash, None)


def test_a_file_that_was_written_to_since_has_the_size_that_was_read(photos: Path) -> None:
    [file] = files(table(photos, PRODUCTS[:1]))
    stream = io.BytesIO()
    Image.new("RGB", (10, 10)).save(stream, "PNG")
    (photos / "cat.jpg").write_bytes(stream.getvalue())
    file.read()
    assert (file.found.path, file.found.size, file.found.text) == ("1", len(stream.getvalue()), "A cat")


def test_a_picture_that_is_not_there_is_a_failure_until_it_comes(library: PhotoLibrary, photos: Path) -> None:
    (photos / "cat.jpg").rename(photos / "elsewhere")
    products = [*PRODUCTS, {"sku": "x", "photo": "a" * 5_000}]
    assert counts(library.index(table(photos, products))) == (2, 2, 0, 0)
    assert sorted(failure.reason for failure in library.failures()) == [
        "file name too long",
        "no such file or directory",
    ]
    (photos / "elsewhere").rename(photos / "cat.jpg")
    assert counts(library.index(table(photos, PRODUCTS))) == (1, 0, 2, 0)


def test_faults_are_reported_and_stop_nothing(library: PhotoLibrary, photos: Path) -> None:
    report = library.index(table(photos, [*PRODUCTS, PRODUCTS[0], {"sku": "5"}]))
    assert report.encoded == 3
    assert report.faults == ["row 4: its key '1' is that of row 1", "row 5: it names no picture"]


def test_an_address_that_gives_nothing_is_an_image_error(photos: Path, server: str) -> None:
    [file] = files(table(photos, [{"sku": "1", "photo": f"{server}/gone.jpg"}]))
    with pytest.raises(ImageError, match=r"/gone\.jpg: the server answers 404"):
        file.read()


def test_a_root_comes_back_from_its_settings(tmp_path: Path) -> None:
    root = table(tmp_path, PRODUCTS)
    assert CatalogueRoot.from_settings(root.path, root.settings) == root


def test_a_row_of_another_key_says_its_own_of_a_known_picture(library: PhotoLibrary, photos: Path) -> None:
    library.index(table(photos, PRODUCTS))
    number = library.search("a cat", top=1)[0].id
    renamed = {**PRODUCTS[0], "sku": "1-b", "title": "A kitten", "price": 3}
    assert library.index(table(photos, [renamed, *PRODUCTS[1:]])).moved == 1
    [hit] = library.search("a cat", filters=Filters(fields=(parse_field_filter("price=3"),)))
    assert (hit.id, hit.text, hit.source) == (number, "A kitten", str(photos / "cat.jpg"))
    again = {**renamed, "sku": "1-c", "title": "Another kitten", "price": 4}
    assert library.index(table(photos, [renamed, again, *PRODUCTS[1:]])).copied == 1
    cheap = library.search("a cat", filters=Filters(fields=(parse_field_filter("price<5"),)))
    assert sorted(str(hit.text) for hit in cheap) == ["A kitten", "Another kitten"]
