"""Thumbnails: what they look like, and that a library can lose, damage or refuse them without a photo missing."""

import io
import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageCms
from test_raw import camera_jpeg, write_dng
from test_video import number_on, write_video

from diptych import DualEncoder
from diptych.library.catalogue import Catalogue, Row
from diptych.library.catalogue_root import CatalogueRoot
from diptych.library.library import PhotoLibrary
from diptych.library.reading import content_hash
from diptych.library.thumbnails import Thumbnail, thumbnail

CONTENT = bytes(range(16))
PLACE = f"thumbnails/00/{CONTENT.hex()}-256.jpg"


def opened(made: Thumbnail) -> Image.Image:
    assert made.reason == ""
    image = Image.open(io.BytesIO(made.jpeg))
    image.load()
    return image


def pixel(image: Image.Image, x: int, y: int) -> tuple[int, ...]:
    found = image.getpixel((x, y))
    assert isinstance(found, tuple)
    return found


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    path = tmp_path / "photo.png"
    Image.linear_gradient("L").resize((600, 300)).save(path)
    return path


def test_it_is_upright_over_white_and_within_its_side(tmp_path: Path) -> None:
    """Red above transparency, noted by the camera as lying on its side."""
    image = Image.new("RGBA", (400, 200), (0, 0, 0, 0))
    image.paste((255, 0, 0, 255), (0, 0, 200, 200))  # the left half, which orientation 6 turns to the top
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "Leica"
    image.save(tmp_path / "photo.png", exif=exif)
    small = opened(thumbnail(tmp_path, None, tmp_path / "photo.png", side=100))
    assert (small.format, small.mode, small.size) == ("JPEG", "RGB", (50, 100))
    assert pixel(small, 25, 20) == pytest.approx((255, 0, 0), abs=4)  # JPEG's rounding
    assert pixel(small, 25, 80) == pytest.approx((255, 255, 255), abs=4)
    assert not small.getexif()


def test_a_small_picture_is_not_enlarged_and_a_thin_one_keeps_a_pixel(tmp_path: Path) -> None:
    Image.new("RGB", (30, 20)).save(tmp_path / "small.png")
    Image.new("RGB", (4_000, 2)).save(tmp_path / "thin.png")
    assert opened(thumbnail(tmp_path, None, tmp_path / "small.png")).size == (30, 20)
    assert opened(thumbnail(tmp_path, None, tmp_path / "thin.png")).size == (256, 1)


def test_colours_of_a_profile_become_those_of_srgb(tmp_path: Path) -> None:
    """A profile that calls green what sRGB calls red: the matrix of sRGB's own with its columns exchanged."""
    profile = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    red, green = profile.index(b"rXYZ"), profile.index(b"gXYZ")
    profile[red : red + 4], profile[green : green + 4] = b"gXYZ", b"rXYZ"
    Image.new("RGB", (64, 64), (255, 0, 0)).save(tmp_path / "photo.jpg", quality=95, icc_profile=bytes(profile))
    assert pixel(opened(thumbnail(tmp_path, None, tmp_path / "photo.jpg")), 9, 9) == pytest.approx((0, 255, 0), abs=6)


def test_a_profile_that_cannot_be_used_changes_nothing(tmp_path: Path) -> None:
    Image.new("RGB", (64, 64), (255, 0, 0)).save(tmp_path / "photo.jpg", quality=95, icc_profile=b"no profile")
    assert pixel(opened(thumbnail(tmp_path, None, tmp_path / "photo.jpg")), 9, 9) == pytest.approx((255, 0, 0), abs=4)


def test_it_is_made_once_and_kept_for_its_owner_alone(tmp_path: Path, photo: Path) -> None:
    first = thumbnail(tmp_path, CONTENT, photo)
    photo.unlink()
    assert thumbnail(tmp_path, CONTENT, photo) == first
    kept = tmp_path / PLACE
    assert kept.read_bytes() == first.jpeg
    assert [path.stat().st_mode & 0o077 for path in (kept, kept.parent, kept.parent.parent)] == [0, 0, 0]
    assert [path.name for path in kept.parent.iterdir()] == [kept.name]


def test_sides_moments_and_contents_are_kept_apart(tmp_path: Path, photo: Path) -> None:
    thumbnail(tmp_path, CONTENT, photo)
    thumbnail(tmp_path, CONTENT, photo, side=64)
    thumbnail(tmp_path, bytes(16), photo)
    names = sorted(path.name for path in tmp_path.glob("thumbnails/00/*"))
    assert names == sorted([f"{'00' * 16}-256.jpg", f"{CONTENT.hex()}-256.jpg", f"{CONTENT.hex()}-64.jpg"])


@pytest.mark.parametrize("damage", [lambda data: b"", lambda data: data[:-40], lambda data: b"\0" * len(data)])
def test_a_damaged_one_is_made_again(tmp_path: Path, photo: Path, damage: Callable[[bytes], bytes]) -> None:
    first = thumbnail(tmp_path, CONTENT, photo)
    (tmp_path / PLACE).write_bytes(damage(first.jpeg))
    assert thumbnail(tmp_path, CONTENT, photo) == first
    assert (tmp_path / PLACE).read_bytes() == first.jpeg


def test_where_nothing_can_be_kept_it_is_made_all_the_same(tmp_path: Path, photo: Path) -> None:
    (tmp_path / "thumbnails").write_text("in the way")
    assert opened(thumbnail(tmp_path, CONTENT, photo)).size == (256, 128)
    assert opened(thumbnail(tmp_path / "no library", CONTENT, photo)).size == (256, 128)
    assert not (tmp_path / "no library").exists()


def test_what_cannot_be_read_has_a_reason_and_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "text.jpg").write_text("words")
    assert thumbnail(tmp_path, CONTENT, tmp_path / "gone.jpg") == Thumbnail(
        reason=f"{tmp_path / 'gone.jpg'}: no such file or directory"
    )
    assert "not an image" in thumbnail(tmp_path, CONTENT, tmp_path / "text.jpg").reason
    assert not (tmp_path / "thumbnails").exists()


def test_a_source_that_is_asked_for_is_asked_once_and_may_fail(tmp_path: Path, photo: Path) -> None:
    asked = []

    def source() -> bytes:
        asked.append(1)
        return photo.read_bytes()

    def absent() -> bytes:
        raise OSError(5, "Input/output error", os.fsdecode(photo))

    content = content_hash(photo.read_bytes())
    assert thumbnail(tmp_path, content, source) == thumbnail(tmp_path, content, source)
    assert len(asked) == 1
    assert thumbnail(tmp_path, CONTENT, source) == thumbnail(tmp_path, CONTENT, source)
    assert len(asked) == 3  # bytes of another content are not kept under this one
    assert "Input/output error" in thumbnail(tmp_path, bytes(16), absent).reason


def test_a_side_that_no_screen_needs_is_refused(photo: Path) -> None:
    with pytest.raises(ValueError, match="16 to 2048 pixels, got 100000"):
        thumbnail(photo.parent, None, photo, side=100_000)


# ---- of the photos of a library


@pytest.fixture
def library(tmp_path: Path, encoder: DualEncoder) -> Iterator[PhotoLibrary]:
    with PhotoLibrary.open(tmp_path / "library", encoder=encoder, model="small", create_missing=True) as opened:
        yield opened


def test_a_photo_that_has_changed_is_shown_as_it_is_and_one_that_is_gone_as_it_was(
    tmp_path: Path, library: PhotoLibrary
) -> None:
    (tmp_path / "photos").mkdir()
    path = tmp_path / "photos" / "photo.png"
    Image.new("RGB", (64, 64), "red").save(path)
    library.index(path.parent)
    kept = library.thumbnail(1)
    assert pixel(opened(kept), 9, 9) == pytest.approx((255, 0, 0), abs=4)
    Image.new("RGB", (65, 65), "blue").save(path)
    assert pixel(opened(library.thumbnail(1)), 9, 9) == pytest.approx((0, 0, 255), abs=4)
    path.unlink()
    assert library.thumbnail(1) == kept
    assert library.thumbnail(2) == Thumbnail(reason="There is no photo 2.")
    assert library.check().faults == ()


def test_a_video_has_a_thumbnail_of_each_moment_and_a_raw_photo_that_of_its_preview(
    tmp_path: Path, library: PhotoLibrary
) -> None:
    (tmp_path / "media").mkdir()
    write_video(tmp_path / "media" / "film.mp4")
    (tmp_path / "media" / "photo.dng").write_bytes(write_dng(jpeg=camera_jpeg()))
    library.index(tmp_path / "media")
    numbers = {Path(photo["path"]).name: photo["id"] for photo in library.photos()}
    for second, number in ((0.0, 0), (2.9, 29)):
        assert number_on(library.thumbnail(numbers["film.mp4"], second=second).jpeg) == number
    assert library.thumbnail(numbers["film.mp4"]) == library.thumbnail(numbers["film.mp4"], second=0.0)
    with Image.open(io.BytesIO(camera_jpeg())) as preview:
        shape = preview.width / preview.height
    small = opened(library.thumbnail(numbers["photo.dng"]))
    assert small.width / small.height == pytest.approx(shape, rel=0.02)  # whole pixels


def test_pictures_within_a_table_have_thumbnails_until_their_row_is_gone(tmp_path: Path, library: PhotoLibrary) -> None:
    pictures = []
    for colour in ("red", "blue"):
        Image.new("RGB", (64, 64), colour).save(tmp_path / f"{colour}.png")
        pictures.append((tmp_path / f"{colour}.png").read_bytes())
    table = tmp_path / "products.parquet"
    pq.write_table(pa.table({"id": ["a", "b"], "image": pictures}), table)
    library.index(CatalogueRoot(path=table, image_column="image", id_column="id"))
    red, absent, blue = library.thumbnails([(1, None), (9, None), (2, None)])
    assert absent.reason == "There is no photo 9."
    assert pixel(opened(red), 9, 9) == pytest.approx((255, 0, 0), abs=4)
    assert pixel(opened(blue), 9, 9) == pytest.approx((0, 0, 255), abs=4)
    (tmp_path / "library" / "thumbnails").rename(tmp_path / "seen")
    pq.write_table(pa.table({"id": ["b"], "image": pictures[1:]}), table)
    assert library.thumbnail(1).reason == f"{table} has no row 'a' any more."
    assert library.thumbnail(2) == blue


def test_a_table_is_read_once_for_all_its_pictures_and_no_further_than_the_last(
    tmp_path: Path, library: PhotoLibrary, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, pictures = tmp_path / "products.parquet", []
    for number in range(300):
        stream = io.BytesIO()
        Image.new("RGB", (32, 32), (number % 256, number // 256, 0)).save(stream, "PNG")
        pictures.append(stream.getvalue())
    pq.write_table(pa.table({"id": [f"{number}" for number in range(300)], "image": pictures}), table)
    library.index(CatalogueRoot(path=table, image_column="image", id_column="id"))
    passes, read = [], []
    iterate = Catalogue.__iter__

    def counted(catalogue: Catalogue) -> Iterator[Row]:
        passes.append(1)
        for row in iterate(catalogue):
            read.append(row.key)
            yield row

    monkeypatch.setattr(Catalogue, "__iter__", counted)
    below_200 = library._database.execute("SELECT id, path FROM photos WHERE CAST(path AS INT) < 200 ORDER BY id DESC")
    wanted = [(row["id"], int(row["path"])) for row in below_200]
    made = list(library.thumbnails((id, None) for id, _ in wanted))
    assert (len(passes), len(read)) == (1, 200)
    assert [pixel(opened(each), 9, 9)[0] for each in made] == pytest.approx([red for _, red in wanted], abs=3)
    assert list(library.thumbnails((id, None) for id, _ in wanted)) == made
    assert len(passes) == 1
