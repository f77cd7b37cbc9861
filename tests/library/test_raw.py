"""RAW photos written here as DNG files, byte by byte: a mosaic of one half bright, and the JPEG that a camera adds."""

import io
import struct
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TypeAlias

import numpy as np
import pytest
from PIL import Image

from diptych.errors import ImageError
from diptych.images import open_image
from diptych.library.raw import RAW_SUFFIXES, read_raw

WIDTH, HEIGHT = 1024, 768
Value: TypeAlias = bytes | Sequence[int] | Sequence[tuple[int, int]]

# TIFF's kinds of values by their numbers, and of each kind the struct code
BYTE, ASCII, SHORT, LONG, RATIONAL, SRATIONAL = 1, 2, 3, 4, 5, 10
CODES = {BYTE: "B", ASCII: "B", SHORT: "H", LONG: "I", RATIONAL: "II", SRATIONAL: "ii"}
Directory: TypeAlias = Mapping[int, tuple[int, Value]]


def write_tiff(directory: Directory, children: Mapping[int, Directory], strips: Mapping[int, bytes]) -> bytes:
    """A TIFF file of one directory with others under it, by the tags that point to them.

    `strips` holds pixels by the tag of their directory, 0 for the first one.
    """
    out = bytearray(b"II*\0" + bytes(4))
    pointers = {}
    for tag, child in children.items():
        pointers[tag] = (LONG, [_write_directory(out, child, strips.get(tag))])
    first = _write_directory(out, {**directory, **pointers}, strips.get(0))
    out[4:8] = struct.pack("<I", first)
    return bytes(out)


def _write_directory(out: bytearray, directory: Directory, strip: bytes | None) -> int:
    entries = dict(directory)
    if strip is not None:
        entries |= {273: (LONG, [len(out)]), 279: (LONG, [len(strip)])}
        out += strip
    packed = []
    for tag, (kind, value) in sorted(entries.items()):
        numbers = [part for each in value for part in (each if isinstance(each, tuple) else (each,))]
        data = struct.pack("<" + CODES[kind][0] * len(numbers), *numbers)
        if len(data) > 4:
            out += bytes(len(out) % 2)
            packed.append(struct.pack("<HHII", tag, kind, len(value), len(out)))
            out += data
        else:
            packed.append(struct.pack("<HHI", tag, kind, len(value)) + data.ljust(4, b"\0"))
    out += bytes(len(out) % 2)
    start = len(out)
    out += struct.pack("<H", len(packed)) + b"".join(packed) + bytes(4)
    return start


def camera_jpeg(size: tuple[int, int] = (WIDTH, HEIGHT), orientation: int | None = None) -> bytes:
    """Red with a blue left upper corner, as it is stored."""
    picture = Image.new("RGB", size, "red")
    picture.paste("blue", (0, 0, size[0] // 3, size[1] // 3))
    exif = Image.Exif()
    if orientation is not None:
        exif[0x0112] = orientation
    file = io.BytesIO()
    picture.save(file, "JPEG", exif=exif.tobytes() if orientation is not None else b"")
    return file.getvalue()


def write_dng(
    orientation: int = 1, *, jpeg: bytes | None = None, jpeg_size: tuple[int, int] = (WIDTH, HEIGHT)
) -> bytes:
    """A DNG whose left upper corner is bright, as it is stored, with this orientation."""
    mosaic = np.full((HEIGHT, WIDTH), 2000, "<u2")
    mosaic[: HEIGHT // 3, : WIDTH // 3] = 60000
    camera: Directory = {
        271: (ASCII, b"Nikon\0"),
        272: (ASCII, b"Nikon Z 9\0"),
        274: (SHORT, [orientation]),
        50706: (BYTE, [1, 4, 0, 0]),
        50708: (ASCII, b"Nikon Z 9\0"),
        50721: (SRATIONAL, [(1, 1), (0, 1), (0, 1), (0, 1), (1, 1), (0, 1), (0, 1), (0, 1), (1, 1)]),
        50728: (RATIONAL, [(1, 1), (1, 1), (1, 1)]),
    }
    sensor: Directory = {
        254: (LONG, [0]),
        256: (LONG, [WIDTH]),
        257: (LONG, [HEIGHT]),
        258: (SHORT, [16]),
        259: (SHORT, [1]),
        262: (SHORT, [32803]),
        277: (SHORT, [1]),
        278: (LONG, [HEIGHT]),
        33421: (SHORT, [2, 2]),
        33422: (BYTE, [0, 1, 1, 2]),
    }
    photograph: Directory = {36867: (ASCII, b"2023:05:01 12:20:30\0"), 36881: (ASCII, b"+02:00\0")}
    place: Directory = {
        1: (ASCII, b"S\0"),
        2: (RATIONAL, [(33, 1), (30, 1), (0, 1)]),
        3: (ASCII, b"E\0"),
        4: (RATIONAL, [(151, 1), (12, 1), (0, 1)]),
    }
    children = {34665: photograph, 34853: place}
    if jpeg is None:
        return write_tiff({**camera, **sensor}, children, {0: mosaic.tobytes()})
    look: Directory = {
        254: (LONG, [1]),
        256: (LONG, [jpeg_size[0]]),
        257: (LONG, [jpeg_size[1]]),
        258: (SHORT, [8, 8, 8]),
        259: (SHORT, [7]),
        262: (SHORT, [6]),
        277: (SHORT, [3]),
        278: (LONG, [jpeg_size[1]]),
    }
    return write_tiff({**camera, **look}, {330: sensor, **children}, {0: jpeg, 330: mosaic.tobytes()})


def bright_corner(picture: bytes) -> tuple[tuple[int, int], str]:
    """The size, and the corner that is blue in a camera's JPEG and bright in a developed picture."""
    image = open_image(picture)
    blue = np.asarray(image.resize((4, 4)))[:, :, 2]
    row, column = np.unravel_index(int(blue.argmax()), blue.shape)
    return image.size, f"{'lower' if row > 1 else 'upper'} {'right' if column > 1 else 'left'}"


# TIFF 6.0, Orientation: where the first row and the first column are shown
CORNERS = {
    1: "upper left",
    2: "upper right",
    3: "lower right",
    4: "lower left",
    5: "upper left",
    6: "upper right",
    7: "lower right",
    8: "lower left",
}


@pytest.mark.parametrize("orientation", CORNERS)
@pytest.mark.parametrize("own", [None, 1, "the same", 3], ids=["no EXIF", "not turned", "the same", "another"])
def test_cameras_jpeg_is_turned_once_as_the_raw_is(own: int | str | None, orientation: int) -> None:
    jpeg = camera_jpeg(orientation=orientation if own == "the same" else own if isinstance(own, int) else None)
    photo = read_raw(write_dng(orientation, jpeg=jpeg), "a.dng")
    size = (HEIGHT, WIDTH) if orientation >= 5 else (WIDTH, HEIGHT)
    assert bright_corner(photo.preview) == (size, CORNERS[orientation])
    assert photo.preview.startswith(b"\xff\xd8")
    assert (photo.facts.width, photo.facts.height) == size


@pytest.mark.parametrize("orientation", CORNERS)
def test_raw_without_a_jpeg_is_developed_at_half_its_size(orientation: int) -> None:
    photo = read_raw(write_dng(orientation), "a.dng")
    size = (HEIGHT // 2, WIDTH // 2) if orientation >= 5 else (WIDTH // 2, HEIGHT // 2)
    assert bright_corner(photo.preview) == (size, CORNERS[orientation])
    assert photo.facts.width == 2 * size[0]


def test_jpeg_that_stands_upright_already_is_left_so() -> None:
    upright = camera_jpeg((HEIGHT, WIDTH))
    photo = read_raw(write_dng(6, jpeg=upright, jpeg_size=(HEIGHT, WIDTH)), "a.dng")
    assert bright_corner(photo.preview) == ((HEIGHT, WIDTH), "upper left")


def test_thumbnail_is_too_small_and_the_raw_is_developed() -> None:
    photo = read_raw(write_dng(8, jpeg=camera_jpeg((160, 120)), jpeg_size=(160, 120)), "a.dng")
    assert bright_corner(photo.preview) == ((HEIGHT // 2, WIDTH // 2), "lower left")


def test_thumbnail_will_do_where_the_raw_cannot_be_developed() -> None:
    dng = write_dng(8, jpeg=camera_jpeg((160, 120)), jpeg_size=(160, 120))
    packed = struct.pack("<HHIHH", 259, SHORT, 1, 1, 0)
    assert dng.count(packed) == 1
    photo = read_raw(dng.replace(packed, struct.pack("<HHIHH", 259, SHORT, 1, 9, 0)), "a.dng")
    assert bright_corner(photo.preview) == ((120, 160), "lower left")


def test_facts_are_those_of_the_raw() -> None:
    facts = read_raw(write_dng(6, jpeg=camera_jpeg()), "holiday/DSC_0001.NEF").facts
    assert (facts.width, facts.height, facts.format) == (HEIGHT, WIDTH, "NEF")
    assert (facts.taken_at, facts.taken_zone) == ("2023-05-01T12:20:30", "+02:00")
    assert (facts.camera, facts.latitude, facts.longitude) == ("Nikon Z 9", -33.5, 151.2)


@pytest.mark.parametrize("magic", [b"IIRO", b"IIRS", b"IIU\0"], ids=["Olympus", "Olympus too", "Panasonic"])
def test_facts_are_read_from_a_tiff_by_another_number(magic: bytes) -> None:
    facts = read_raw(magic + write_dng(6, jpeg=camera_jpeg())[4:], "a.orf").facts
    assert (facts.format, facts.taken_zone, facts.latitude) == ("ORF", "+02:00", -33.5)


def test_broken_exif_leaves_a_photo() -> None:
    dng = write_dng(6, jpeg=camera_jpeg()).replace(b"2023:05:01 12:20:30", b"\xff" * 19)
    photo = read_raw(dng, "a.dng")
    assert (photo.facts.width, photo.facts.taken_at) == (HEIGHT, None)


@pytest.mark.parametrize(
    "data", [b"", b"only words", camera_jpeg(), write_dng()[:600]], ids=["empty", "text", "JPEG", "cut off"]
)
def test_what_is_no_raw_photo_is_said_in_one_line(data: bytes) -> None:
    with pytest.raises(ImageError) as told:
        read_raw(data, "a\n.dng")
    assert str(told.value).startswith("'a\\n.dng': cannot be read as a RAW photo (")
    assert "\n" not in str(told.value)


def test_damaged_raw_photos_never_raise_anything_else() -> None:
    dng = np.frombuffer(write_dng(6, jpeg=camera_jpeg((64, 48)), jpeg_size=(64, 48)), np.uint8)
    generator = np.random.default_rng(0)
    for _ in range(30):
        damaged = dng.copy()
        damaged[generator.integers(0, len(dng), 40)] = generator.integers(0, 256, 40)
        damaged[-500:][generator.integers(0, 500, 10)] = generator.integers(0, 256, 10)
        with suppress(ImageError):
            assert read_raw(damaged.tobytes(), "a.dng").preview


def test_missing_rawpy_is_said_with_the_command_to_install_it() -> None:
    code = """
import sys
sys.modules["rawpy"] = None
from diptych.errors import ImageError
from diptych.library.raw import read_raw
try:
    read_raw(b"", "a.dng")
except ImageError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told == 'a.dng: RAW photos need rawpy, which is not installed: pip install "diptych[raw]"\n'


def test_raw_suffixes_are_written_in_lower_case_with_their_dot() -> None:
    assert {".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2", ".pef", ".srw"} <= RAW_SUFFIXES
    assert all(suffix == suffix.lower() and suffix.startswith(".") for suffix in RAW_SUFFIXES)
