"""What people call the formats of photos and videos, and which there can be."""

from typing import Final

# As files are called, and as Pillow calls what is in them: a JPEG of several pictures, which many phones write, is an
# MPO to it.
_MEANT: Final = {
    **dict.fromkeys(("JPG", "JPEG", "JPE", "JFIF"), ("JPEG", "MPO")),
    **dict.fromkeys(("JP2", "J2K", "JPF", "JPX"), ("JPEG2000",)),
    **dict.fromkeys(("PBM", "PGM", "PNM"), ("PPM",)),
    **dict.fromkeys(("HEIC", "HIF"), ("HEIF",)),
    "TIF": ("TIFF",),
}


def meant_formats(name: str) -> tuple[str, ...]:
    """The formats that a name in any case stands for, as the library notes them."""
    return _MEANT.get(name.upper(), (name.upper(),))


def known_formats() -> set[str]:
    """The names of all that a folder is looked through for: pictures, RAW photos and videos."""
    from diptych.images import PICTURE_SUFFIXES
    from diptych.library.raw import RAW_SUFFIXES
    from diptych.library.video import VIDEO_SUFFIXES

    suffixes = PICTURE_SUFFIXES | RAW_SUFFIXES | VIDEO_SUFFIXES
    names = {"RAW", *(suffix[1:].upper() for suffix in suffixes)}
    return names.union(*map(meant_formats, names))
