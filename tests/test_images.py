"""Any picture in any format opens upright and in RGB; whatever else is refused in one line."""

import errno
import io
import os
import pickle
import random
import struct
import subprocess
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pillow_heif
import pytest
from PIL import Image

from diptych.errors import ImageError
from diptych.images import PHOTO_FORMATS, open_image

Levels = npt.NDArray[np.uint8]
# A 6 x 4 picture of 8 x 8 blocks, no two alike, so that lossy formats and reduced decodes keep it recognisable.
BLOCKS = np.stack(
    [
        np.arange(24).reshape(4, 6) * 10 + 5,
        np.arange(24).reshape(4, 6)[::-1] * 10 + 5,
        np.arange(24).reshape(4, 6)[:, ::-1] * 10 + 5,
    ],
    axis=2,
).astype(np.uint8)
PICTURE = Image.fromarray(BLOCKS.repeat(8, axis=0).repeat(8, axis=1))
LOSSLESS, LOSSY = 0, 24


def encode(image: Image.Image, format_name: str, **options: object) -> bytes:
    buffer = io.BytesIO()
    image.save(buffer, format_name, **options)
    return buffer.getvalue()


def encode_heic(image: Image.Image, **options: object) -> bytes:
    buffer = io.BytesIO()
    pillow_heif.from_pillow(image).save(buffer, quality=95, **options)
    return buffer.getvalue()


def psd(image: Image.Image) -> bytes:
    header = b"8BPS" + struct.pack(">H6xHIIHH", 1, 3, image.height, image.width, 8, 3)
    planes = b"".join(band.tobytes() for band in image.split())
    return header + struct.pack(">IIIH", 0, 0, 0, 0) + planes


def fits(image: Image.Image) -> bytes:
    cards = [
        "SIMPLE  = T",
        "BITPIX  = 8",
        "NAXIS   = 2",
        f"NAXIS1  = {image.width}",
        f"NAXIS2  = {image.height}",
        "END",
    ]
    rows = image.transpose(Image.Transpose.FLIP_TOP_BOTTOM).tobytes()
    return "".join(f"{card:80}" for card in cards).ljust(2880).encode() + rows.ljust(2880, b"\0")


def exif(orientation: int) -> bytes:
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags.tobytes()


def levels(image: Image.Image) -> npt.NDArray[np.int16]:
    return np.asarray(image).astype(np.int16)


def assert_shows(image: Image.Image, expected: Image.Image, tolerance: int = LOSSLESS) -> None:
    assert image.mode == "RGB"
    assert image.size == expected.size
    assert np.abs(levels(image) - levels(expected.convert("RGB"))).max() <= tolerance


@pytest.mark.parametrize(
    ("data", "tolerance"),
    [
        pytest.param(encode(PICTURE, "JPEG", quality=95, subsampling=0), LOSSY, id="jpeg"),
        pytest.param(encode(PICTURE, "JPEG", quality=95, progressive=True, subsampling=0), LOSSY, id="progressive"),
        pytest.param(encode(PICTURE, "MPO", quality=95, subsampling=0, save_all=True), LOSSY, id="mpo"),
        pytest.param(encode(PICTURE, "PNG"), LOSSLESS, id="png"),
        pytest.param(encode(PICTURE, "GIF"), LOSSLESS, id="gif"),
        pytest.param(encode(PICTURE, "WEBP", lossless=True), LOSSLESS, id="webp"),
        pytest.param(encode(PICTURE, "WEBP", quality=95), LOSSY, id="lossy webp"),
        pytest.param(encode(PICTURE, "AVIF", quality=95), LOSSY, id="avif"),
        pytest.param(encode_heic(PICTURE), LOSSY, id="heic"),
        pytest.param(encode(PICTURE, "TIFF"), LOSSLESS, id="tiff"),
        pytest.param(encode(PICTURE, "TIFF", compression="tiff_lzw"), LOSSLESS, id="lzw tiff"),
        pytest.param(encode(PICTURE, "JPEG2000"), LOSSLESS, id="jpeg 2000"),
        pytest.param(encode(PICTURE, "BMP"), LOSSLESS, id="bmp"),
        pytest.param(encode(PICTURE, "ICO", sizes=[(48, 32)]), LOSSLESS, id="ico"),
        pytest.param(encode(PICTURE, "PPM"), LOSSLESS, id="ppm"),
        pytest.param(encode(PICTURE, "TGA"), LOSSLESS, id="tga"),
        pytest.param(encode(PICTURE, "PCX"), LOSSLESS, id="pcx"),
        pytest.param(encode(PICTURE, "SGI"), LOSSLESS, id="sgi"),
        pytest.param(encode(PICTURE, "DDS"), LOSSLESS, id="dds"),
        pytest.param(psd(PICTURE), LOSSLESS, id="psd"),
    ],
)
def test_each_format_is_read(data: bytes, tolerance: int) -> None:
    assert_shows(open_image(data), PICTURE, tolerance)


def test_grey_formats_are_read() -> None:
    grey = PICTURE.convert("L")
    assert_shows(open_image(fits(grey)), grey)
    assert_shows(open_image(encode(grey, "JPEG", quality=95)), grey, LOSSY)
    assert_shows(open_image(encode(grey.convert("1"), "XBM")), grey.convert("1"))
    assert_shows(open_image(b"P2 2 1 255\n0 200\n"), Image.fromarray(np.array([[0, 200]], dtype=np.uint8)))


def test_the_first_frame_of_an_animation_is_read() -> None:
    others = [PICTURE.rotate(180), Image.new("RGB", PICTURE.size)]
    for format_name in ("GIF", "PNG", "TIFF"):
        assert_shows(open_image(encode(PICTURE, format_name, save_all=True, append_images=others)), PICTURE)
    webp = encode(PICTURE, "WEBP", lossless=True, save_all=True, append_images=others)
    assert_shows(open_image(webp), PICTURE)


@pytest.mark.parametrize(
    ("orientation", "corners"),
    [  # by hand: what is stored as a b / c d is shown as
        (1, "ab/cd"),
        (2, "ba/dc"),
        (3, "dc/ba"),
        (4, "cd/ab"),
        (5, "ac/bd"),
        (6, "ca/db"),
        (7, "db/ca"),
        (8, "bd/ac"),
        (0, "ab/cd"),
        (9, "ab/cd"),
    ],
)
@pytest.mark.parametrize("format_name", ["PNG", "JPEG", "TIFF", "WEBP", "AVIF"])
def test_orientation_is_applied_once(orientation: int, corners: str, format_name: str) -> None:
    level = {"a": 20, "b": 90, "c": 160, "d": 230}
    stored, shown = (
        Image.fromarray(np.array([[level[name] for name in row] for row in picture.split("/")], dtype=np.uint8))
        for picture in ("ab/cd", corners)
    )
    stored = stored.convert("RGB").resize((48, 32), Image.Resampling.NEAREST)
    shown = shown.resize((32, 48) if 5 <= orientation <= 8 else (48, 32), Image.Resampling.NEAREST)
    options: dict[str, object] = {"lossless": True} if format_name == "WEBP" else {}
    upright = open_image(encode(stored, format_name, exif=exif(orientation), **options))
    assert_shows(upright, shown, tolerance=4)
    assert_shows(open_image(upright), upright)


def test_orientation_of_heic_and_of_pil_images_is_applied_once() -> None:
    turned = PICTURE.transpose(Image.Transpose.ROTATE_270)
    assert_shows(open_image(encode_heic(PICTURE, exif=exif(6))), turned, LOSSY)
    given = Image.open(io.BytesIO(encode(PICTURE, "PNG", exif=exif(6))))
    assert_shows(open_image(given), turned)
    assert given.size == PICTURE.size


def test_broken_metadata_does_not_cost_the_picture() -> None:
    data = encode(PICTURE, "PNG", exif=exif(6).replace(b"II*\0", b"II*\xff").replace(b"MM\0*", b"MM\xff*"))
    assert_shows(open_image(data), PICTURE)


def blend(level: int, alpha: int) -> int:
    return round((level * alpha + 255 * (255 - alpha)) / 255)


def test_transparency_is_laid_over_white() -> None:
    rgba = PICTURE.convert("RGBA")
    rgba.putalpha(Image.fromarray(np.arange(256, dtype=np.uint8)[None, :].repeat(32, axis=0)).crop((90, 0, 138, 32)))
    expected = open_image(rgba)
    assert expected.getpixel((0, 0)) == tuple(blend(int(level), 90) for level in BLOCKS[0, 0])
    assert_shows(open_image(encode(rgba, "PNG")), expected)
    assert_shows(open_image(encode(rgba, "WEBP", lossless=True)), expected)
    assert_shows(open_image(encode(rgba, "TIFF")), expected)
    assert_shows(open_image(rgba.convert("RGBa")), expected, tolerance=3)
    grey = open_image(rgba.convert("LA"))
    assert_shows(open_image(encode(rgba.convert("LA"), "PNG")), grey)
    assert_shows(open_image(rgba.convert("LA").convert("La")), grey, tolerance=3)


def test_transparent_colours_of_png_and_gif_become_white() -> None:
    palette = Image.new("P", (2, 1))
    palette.putpalette([10, 20, 30, 40, 50, 60])
    palette.putpixel((1, 0), 1)
    half = bytes([128, 255])
    for data, first in [
        (encode(palette, "PNG", transparency=0), (255, 255, 255)),
        (encode(palette, "GIF", transparency=0), (255, 255, 255)),
        (encode(palette, "PNG", transparency=half), tuple(blend(level, 128) for level in (10, 20, 30))),
    ]:
        image = open_image(data)
        assert image.getpixel((0, 0)) == first
        assert image.getpixel((1, 0)) == (40, 50, 60)
    rgb = Image.new("RGB", (2, 1), (7, 8, 9))
    rgb.putpixel((1, 0), (1, 2, 3))
    assert list(open_image(encode(rgb, "PNG", transparency=(7, 8, 9))).tobytes()) == [255, 255, 255, 1, 2, 3]
    assert list(open_image(encode(rgb.convert("L"), "PNG", transparency=8)).tobytes()[:3]) == [255, 255, 255]
    deep = Image.fromarray(np.array([[500, 25700]], dtype=np.uint16))
    assert list(open_image(encode(deep, "PNG", transparency=500)).tobytes()) == [255, 255, 255, 100, 100, 100]


def test_16_bit_grey_is_scaled_not_clipped() -> None:
    deep = np.array([[0, 128, 129, 257, 32896, 65278, 65535]], dtype=np.uint16)
    expected = [0, 0, 1, 1, 128, 254, 255]
    for data in (
        encode(Image.fromarray(deep), "PNG"),
        encode(Image.fromarray(deep), "TIFF"),
        b"P5 7 1 65535\n" + deep.astype(">u2").tobytes(),
    ):
        assert np.asarray(open_image(data))[0, :, 0].tolist() == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (np.array([[0, 100, 255]], dtype=np.int32), [0, 100, 255]),
        (np.array([[0, 25700, 65535]], dtype=np.int32), [0, 100, 255]),
        (np.array([[0, 100_000, 200_000]], dtype=np.int32), [0, 128, 255]),
        (np.array([[-10, 0, 10]], dtype=np.int32), [0, 128, 255]),
        (np.array([[0, 0.5, 1]], dtype=np.float32), [0, 128, 255]),
        (np.array([[0, 100, 200]], dtype=np.float32), [0, 100, 200]),
        (np.array([[-1, 0, 1]], dtype=np.float32), [0, 128, 255]),
        (np.array([[-3e38, 0, 3e38]], dtype=np.float32), [0, 128, 255]),
        (np.array([[np.nan, np.inf, 1]], dtype=np.float32), [0, 0, 255]),
        (np.array([[-2, -2, -2]], dtype=np.float32), [0, 0, 0]),
        (np.array([[-1, *[0] * 2_200_000, 1]], dtype=np.float32), [0, *[128] * 2_200_000, 255]),
    ],
)
def test_integers_and_floats_of_any_range_become_grey(values: npt.NDArray[Any], expected: list[int]) -> None:
    assert np.asarray(open_image(encode(Image.fromarray(values), "TIFF")))[0, :, 1].tolist() == expected


@pytest.mark.parametrize("mode", ["CMYK", "YCbCr", "HSV", "LAB", "1", "RGBX", "P", "L"])
def test_every_mode_becomes_rgb(mode: str) -> None:
    image = PICTURE.convert(mode)
    assert_shows(open_image(image), image.convert("RGB"))


def test_cmyk_jpeg_is_not_inverted() -> None:
    image = open_image(encode(PICTURE.convert("CMYK"), "JPEG", quality=95, subsampling=0))
    assert_shows(image, PICTURE, LOSSY)


def test_every_kind_of_source_is_read(tmp_path: Path) -> None:
    data = encode(PICTURE, "PNG")
    path = tmp_path / "a photo.of.nothing"  # the content counts, not the name
    path.write_bytes(data)
    stream = io.BytesIO(data)
    stream.seek(17)
    with path.open("rb") as file:
        for source in (str(path), path, data, bytearray(data), memoryview(data), stream, file, PICTURE, BLOCKS):
            expected = Image.fromarray(BLOCKS) if source is BLOCKS else PICTURE
            assert_shows(open_image(source), expected)
        assert not file.closed
    assert not stream.closed


def test_a_stream_that_cannot_seek_is_read() -> None:
    reading, writing = os.pipe()
    with os.fdopen(writing, "wb") as pipe:
        pipe.write(encode(PICTURE, "PNG"))
    with os.fdopen(reading, "rb") as pipe:
        assert_shows(open_image(pipe), PICTURE)


@pytest.mark.parametrize(
    "array",
    [
        BLOCKS[:, :, 0],
        BLOCKS[:, :, :1],
        BLOCKS,
        np.dstack([BLOCKS, np.full((4, 6), 255, dtype=np.uint8)]),
        BLOCKS[::-1, ::2],
        np.asfortranarray(BLOCKS),
    ],
)
def test_arrays_are_read_as_they_stand(array: Levels) -> None:
    grey = array if array.ndim == 3 else array[:, :, None]
    expected = np.broadcast_to(grey[:, :, :3], (*array.shape[:2], 3))
    np.testing.assert_array_equal(np.asarray(open_image(array)), expected)
    for floats in ((array / 255).astype(np.float32), array / 255):
        np.testing.assert_array_equal(np.asarray(open_image(floats)), expected)


def test_the_result_is_the_callers_own() -> None:
    array = BLOCKS.copy()
    picture = PICTURE.copy()
    for source in (array, array[:, :, 0], picture, picture.convert("L")):
        image = open_image(source)
        image.putpixel((0, 0), (1, 2, 3))
        assert image.info == {}
    np.testing.assert_array_equal(array, BLOCKS)
    assert_shows(picture, PICTURE)


def test_reduced_decoding_keeps_the_side_asked_for() -> None:
    large = PICTURE.resize((1000, 777), Image.Resampling.BICUBIC)
    data = encode(large, "JPEG", quality=95)
    for shortest_side, size in [
        (1, (125, 98)),
        (98, (250, 195)),
        (97, (125, 98)),
        (388, (500, 389)),
        (389, large.size),
    ]:
        assert open_image(data, shortest_side=shortest_side).size == size
    assert open_image(encode(large, "PNG"), shortest_side=10).size == large.size
    assert "reduced" not in open_image(data, shortest_side=777).info


@pytest.mark.parametrize("orientation", range(1, 9))
def test_reduced_decoding_tells_where_the_full_picture_lies(orientation: int) -> None:
    # 97 x 62 pixels of black in 13 x 8 at an eighth: the last column holds one black column out of eight.
    stored = Image.new("L", (97, 62))
    image = open_image(encode(stored, "JPEG", exif=exif(orientation)), shortest_side=7)
    reduced = image.info["reduced"]
    full = open_image(encode(stored, "JPEG", exif=exif(orientation))).size
    assert reduced["size"] == image.size
    assert reduced["full_size"] == full
    left, top, right, bottom = reduced["extent"]
    assert (right - left, bottom - top) == (full[0] / 8, full[1] / 8)
    # By hand: where the first stored row and column are shown, the extent begins at an edge.
    begins_left = orientation in (1, 4, 5, 8)
    begins_top = orientation in (1, 2, 5, 6)
    assert (left == 0, right == image.width) == (begins_left, not begins_left)
    assert (top == 0, bottom == image.height) == (begins_top, not begins_top)


FORMATS: dict[str, Callable[[Image.Image], bytes]] = {
    name: partial(encode, format_name=name)
    for name in ("JPEG", "PNG", "GIF", "TIFF", "BMP", "WEBP", "AVIF", "JPEG2000", "PPM")
} | {
    "ICO": partial(encode, format_name="ICO", sizes=[(48, 32)]),
    "HEIC": encode_heic,
    "PSD": psd,
}


@pytest.mark.parametrize("format_name", FORMATS)
def test_the_pixel_limit_is_checked_from_the_header(format_name: str) -> None:
    data = FORMATS[format_name](PICTURE)
    with pytest.raises(ImageError, match="48 x 32 pixels are more than the 1,535 that are taken"):
        open_image(data, max_pixels=48 * 32 - 1)
    assert open_image(data, max_pixels=48 * 32).size == (48, 32)


def test_a_bomb_is_refused_without_decoding_it() -> None:
    bomb = b"P6 60000 60000 255\n"  # a header alone: decoding would fail otherwise
    with pytest.raises(ImageError, match="60000 x 60000 pixels are more than the 200,000,000"):
        open_image(bomb)
    with pytest.raises(ImageError, match="more than the 10 that"):
        open_image(PICTURE, max_pixels=10)
    with pytest.raises(ImageError, match="more than the 10 that"):
        open_image(BLOCKS, max_pixels=10)


def jpeg_of_scans(count: int) -> bytes:
    """A progressive JPEG whose scans after the first say of all blocks that nothing is added to them."""

    def segment(kind: int, data: bytes) -> bytes:
        return bytes([0xFF, kind]) + struct.pack(">H", len(data) + 2) + data

    one_code = bytes([1] + [0] * 15)  # of one bit, for the value that follows
    head = b"\xff\xd8" + segment(0xDB, bytes([0] + [16] * 64))
    head += segment(0xC2, struct.pack(">BHHB3B", 8, 16, 16, 1, 1, 0x11, 0))
    head += segment(0xC4, b"\x00" + one_code + b"\x00") + segment(0xDA, bytes([1, 1, 0, 0, 0, 0])) + b"\x0f"
    head += segment(0xC4, b"\x10" + one_code + b"\x20")  # four to seven blocks at an end
    return head + (segment(0xDA, bytes([1, 1, 0, 1, 63, 0])) + b"\x1f") * (count - 1) + b"\xff\xd9"


def test_a_jpeg_of_more_scans_than_anybody_writes_is_refused() -> None:
    assert open_image(jpeg_of_scans(100)).size == (16, 16)
    with pytest.raises(ImageError, match="a JPEG of more than 100 scans"):
        open_image(jpeg_of_scans(101))


def test_what_looks_like_scans_in_other_parts_of_a_jpeg_is_none() -> None:
    plain = encode(PICTURE, "JPEG")
    looks = b"\xff\xda\x00\x02" * 200
    comment = b"\xff\xfe" + struct.pack(">H", len(looks) + 2) + looks
    for data in (plain[:2] + comment + plain[2:], plain + looks):  # what phones put at the end is a film
        assert_shows(open_image(data), open_image(plain))


def test_an_icon_that_lies_about_its_size_is_refused() -> None:
    data = bytearray(encode(PICTURE, "ICO", sizes=[(48, 32)]))
    data[6:8] = bytes([16, 16])  # the directory's word for the picture inside
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # Pillow's "Image was not the expected size"
        assert open_image(data).size == (48, 32)
        with pytest.raises(ImageError, match="48 x 32 pixels are more than the 300 that"):
            open_image(data, max_pixels=300)


# The plugins of WebP and of icons compare with it themselves: at 179 million pixels, where no such file should be.
@pytest.mark.parametrize("format_name", sorted(FORMATS.keys() - {"ICO", "WEBP"}))
def test_pillows_own_limit_plays_no_part(format_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    data = FORMATS[format_name](PICTURE)
    for limit in (700, 1000):  # of 1,536 pixels: an error in Image.open, and a warning, which is an error here
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
        assert open_image(data).size == (48, 32)
        assert limit == Image.MAX_IMAGE_PIXELS


def bad_sources(folder: Path) -> dict[str, tuple[Any, str]]:
    """Sources that cannot be read, each with the text of its error after the name."""
    text = folder / "notes.jpg"
    text.write_text("Dear diary")
    empty = folder / "empty.png"
    empty.touch()
    cut = folder / "cut.jpg"
    cut.write_bytes(encode(PICTURE, "JPEG")[:-20])
    strange = folder / "two\nlines.png"
    strange.write_bytes(b"x")
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    png, tiff = encode(PICTURE, "PNG"), encode(PICTURE, "TIFF")
    closed = io.BytesIO(png)
    closed.close()
    return {
        "missing file": (folder / "missing.jpg", f"{folder}/missing.jpg: no such file or directory"),
        "missing file as text": (str(folder / "missing.jpg"), f"{folder}/missing.jpg: no such file or directory"),
        "folder": (folder, f"{folder}: a folder, not a file"),
        "pipe": (pipe, f"{pipe}: not a regular file; give its bytes"),
        "file as folder": (text / "a.jpg", f"{text}/a.jpg: not a directory"),
        "long name": ("a" * 300, f"{'a' * 300}: file name too long"),
        "null in a name": ("a\0b", "'a\\x00b': cannot be read (ValueError: embedded null byte)"),
        "text": (text, f"{text}: not an image: it begins with b'Dear diary'"),
        "empty file": (empty, f"{empty}: empty, 0 bytes"),
        "empty bytes": (b"", "the given bytes: empty, 0 bytes"),
        "name of two lines": (strange, f"{str(strange)!a}: not an image: it begins with b'x'"),
        "truncated JPEG": (cut, f"{cut}: cannot be read (OSError: image file is truncated"),
        "truncated PNG": (png[:-60], "the given bytes: cannot be read (OSError: "),
        "PNG header only": (png[:20], "the given bytes: cannot be read (OSError: Truncated File Read)"),
        "truncated GIF": (encode(PICTURE, "GIF")[:100], "the given bytes: looks like GIF but cannot be read ("),
        "truncated TIFF": (tiff[:200], "the given bytes: cannot be read (OSError: image file is truncated"),
        "truncated WebP": (encode(PICTURE, "WEBP")[:90], "the given bytes: cannot be read ("),
        "truncated HEIC": (encode_heic(PICTURE)[:300], "the given bytes: looks like HEIC or MP4 but cannot be read ("),
        "truncated AVIF": (encode(PICTURE, "AVIF")[:300], "the given bytes: "),
        "truncated PSD": (psd(PICTURE)[:-100], "the given bytes: cannot be read (OSError: image file is truncated"),
        "flipped PNG": (png[:60] + b"\xff\xff" + png[62:], "the given bytes: cannot be read (OSError: "),
        "no pixels": (b"P6 0 4 255\n", "the given bytes: looks like PPM but cannot be read ("),
        "video": (b"\0\0\0\x18ftypmp42" + bytes(50), "the given bytes: looks like HEIC or MP4 but cannot be read ("),
        "PostScript": (
            b"%!PS-Adobe-3.0 EPSF-3.0\n",
            "the given bytes: EPS files are not drawn here; convert it to PNG",
        ),
        "metafile": (b"\xd7\xcd\xc6\x9a\0\0" + bytes(40), "the given bytes: WMF files are not drawn here; convert it"),
        "GRIB": (b"GRIB\0\0\0\1" + bytes(40), "the given bytes: GRIB files are not drawn here; convert it"),
        "SVG": (b"<svg width=9/>", "the given bytes: not an image: it begins with b'<svg width=9/>'"),
        "PDF": (b"%PDF-1.7\n" + bytes(50), "the given bytes: not an image: it begins with b'%PDF-1.7"),
        "closed file": (closed, "the given BytesIO: cannot be read (ValueError: I/O operation on closed file.)"),
        "text file": (io.StringIO("abc"), "the given StringIO: a file opened as text; open it with mode 'rb'"),
        "nothing": (None, "the given NoneType: not an image; give a path, bytes, an open file, a PIL image or a numpy"),
        "a number": (7, "the given int: not an image; give a path"),
        "PIL image without pixels": (Image.new("RGB", (0, 5)), "the given PIL image: 0 x 5 pixels: there is nothing"),
        "array without pixels": (np.zeros((0, 5, 3), np.uint8), "the given array: "),
        "flat array": (np.zeros(9, np.uint8), "the given array: shape (9,) is not (H, W), (H, W, 1), (H, W, 3) or"),
        "channels first": (np.zeros((3, 8, 8), np.uint8), "the given array: shape (3, 8, 8) is not (H, W)"),
        "batch": (np.zeros((2, 8, 8, 3), np.uint8), "the given array: shape (2, 8, 8, 3) is not (H, W)"),
        "16-bit array": (
            np.zeros((8, 8), np.uint16),
            "the given array: dtype uint16 is neither uint8 nor a float within",
        ),
        "mask": (np.zeros((8, 8), bool), "the given array: dtype bool is neither uint8 nor a float within 0..1"),
        "floats to 255": (
            np.full((8, 8), 255.0),
            "the given array: floats must lie within 0..1; divide by the value of",
        ),
        "not a number": (np.full((8, 8), np.nan), "the given array: floats must lie within 0..1"),
    }


def test_each_bad_source_is_refused_in_one_line(tmp_path: Path) -> None:
    for case, (source, complaint) in bad_sources(tmp_path).items():
        with pytest.raises(ImageError) as caught:
            open_image(source)
        message = str(caught.value)
        assert message.startswith(complaint), f"{case}: {message}"
        assert "\n" not in message
        assert len(message) < 600


def test_formats_can_be_limited_to_those_of_photos() -> None:
    for name in ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "AVIF"):
        assert open_image(encode(PICTURE, name), formats=PHOTO_FORMATS).size == PICTURE.size
    assert open_image(encode_heic(PICTURE), formats=PHOTO_FORMATS).size == PICTURE.size
    for data in (psd(PICTURE), encode(PICTURE, "PPM"), encode(PICTURE, "TGA"), b"words"):
        with pytest.raises(ImageError) as caught:
            open_image(data, formats=("JPEG", "PNG"))
        assert str(caught.value) == f"the given bytes: not a file of JPEG, PNG: it begins with {data[:16]!r}"


class LockedFile(io.RawIOBase):
    """As a file of someone else's, which root, who runs many tests, could read."""

    name = "secret.png"

    def seekable(self) -> bool:
        return False

    def read(self, size: int = -1) -> bytes:
        raise PermissionError(errno.EACCES, "Permission denied")


def test_an_error_of_the_system_is_told() -> None:
    with pytest.raises(ImageError, match=r"^secret\.png: permission denied$"):
        open_image(LockedFile())  # type: ignore[arg-type]


@pytest.mark.parametrize("options", [{"max_pixels": 0}, {"shortest_side": 0}, {"shortest_side": -3}])
def test_a_wrong_limit_is_a_mistake_of_the_caller(options: dict[str, int]) -> None:
    with pytest.raises(ValueError, match="max_pixels and shortest_side must be positive"):
        open_image(PICTURE, **options)  # type: ignore[arg-type]


def test_mutated_files_are_read_or_refused() -> None:
    seeds = [make(PICTURE) for make in FORMATS.values()]
    seeds += [encode(PICTURE, "JPEG", exif=exif(6)), encode(PICTURE.convert("CMYK"), "JPEG")]
    seeds += [encode(PICTURE.quantize(16), "PNG", transparency=3), encode(PICTURE, "TIFF", compression="tiff_lzw")]
    dice = random.Random(20)
    outcomes = {"read": 0, "refused": 0}
    for seed in seeds * 25:
        data = bytearray(seed)
        for _ in range(dice.randint(1, 5)):
            data[dice.randrange(min(len(data), dice.choice([40, 200, 10**6])))] = dice.choice([0, 1, 127, 128, 255])
        if dice.random() < 0.3:
            del data[dice.randrange(len(data)) :]
        try:
            image = open_image(data, max_pixels=10**6, shortest_side=dice.choice([None, 4]))
            assert image.mode == "RGB"
            outcomes["read"] += 1
        except ImageError as error:
            assert "\n" not in str(error)  # noqa: PT017
            outcomes["refused"] += 1
    assert min(outcomes.values()) > 50


def test_threads_may_open_images_at_once() -> None:
    data = [make(PICTURE) for make in FORMATS.values()]
    code = (
        "import sys, threading, pickle; from diptych.images import open_image\n"
        "data = pickle.load(sys.stdin.buffer); failures = []\n"
        "def read(start):\n"
        "    for i in range(len(data)):\n"
        "        try: open_image(data[(start + i) % len(data)])\n"
        "        except BaseException as error: failures.append(repr(error))\n"
        "threads = [threading.Thread(target=read, args=(start,)) for start in range(8)]\n"
        "[thread.start() for thread in threads]; [thread.join() for thread in threads]\n"
        "sys.exit('; '.join(failures) or 0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=pickle.dumps(data), capture_output=True, check=False)
    assert done.returncode == 0, done.stderr.decode()


def test_importing_loads_no_plugin_and_opening_a_jpeg_only_the_common_ones() -> None:
    code = (
        "import sys; from diptych.images import open_image; from PIL import Image\n"
        "assert not Image.OPEN and 'pillow_heif' not in sys.modules\n"
        "open_image(sys.stdin.buffer); assert 'TGA' not in Image.OPEN and 'pillow_heif' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], input=encode(PICTURE, "JPEG"), check=True)
