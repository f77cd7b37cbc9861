"""Photos laid out on a plane, and the page and the picture made of it."""

import base64
import hashlib
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diptych.checkpoints import load_checkpoint
from diptych.encode.encoder import Features
from diptych.encode.torch_encoder import TorchEncoder
from diptych.library.clusters import chosen_photos
from diptych.library.database import LibraryError
from diptych.library.filters import Filters
from diptych.library.library import PhotoLibrary
from diptych.library.map import PhotoMap, make_map, make_sheet
from diptych.library.map_image import draw, write_png
from diptych.library.map_layout import lay_out, snap_to_grid
from diptych.library.map_page import write_page
from diptych.library.thumbnails import Thumbnail
from diptych.library.vocabulary import build_vocabulary

HOSTILE = "</script><img src=x onerror=alert(1)>&\u2028.jpg"
RED, GREEN = (200, 30, 30), (30, 170, 60)


def blobs(*sizes: int) -> Features:
    rows = np.repeat(np.eye(24)[: len(sizes)], sizes, axis=0)
    rows = rows + np.random.default_rng(0).normal(scale=0.05, size=rows.shape)
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def share_of_like_neighbours(positions: np.ndarray, kinds: np.ndarray) -> float:
    """How often the nearest other position is of the same kind."""
    squared = ((positions[:, None] - positions[None]) ** 2).sum(axis=2)
    np.fill_diagonal(squared, np.inf)
    return float((kinds[squared.argmin(axis=1)] == kinds).mean())


@pytest.mark.parametrize("most_landmarks", [1_000, 60])
def test_alike_photos_are_near_each_other_landmarks_or_not(most_landmarks: int) -> None:
    positions = lay_out(blobs(60, 40, 30), most_landmarks=most_landmarks)
    assert positions.shape == (130, 2)
    assert positions.min() == 0
    assert positions.max() == 1
    assert share_of_like_neighbours(positions, np.repeat([0, 1, 2], [60, 40, 30])) > 0.97


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 7])
def test_a_few_photos_or_the_same_one_often_have_places_too(count: int) -> None:
    for features in (blobs(*[1] * count) if count else np.empty((0, 24), np.float32), np.tile(blobs(1), (count, 1))):
        positions = lay_out(features)
        assert positions.shape == (count, 2)
        assert ((positions >= 0) & (positions <= 1)).all()


def test_the_same_photos_have_the_same_places() -> None:
    assert (lay_out(blobs(20, 20)) == lay_out(blobs(20, 20))).all()


def test_no_two_photos_share_a_cell_and_each_is_near_its_place() -> None:
    positions = np.random.default_rng(0).random((300, 2)).astype(np.float32)
    cells, columns, rows = snap_to_grid(positions)
    assert len({tuple(cell) for cell in cells.tolist()}) == 300
    assert columns > rows
    assert ((cells >= 0) & (cells < [columns, rows])).all()
    assert np.abs(cells - positions * [columns - 1, rows - 1]).mean() < 1
    heap, columns, rows = snap_to_grid(np.full((10, 2), 0.5, np.float32))
    assert len({tuple(cell) for cell in heap.tolist()}) == 10
    assert snap_to_grid(np.full((1, 2), 0.5, np.float32))[0].tolist() == [[0, 0]]


def thumbnail(colour: tuple[int, int, int], width: int = 60, height: int = 40) -> Thumbnail:
    file = io.BytesIO()
    Image.new("RGB", (width, height), colour).save(file, "JPEG")
    return Thumbnail(jpeg=file.getvalue())


def test_a_sheet_holds_the_pictures_in_their_order_grey_where_there_is_none() -> None:
    sheet = make_sheet([thumbnail(RED), Thumbnail(reason="gone"), thumbnail(GREEN, 20, 90)])
    assert (sheet.side, sheet.columns, sheet.unread) == (192, 2, 1)
    with Image.open(io.BytesIO(sheet.jpeg)) as image:
        assert image.size == (384, 384)
        for middle, colour in (((96, 96), RED), ((288, 96), (136, 136, 136)), ((96, 288), GREEN)):
            assert image.getpixel(middle) == pytest.approx(colour, abs=4)


def test_a_sheet_of_what_compresses_badly_still_fits_into_a_page() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (192, 192, 3), np.uint8)
    file = io.BytesIO()
    Image.fromarray(noise).save(file, "JPEG", quality=100)
    sheet = make_sheet([Thumbnail(jpeg=file.getvalue())] * 400)
    assert 3_000_000 < len(sheet.jpeg) <= 6_500_000


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> PhotoLibrary:
    """Nine red and nine green photos, one of them with a name that would be markup, and one that is gone."""
    folder = tmp_path_factory.mktemp("map")
    for name, colour in (("red", RED), ("green", GREEN)):
        (folder / "photos" / name).mkdir(parents=True)
        for number in range(9):
            size = (100 + 5 * number, 80)
            Image.new("RGB", size, colour).save(folder / "photos" / name / f"{number}.jpg")
    hostile = folder / "photos" / "red" / HOSTILE.replace("/", "\N{DIVISION SLASH}")
    (folder / "photos" / "red" / "0.jpg").rename(hostile)
    encoder = TorchEncoder(load_checkpoint(None), device="cpu", dtype="float32", preprocess="fast")
    opened = PhotoLibrary.open(folder / "library", encoder=encoder, create_missing=True)
    opened.index(folder / "photos")
    (folder / "photos" / "green" / "8.jpg").unlink()
    return opened


WORDS = ["something red</script>", "something green"]


@pytest.fixture(scope="module")
def made(library: PhotoLibrary) -> PhotoMap:
    return library.map(2, vocabulary=WORDS)


@pytest.fixture(scope="module")
def dots(library: PhotoLibrary) -> PhotoMap:
    """The same, as a library would be that has too many for pictures."""
    photos = chosen_photos(library._database, library._matrix(), Filters())
    return make_map(library, photos, build_vocabulary(library.encoder(), WORDS), count=2, most_pictures=17)


def test_every_photo_is_on_the_map_once_beside_its_like(made: PhotoMap, dots: PhotoMap) -> None:
    for each in (made, dots):
        names = [Path(member.source).parent.name for member in each.photos]
        assert sorted(names) == ["green"] * 9 + ["red"] * 9
        assert share_of_like_neighbours(each.places, np.array(names)) > 0.85
        assert sorted(group.size for group in each.groups) == [9, 9]
        assert each.left_out == 0
        assert (each.places >= 0).all()
        assert (each.places <= [each.columns, each.rows]).all()
    assert made.sheet is not None
    assert made.sheet.unread == 1
    assert len({tuple(place) for place in made.places.tolist()}) == 18
    assert dots.sheet is None


def test_an_empty_choice_has_no_map(library: PhotoLibrary) -> None:
    with pytest.raises(LibraryError, match="There are no photos to make a map of"):
        library.map(filters=Filters(where="0"))


class Page(HTMLParser):
    """What a browser would see: tags with attributes, and what scripts hold."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.scripts: list[str] = []
        self.source = path.read_text(encoding="utf-8")
        self.feed(self.source)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "script":
            self.scripts.append("")

    def handle_data(self, data: str) -> None:
        if self.lasttag == "script" and self.scripts and not self.scripts[-1]:
            self.scripts[-1] = data

    def every(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


@pytest.mark.parametrize("kind", ["made", "dots"])
def test_the_page_needs_nothing_beside_it_and_runs_its_own_script_only(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    drawn: PhotoMap = request.getfixturevalue(kind)
    write_page(drawn, tmp_path / "map.html")
    page = Page(tmp_path / "map.html")
    data, script = page.scripts
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    policy = next(str(meta["content"]) for meta in page.every("meta") if "http-equiv" in meta)
    assert f"script-src 'sha256-{digest}'" in policy
    assert policy.startswith("default-src 'none'; img-src data:;")
    assert not {name for name, _ in page.tags} & {"link", "iframe", "object", "embed", "base"}
    assert not re.search(r"https?://|url\(|fetch\(|import ", re.sub(r"base64,[^\"]*", "", page.source))
    assert "prefers-color-scheme: dark" in page.source
    images = page.every("img")
    assert len(images) == (1 if drawn.sheet else 0)
    for image in images:
        assert Image.open(io.BytesIO(base64.b64decode(str(image["src"]).partition(",")[2]))).size == (960, 768)
    plain = json.loads(data)
    assert len(plain["photos"]) == 18
    assert [button["data-group"] for button in page.every("button")] == ["0", "1"]


def test_names_on_the_page_are_text_and_never_markup(made: PhotoMap, tmp_path: Path) -> None:
    write_page(made, tmp_path / "map.html")
    page = Page(tmp_path / "map.html")
    assert not any("onerror" in attributes for _, attributes in page.tags)
    assert len(page.scripts) == 2
    plain = json.loads(page.scripts[0])
    paths = {plain["folders"][folder] + name for _, _, _, folder, name in plain["photos"]}
    assert paths == {member.source for member in made.photos}
    assert any("onerror" in path for path in paths)
    assert {name for name, *_ in plain["groups"]} == {group.name for group in made.groups}
    assert any(WORDS[0] in group.name for group in made.groups)


def test_the_picture_has_each_photo_in_its_place(made: PhotoMap, tmp_path: Path) -> None:
    write_png(made, tmp_path / "map.png")
    with Image.open(tmp_path / "map.png") as image:
        assert image.format == "PNG"
        unit = image.width / made.columns
        assert image.size == (round(made.columns * unit), round(made.rows * unit))
        for member, (x, y) in zip(made.photos, made.places.tolist(), strict=True):
            kind = RED if "/red/" in member.source else GREEN
            expected = (136, 136, 136) if member.source.endswith("green/8.jpg") else kind
            corner = (int((x + 0.2) * unit), int((y + 0.15) * unit))  # beside the names in the middle
            assert image.getpixel(corner) == pytest.approx(expected, abs=6)


def test_many_photos_are_dots_of_their_groups_colours(dots: PhotoMap) -> None:
    image = draw(dots)
    assert image.size == (2400, 1500)
    colours = {image.getpixel((int(x * 2.4), int(y * 2.4))) for x, y in dots.places.clip(2, 620).tolist()}
    assert len(colours - {(251, 250, 247)}) >= 2
