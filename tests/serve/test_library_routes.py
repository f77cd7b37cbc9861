"""What the server says of its library: roots by name, what filters may ask for, failures; and a library that goes."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from diptych.library.catalogue_root import CatalogueRoot
from diptych.library.paths import Source
from diptych.library.roots import FolderRoot, Root
from diptych.serve.problems import Problem
from diptych.serve.root_names import RootNames
from serve_command import ServeCommand, StartServer
from served_photos import index, write_holiday, write_photo

ALBUM, FIRST, SECOND = Path("/srv/my photos/album"), Path("/mnt/a/holiday"), Path("/mnt/b/holiday")
TABLE = CatalogueRoot(path=Path("/srv/shop/products.csv"), image_column="photo")


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("place")
    holiday = write_holiday(place / "a/holiday")
    (holiday / "broken.jpg").write_text("no picture")
    write_photo(place / "b/holiday/mug.jpg", "coffee")
    (place / "products.csv").write_text("photo,price\nb/holiday/mug.jpg,5\n")
    (place / "new").mkdir()
    index(
        place / "library",
        holiday,
        place / "b/holiday",
        CatalogueRoot(path=place / "products.csv", image_column="photo"),
    )
    return place


@pytest.fixture(scope="module")
def client(place: Path) -> Iterator[httpx.Client]:
    options = (
        "--library",
        place / "library",
        "--root",
        f"new={place / 'new'}",
        "--root",
        f"second={place / 'b/holiday'}",
    )
    with ServeCommand(*options) as server, httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        yield client


def test_a_library_says_what_it_holds(client: httpx.Client) -> None:
    library = client.get("/v1/library").json()
    assert (library["photos"], library["model"], library["has_vectors"], library["job"]) == (9, "postcard", True, None)
    assert library["formats"] == ["JPEG", "PNG"]
    assert library["fields"] == ["price"]
    assert library["cameras"] == ["Canon EOS R5", "Leica Q3"]
    roots = {root["name"]: (root["kind"], root["photos"], root["failures"]) for root in library["roots"]}
    assert roots == {
        "new": ("folder", 0, 0),
        "second": ("folder", 1, 0),
        "holiday": ("folder", 7, 1),
        "products.csv": ("table", 1, 0),
    }
    assert {root["name"] for root in library["roots"] if root["scanned_at"] is None} == {"new"}


def test_failures_are_told_by_page_and_without_paths(client: httpx.Client, place: Path) -> None:
    answer = client.get("/v1/library/failures")
    assert answer.json()["total"] == 1
    (failure,) = answer.json()["failures"]
    assert (failure["root"], failure["name"]) == ("holiday", "broken.jpg")
    assert "not an image" in failure["reason"]
    assert str(place) not in answer.text
    assert client.get("/v1/library/failures", params={"skip": 1}).json() == {"failures": [], "total": 1}
    assert client.get("/v1/library/failures", params={"top": 0}).status_code == 422


def test_a_library_that_goes_is_said_and_one_that_comes_back_is_used(start_server: StartServer, tmp_path: Path) -> None:
    write_photo(tmp_path / "photos/one.jpg", "coffee")
    library = index(tmp_path / "library", tmp_path / "photos")
    server = start_server("--library", library)
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        assert client.get("/v1/library").json()["photos"] == 1
        shutil.move(library, tmp_path / "elsewhere")
        for path in ("/v1/library", "/v1/photos/1", "/v1/photos/1/original"):
            answer = client.get(path)
            assert (answer.status_code, answer.json()["type"]) == (503, "urn:diptych:problem:library-unusable")
            assert str(tmp_path) not in answer.text
        assert json.loads(server.wait_for("There is no library").string)["event"] == "error"
        assert client.post("/v1/search", json={"query": "a cup"}).status_code == 503
        assert client.get("/healthz").status_code == client.get("/readyz").status_code == 200
        write_photo(tmp_path / "photos/two.jpg", "chelsea")
        index(library, tmp_path / "photos")
        assert len(client.post("/v1/search", json={"query": "a cup"}).json()["hits"]) == 2


def test_photos_of_another_process_are_found_without_a_restart(start_server: StartServer, tmp_path: Path) -> None:
    write_photo(tmp_path / "photos/one.jpg", "coffee")
    library = index(tmp_path / "library", tmp_path / "photos")
    with httpx.Client(base_url=start_server("--library", library).url, timeout=60, trust_env=False) as client:
        for _ in range(8):  # so that each of its threads has the photos as they were
            assert len(client.post("/v1/search", json={"query": "a cat"}).json()["hits"]) == 1
        write_photo(tmp_path / "photos/two.jpg", "chelsea")
        index(library, tmp_path / "photos")
        for _ in range(8):
            hits = client.post("/v1/search", json={"query": "a cat"}).json()["hits"]
            assert [hit["name"] for hit in hits] == ["two.jpg", "one.jpg"]


def test_roots_of_one_name_are_told_apart() -> None:
    known: list[Root] = [FolderRoot(path=FIRST), FolderRoot(path=SECOND), TABLE]
    names = RootNames({"album": ALBUM}, known)
    assert {root.name: root.path for root in names} == {
        "album": ALBUM,
        "holiday": FIRST,
        "holiday-2": SECOND,
        "products.csv": TABLE.path,
    }
    assert names.find("holiday-2").known == known[1]
    assert names.find("album").known is None
    with pytest.raises(Problem, match="There is no root '/etc'; those that there are: album, holiday, holiday-2, p"):
        names.find("/etc")


@pytest.mark.parametrize(
    ("root", "name", "text", "shown"),
    [
        (FIRST, "2024/a.jpg", None, ("holiday", "2024/a.jpg")),
        (FIRST, "best/a.jpg", None, ("best", "a.jpg")),  # the nearest that has a name
        (FIRST, "b\udcff.jpg", None, ("holiday", "b?.jpg")),
        (TABLE.path, "sku 7", "/mnt/secret/7.jpg", ("products.csv", "sku 7")),
        (TABLE.path, "/mnt/secret/7.jpg", "/mnt/secret/7.jpg", ("products.csv", "7.jpg")),
        (TABLE.path, "file:///mnt/7.jpg", "/mnt/7.jpg", ("products.csv", "7.jpg")),
        (TABLE.path, "https://a.example/7.jpg", "https://a.example/7.jpg", ("products.csv", "https://a.example/7.jpg")),
        (Path("/mnt/new"), "a.jpg", None, ("new", "a.jpg")),  # which came a moment ago
    ],
)
def test_a_photo_s_place_is_its_name_in_its_root(
    root: Path, name: str, text: str | None, shown: tuple[str, str]
) -> None:
    names = RootNames({"best": FIRST / "best"}, [FolderRoot(path=FIRST), TABLE])
    source = Source(text or f"{root}/{name}", is_file=True, root=str(root), name=name)
    assert names.place(source) == shown


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("/srv/my photos/album/a b.jpg: no such file", "album/a b.jpg: no such file"),
        ("There is no folder /home/someone/pictures.", "There is no folder pictures."),
        ("https://a.example/b/c.jpg: 404", "https://a.example/b/c.jpg: 404"),
        ("cannot read 1/2 of it", "cannot read 1/2 of it"),
        ("'/var/lib/x.db' (file:///etc/passwd)", "'x.db' (passwd)"),
    ],
)
def test_messages_name_no_path(message: str, shown: str) -> None:
    assert RootNames({"album": ALBUM}, []).without_paths(message) == shown
