"""Folders of small real photographs with what cameras say of them, and libraries of them, for servers to serve."""

import io
from collections.abc import Mapping
from pathlib import Path

from PIL import Image

import diptych
from diptych.demo.photographs import find_photographs
from diptych.library.library import PhotoLibrary
from diptych.library.roots import Root

_PHOTOGRAPHS = {path.stem: path for path in find_photographs()}
_MAKE, _MODEL, _TAKEN, _EXIF, _GPS = 0x010F, 0x0110, 0x9003, 0x8769, 0x8825
HOLIDAY: Mapping[str, str] = {
    "animals/cat.jpg": "chelsea",
    "coffee.jpg": "coffee",
    "space/rocket.jpg": "rocket",
    "space/moon.jpg": "moon",
    "people/astronaut.png": "astronaut",
    "temple.jpg": "china",
    "flower.jpg": "flower",
}


def write_photo(path: Path, photograph: str, *, size: tuple[int, int] = (160, 120), **exif: object) -> Path:
    """One of the demo's photographs, smaller; `camera`, `taken` and `place` (degrees) go into its EXIF."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with Image.open(_PHOTOGRAPHS[photograph]) as image:
        small = image.convert("RGB").resize(size)
    small.save(path, exif=_exif(exif)) if exif else small.save(path)
    return path


def write_holiday(folder: Path) -> Path:
    """Seven photographs in folders, two with what a camera says."""
    for name, photograph in HOLIDAY.items():
        write_photo(folder / name, photograph)
    write_photo(
        folder / "animals/cat.jpg", "chelsea", camera="Leica Q3", taken="2024:05:31 18:20:05", place=(48.86, 2.35)
    )
    write_photo(folder / "temple.jpg", "china", size=(640, 480), camera="Canon EOS R5", taken="2023:01:02 03:04:05")
    return folder


def write_many(folder: Path, count: int, *, photograph: str = "chelsea") -> Path:
    """So many files, each of other bytes, quickly."""
    folder.mkdir(parents=True, exist_ok=True)
    jpeg = io.BytesIO()
    with Image.open(_PHOTOGRAPHS[photograph]) as image:
        image.convert("RGB").resize((320, 240)).save(jpeg, "JPEG")
    for number in range(count):
        (folder / f"{number:05d}.jpg").write_bytes(jpeg.getvalue() + str(number).encode())
    return folder


def photograph(name: str) -> bytes:
    """The file of one of the demo's photographs."""
    return _PHOTOGRAPHS[name].read_bytes()


def open_library(folder: Path) -> PhotoLibrary:
    """A library with the model in the package, computed as the servers of tests do."""
    encoder = diptych.load(dtype="float32", device="cpu")
    return PhotoLibrary.open(folder, create_missing=True, encoder=encoder)


def index(folder: Path, *roots: Path | Root) -> Path:
    """A library's folder, once what the roots hold is in it."""
    with open_library(folder) as library:
        library.index(*roots)
    return folder


def _exif(facts: Mapping[str, object]) -> Image.Exif:
    exif = Image.Exif()
    if camera := facts.get("camera"):
        exif[_MODEL] = camera
    if taken := facts.get("taken"):
        exif.get_ifd(_EXIF)[_TAKEN] = taken
    match facts.get("place"):
        case (float(latitude), float(longitude)):
            exif.get_ifd(_GPS).update({1: "N", 2: (latitude, 0.0, 0.0), 3: "E", 4: (longitude, 0.0, 0.0)})
    return exif
