"""Photos served by number alone: their facts, small pictures and files, and nothing that lies elsewhere."""

import io
import json
import os
import shutil
import time
from collections.abc import Iterator
from fnmatch import fnmatch
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import av
import httpx
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from diptych.library.catalogue_root import CatalogueRoot
from serve_command import ServeCommand
from served_photos import index, open_library, photograph, write_holiday, write_photo


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folders and tables of all kinds, and a library of them."""
    place = tmp_path_factory.mktemp("place")
    holiday = write_holiday(place / "holiday")
    write_video(holiday / "film.mp4")
    Image.new("RGB", (30, 20), "teal").save(holiday / "odd.ppm")
    shutil.copy(holiday / "coffee.jpg", holiday / 'a "quoted" näme;.jpg')
    write_photo(place / "outside/secret.jpg", "hubble_deep_field")
    write_photo(place / "shop/mug.jpg", "brick")
    write_photo(place / "forgotten/one.jpg", "coffee")
    (place / "shop/products.csv").write_text("photo\nmug.jpg\n../outside/secret.jpg\n")
    pq.write_table(pa.table({"image": [photograph("moon")], "title": ["The moon"]}), place / "shop/embedded.parquet")
    with web_server(place / "outside") as address:
        (place / "web.csv").write_text(f"photo\n{address}/secret.jpg\n")
        tables = {"shop/products.csv": "photo", "shop/embedded.parquet": "image", "web.csv": "photo"}
        roots = [CatalogueRoot(path=place / name, image_column=column) for name, column in tables.items()]
        index(place / "library", holiday, place / "forgotten", *roots)
    return place


class web_server:  # noqa: N801 (used as a function)
    """Serves a folder while pictures are indexed from it."""

    def __init__(self, folder: Path) -> None:
        class Quiet(SimpleHTTPRequestHandler):
            def log_message(self, *_: object) -> None:
                pass

        self._http = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
        self._thread = Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> str:
        self._thread.start()
        return f"http://127.0.0.1:{self._http.server_port}"

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()


def write_video(path: Path) -> None:
    """Four seconds that go from dark to light."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 128, 96, "yuv420p"
        for number in range(40):
            frame = av.VideoFrame.from_ndarray(np.full((96, 128, 3), 6 * number, np.uint8))
            container.mux(stream.encode(frame))
        container.mux(stream.encode())


@pytest.fixture(scope="module")
def client(place: Path) -> Iterator[httpx.Client]:
    with (
        ServeCommand("--library", place / "library") as server,
        httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client,
    ):
        yield client


@pytest.fixture(scope="module")
def ids(place: Path) -> dict[str, int]:
    """The number of each photo by its path within `place`, or in its table."""
    with open_library(place / "library") as library:
        return {photo["path"].removeprefix(f"{place}/"): photo["id"] for photo in library.photos()}


def picture(response: httpx.Response) -> Image.Image:
    assert (response.status_code, response.headers["content-type"]) == (200, "image/jpeg"), response.text
    return Image.open(io.BytesIO(response.content))


def refused(response: httpx.Response) -> tuple[int, str]:
    assert response.headers["content-type"] == "application/problem+json", response.content
    return response.status_code, response.json()["type"].removeprefix("urn:diptych:problem:")


def test_a_photo_says_what_is_known_of_it(client: httpx.Client, ids: dict[str, int], place: Path) -> None:
    photo = client.get(f"/v1/photos/{ids['holiday/animals/cat.jpg']}").json()
    assert (photo["root"], photo["name"], photo["format"]) == ("holiday", "animals/cat.jpg", "JPEG")
    assert (photo["camera"], photo["taken_at"]) == ("Leica Q3", "2024-05-31T18:20:05")
    assert (photo["latitude"], photo["longitude"]) == pytest.approx((48.86, 2.35))
    assert photo["size"] == (place / "holiday/animals/cat.jpg").stat().st_size
    in_table = client.get(f"/v1/photos/{ids['shop/embedded.parquet#1']}").json()
    assert (in_table["root"], in_table["name"], in_table["fields"]) == ("embedded.parquet", "1", {"title": "The moon"})


@pytest.mark.parametrize("side", [256, 512, 1024, 2048])
def test_a_small_picture_fits_the_side_and_tells_nothing_else(
    client: httpx.Client, ids: dict[str, int], side: int
) -> None:
    response = client.get(f"/v1/photos/{ids['holiday/temple.jpg']}/thumbnail", params={"side": side})
    image = picture(response)
    assert image.size == (min(side, 640), min(side, 640) * 3 // 4)
    assert not image.getexif()
    assert b"Canon" not in response.content


def test_a_browser_keeps_small_pictures_and_files_to_itself(client: httpx.Client, ids: dict[str, int]) -> None:
    for path in ("thumbnail", "original"):
        url = f"/v1/photos/{ids['holiday/coffee.jpg']}/{path}"
        first = client.get(url)
        assert first.headers["cache-control"].startswith("private")
        again = client.get(url, headers={"If-None-Match": f'"else", {first.headers["etag"]}'})
        assert (again.status_code, again.content) == (304, b"")
        assert client.get(url, headers={"If-None-Match": '"else"'}).status_code == 200


def test_the_file_comes_whole_or_in_parts(client: httpx.Client, ids: dict[str, int], place: Path) -> None:
    content = (place / "holiday/coffee.jpg").read_bytes()
    url = f"/v1/photos/{ids['holiday/coffee.jpg']}/original"
    whole = client.get(url)
    assert whole.content == content
    assert whole.headers["content-type"] == "image/jpeg"
    assert whole.headers["content-disposition"] == 'inline; filename="coffee.jpg"'
    assert "sandbox" in whole.headers["content-security-policy"]
    assert whole.headers["x-content-type-options"] == "nosniff"
    part = client.get(url, headers={"Range": "bytes=10-19"})
    assert (part.status_code, part.content) == (206, content[10:20])
    beyond = client.get(url, headers={"Range": f"bytes={len(content)}-"})
    assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{len(content)}")
    assert beyond.json()["type"] == "urn:diptych:problem:no-such-range"
    for odd in ("lines=1-2", "bytes=", "bytes=5-3", "bytes=a-b"):  # RFC 9110: as if it were not there
        whole = client.get(url, headers={"Range": odd})
        assert (whole.status_code, whole.content) == (200, content)
    film = client.get(f"/v1/photos/{ids['holiday/film.mp4']}/original", headers={"Range": "bytes=-5"})
    assert (film.headers["content-type"], film.content) == ("video/mp4", (place / "holiday/film.mp4").read_bytes()[-5:])


def test_a_name_and_a_format_can_do_no_harm_in_a_browser(client: httpx.Client, ids: dict[str, int]) -> None:
    odd = client.get(f"/v1/photos/{ids['holiday/odd.ppm']}/original")
    assert odd.headers["content-type"] == "application/octet-stream"
    assert odd.headers["content-disposition"] == 'attachment; filename="odd.ppm"'
    (name,) = (name for name in ids if "quoted" in name)
    quoted = client.get(f"/v1/photos/{ids[name]}/original")
    assert quoted.headers["content-disposition"] == "inline; filename*=utf-8''a%20%22quoted%22%20n%C3%A4me%3B.jpg"


@pytest.mark.parametrize(
    ("name", "path", "headers", "status", "kind"),
    [
        ("holiday/coffee.jpg", "original", {}, 200, "image/jpeg"),
        ("holiday/film.mp4", "original", {}, 200, "video/mp4"),
        ("holiday/odd.ppm", "original", {}, 200, "application/octet-stream"),
        ("holiday/odd.ppm", "original", {"Range": "bytes=0-9"}, 206, "application/octet-stream"),
        ("holiday/coffee.jpg", "original", {"Range": "bytes=0-9,20-29"}, 206, "multipart/byteranges"),
        ("holiday/coffee.jpg", "original", {"Range": "bytes=99999999-"}, 416, "application/problem+json"),
        ("holiday/coffee.jpg", "original", {"If-None-Match": "ETag"}, 304, None),
        ("holiday/coffee.jpg", "original", {"If-Range": "ETag", "Range": "bytes=0-9"}, 206, "image/jpeg"),
        ("holiday/coffee.jpg", "original", {"If-Range": '"else"', "Range": "bytes=0-9"}, 200, "image/jpeg"),
        ("holiday/coffee.jpg", "thumbnail", {}, 200, "image/jpeg"),
        ("holiday/coffee.jpg", "thumbnail", {"If-None-Match": "ETag"}, 304, None),
    ],
)
def test_openapi_has_every_answer_of_a_small_picture_and_of_a_file(
    client: httpx.Client,
    ids: dict[str, int],
    name: str,
    path: str,
    headers: dict[str, str],
    status: int,
    kind: str | None,
) -> None:
    url = f"/v1/photos/{ids[name]}/{path}"
    etag = client.get(url).headers["etag"]
    answer = client.get(url, headers={key: etag if value == "ETag" else value for key, value in headers.items()})
    assert (answer.status_code, answer.headers.get("content-type", "none").partition(";")[0]) == (
        status,
        kind or "none",
    )
    described = client.get("/openapi.json").json()["paths"][f"/v1/photos/{{id}}/{path}"]["get"]
    said = described["responses"][str(status)]
    assert any(fnmatch(kind, each) for each in said["content"]) if kind else "content" not in said
    assert {each.lower() for each in said["headers"]} <= set(answer.headers)
    assert set(headers) <= {each["name"] for each in described["parameters"] if each["in"] == "header"}


def test_a_video_shows_the_moments_that_were_looked_at(client: httpx.Client, ids: dict[str, int]) -> None:
    url = f"/v1/photos/{ids['holiday/film.mp4']}"
    film = client.get(url).json()
    assert film["seconds"] == pytest.approx(4, abs=0.2)
    light = [
        np.asarray(picture(client.get(f"{url}/thumbnail", params={"second": moment}))).mean()
        for moment in film["moments"]
    ]
    assert len(light) == 3
    assert light == sorted(light)
    assert light[-1] > light[0] + 50
    assert refused(client.get(f"{url}/thumbnail?second=1.234567")) == (404, "no-such-moment")
    assert refused(client.get(f"/v1/photos/{ids['holiday/coffee.jpg']}/thumbnail?second=1")) == (404, "no-such-moment")
    assert client.get(f"{url}/thumbnail").status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        *("/v1/photos/../../etc/passwd", "/v1/photos/%2e%2e/%2e%2e/etc/passwd/original", "/v1/photos/1%2f..%2f2"),
        *("/v1/photos//etc/passwd/original", "/v1/photos/1%00/original", "/v1/photos/1;2/original", "/v1/photos/+1x"),
        *("/v1/photos/0", "/v1/photos/-1/original", f"/v1/photos/{2**63}/thumbnail", f"/v1/photos/{10**4000}"),
        *("/v1/photos/1/thumbnail?side=257", "/v1/photos/1/thumbnail?side=-1", "/v1/photos/1/thumbnail?second=nan"),
        *("/v1/photos/1/thumbnail?side=../256", "/v1/photos/1/original/../../../etc/passwd", "/v1/photos/passwd"),
        *("/v1/photos/999999", f"/v1/photos/{2**63 - 1}/original", "/v1/photos/999999/thumbnail"),
    ],
)
def test_no_address_leads_to_a_file_but_a_photo_s_number(client: httpx.Client, path: str) -> None:
    url = httpx.URL(client.base_url).copy_with(raw_path=path.encode())
    response = client.send(client.build_request("GET", url))
    assert response.status_code in (404, 422)
    assert response.headers["content-type"] == "application/problem+json"
    assert b"root:" not in response.content


def test_a_link_to_elsewhere_is_refused_whatever_it_stands_for(
    client: httpx.Client, ids: dict[str, int], place: Path
) -> None:
    file, url = place / "holiday/people/astronaut.png", f"/v1/photos/{ids['holiday/people/astronaut.png']}"
    before = file.rename(place / "astronaut.png")
    for target in (place / "outside/secret.jpg", Path("/etc/passwd"), before):
        file.symlink_to(target)
        assert refused(client.get(f"{url}/original")) == (403, "file-elsewhere"), target
        assert refused(client.get(f"{url}/thumbnail?side=1024")) == (403, "file-elsewhere")
        file.unlink()
    file.parent.rmdir()
    (place / "outside/astronaut.png").write_bytes(before.read_bytes())
    file.parent.symlink_to(place / "outside", target_is_directory=True)
    assert refused(client.get(f"{url}/original")) == (403, "file-elsewhere")
    assert refused(client.get(f"{url}/thumbnail?side=1024")) == (403, "file-elsewhere")
    file.parent.unlink()
    file.parent.mkdir()
    file.symlink_to(place / "holiday/coffee.jpg")  # which is served anyway
    assert client.get(f"{url}/original").content == (place / "holiday/coffee.jpg").read_bytes()
    file.unlink()
    file.symlink_to(file)
    assert refused(client.get(f"{url}/original")) == (404, "file-gone")
    file.unlink()
    before.rename(file)
    assert client.get(f"{url}/original").content == file.read_bytes()


def test_a_pipe_in_place_of_a_photo_is_not_waited_for(client: httpx.Client, ids: dict[str, int], place: Path) -> None:
    file, url = place / "holiday/flower.jpg", f"/v1/photos/{ids['holiday/flower.jpg']}"
    before = file.rename(place / "flower.jpg")
    os.mkfifo(file)
    started = time.monotonic()
    assert refused(client.get(f"{url}/original")) == (404, "file-gone")
    assert time.monotonic() - started < 30
    file.unlink()
    before.rename(file)


def test_a_photo_that_is_gone_is_still_shown_small(client: httpx.Client, ids: dict[str, int], place: Path) -> None:
    file, url = place / "holiday/space/moon.jpg", f"/v1/photos/{ids['holiday/space/moon.jpg']}"
    seen = client.get(f"{url}/thumbnail")
    before = file.rename(place / "moon.jpg")
    assert picture(client.get(f"{url}/thumbnail")) == picture(seen)
    assert refused(client.get(f"{url}/thumbnail?side=512")) == (404, "no-thumbnail")
    assert refused(client.get(f"{url}/original")) == (404, "file-gone")
    before.rename(file)


def test_a_table_gives_what_lies_beside_it_and_nothing_else(
    client: httpx.Client, ids: dict[str, int], place: Path
) -> None:
    mug = f"/v1/photos/{ids['shop/mug.jpg']}"
    assert client.get(f"{mug}/original").content == (place / "shop/mug.jpg").read_bytes()
    assert picture(client.get(f"{mug}/thumbnail")).size == (160, 120)
    secret = next(number for name, number in ids.items() if name.endswith("outside/secret.jpg") and ":" not in name)
    for path in ("original", "thumbnail"):
        assert refused(client.get(f"/v1/photos/{secret}/{path}")) == (403, "file-elsewhere")


def test_what_lies_in_a_table_is_shown_small(client: httpx.Client, ids: dict[str, int]) -> None:
    url = f"/v1/photos/{ids['shop/embedded.parquet#1']}"
    assert picture(client.get(f"{url}/thumbnail")).size == (256, 256)
    assert refused(client.get(f"{url}/original")) == (404, "no-original")


def test_an_address_is_asked_for_nothing_unless_that_is_allowed(
    client: httpx.Client, ids: dict[str, int], place: Path
) -> None:
    number = next(number for name, number in ids.items() if name.startswith("http"))
    response = client.get(f"/v1/photos/{number}/thumbnail")
    assert refused(response) == (404, "no-thumbnail")
    assert "--allow-url-fetch" in response.json()["detail"]
    assert refused(client.get(f"/v1/photos/{number}/original")) == (404, "no-original")
    with web_server(place / "outside") as address, open_library(place / "library") as library:
        old = (place / "web.csv").read_text().split()[1].removesuffix("/secret.jpg")
        (place / "web.csv").write_text((place / "web.csv").read_text().replace(old, address))
        library.index(library.roots()[-1])
        number = next(each["id"] for each in library.photos() if each["path"].startswith(address))
        assert library.thumbnail(number).jpeg  # kept from now on
    assert picture(client.get(f"/v1/photos/{number}/thumbnail")).size == (160, 120)


def test_no_answer_names_a_path_of_the_machine(client: httpx.Client, ids: dict[str, int], place: Path) -> None:
    texts = [json.dumps(client.get(f"/v1/photos/{number}").json()) for number in ids.values()]
    assert not [text for text in texts if str(place) in text]


def test_a_photo_that_the_library_forgot_is_not_served(client: httpx.Client, ids: dict[str, int], place: Path) -> None:
    url = f"/v1/photos/{ids['forgotten/one.jpg']}"
    assert client.get(f"{url}/original").status_code == 200
    with open_library(place / "library") as opened:
        opened.remove(place / "forgotten")
    for path in ("", "/thumbnail", "/original"):
        assert refused(client.get(f"{url}{path}")) == (404, "no-such-photo")
