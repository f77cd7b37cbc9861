"""RAW photos: the picture that the camera itself put in, and what the file says. Needs rawpy, the extra "raw"."""

import io
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any, Final

from PIL import Image

from diptych.errors import ImageError, printable
from diptych.images import BROKEN_METADATA, MAX_PIXELS, ImageHeader, ppm, read_header
from diptych.library.metadata import PhotoFacts, facts_of

if TYPE_CHECKING:
    import rawpy

RAW_SUFFIXES: Final = frozenset(
    {
        *(".dng", ".cr2", ".cr3", ".crw", ".nef", ".nrw", ".arw", ".srf", ".sr2", ".raf", ".orf", ".rw2", ".rwl"),
        *(".pef", ".srw", ".x3f", ".mrw", ".erf", ".kdc", ".dcr", ".mos", ".mef", ".iiq", ".3fr", ".fff", ".gpr"),
    }
)
RAWPY_IS_MISSING: Final = 'RAW photos need rawpy, which is not installed: pip install "diptych[raw]"'
_LEAST_SIDE: Final = 384  # pixels; old cameras put in a thumbnail only, which the models would have to enlarge
_ORIENTATIONS: Final = (1, 2, 4, 3, 5, 8, 6, 7)  # EXIF's for dcraw's flips 0..7: 1 mirrors, 2 turns over, 4 transposes
_ORIENTATION, _CHANGED, _PHOTOGRAPH, _PLACE = 0x0112, 0x0132, 0x8769, 0x8825  # EXIF 2.32
_HEAD: Final = 1 << 20  # bytes within which Canon's CR3 has its directories


@dataclass(frozen=True, kw_only=True)
class RawPhoto:
    """`preview` is a picture that `open_image` opens and turns upright; the facts are those of the RAW itself."""

    preview: bytes
    facts: PhotoFacts


def read_raw(data: bytes, name: str) -> RawPhoto:
    """The preview and the facts of a RAW file's bytes; `name` tells the format and is said in errors.

    The preview is the largest JPEG in the file. Where there is none, or a thumbnail only, the RAW is developed at half
    its size. Either comes upright, by the orientation of the RAW, which is applied once.

    Raises ImageError, in one line, for what cannot be read, and where rawpy is not installed.
    """
    shown_name = printable(name)
    try:
        import rawpy

        with rawpy.imread(io.BytesIO(data)) as raw:
            sizes = raw.sizes  # now: LibRaw forgets them when it fails to develop
            preview, tags = _preview(raw, sizes)
    except ImportError as error:
        raise ImageError(f"{shown_name}: {RAWPY_IS_MISSING}") from error
    except ImageError as error:
        raise ImageError(f"{shown_name}: {error}") from error
    except Exception as error:  # LibRaw's errors share no base with Python's, and hostile bytes bring others
        raise ImageError(f"{shown_name}: cannot be read as a RAW photo ({_text(error)})") from error
    suffix = PurePath(name).suffix.lower()
    header = ImageHeader(
        format=suffix[1:].upper() if suffix in RAW_SUFFIXES else "RAW",
        size=(sizes.height, sizes.width) if sizes.flip & 4 else (sizes.width, sizes.height),
        exif={**(_without_epoch(tags.exif) if tags else {}), **_exif(data, _PHOTOGRAPH)},
        gps=_exif(data, _PLACE) or (tags.gps if tags else {}),
    )
    return RawPhoto(preview=preview, facts=facts_of(header))


def _preview(raw: "rawpy.RawPy", sizes: "rawpy.ImageSizes") -> tuple[bytes, ImageHeader | None]:
    """A picture for `open_image`, and the header of the camera's own JPEG, if there is one."""
    import rawpy

    jpeg, header = _camera_jpeg(raw)
    if header is None or min(header.size) < _LEAST_SIDE:
        try:
            return _developed(raw, sizes), header
        except (rawpy.LibRawError, rawpy.NotSupportedError, ImageError):
            if header is None:
                raise
    assert header is not None
    return _turned_as(sizes, jpeg, header), header


def _camera_jpeg(raw: "rawpy.RawPy") -> tuple[bytes, ImageHeader | None]:
    import rawpy

    with suppress(rawpy.LibRawError, NotImplementedError, ImageError):  # none, or none that can be read
        thumbnail = raw.extract_thumb()
        if isinstance(thumbnail.data, bytes):
            return thumbnail.data, read_header(thumbnail.data)
    return b"", None


def _turned_as(sizes: "rawpy.ImageSizes", jpeg: bytes, header: ImageHeader) -> bytes:
    """The JPEG with the RAW's orientation for its own, which cameras leave out, and programs that turn do not update.

    A JPEG that stands upright where the RAW lies on its side is left as it is.
    """
    flip = sizes.flip & 7
    own = header.exif.get(_ORIENTATION)
    width, height = header.size[::-1] if own in (5, 6, 7, 8) else header.size
    is_upright_already = bool(flip & 4) and (width < height) != (sizes.width < sizes.height)
    orientation = 1 if is_upright_already else _ORIENTATIONS[flip]
    return jpeg if own == orientation else with_orientation(jpeg, orientation)


def _developed(raw: "rawpy.RawPy", sizes: "rawpy.ImageSizes") -> bytes:
    """A PPM file of half the size, upright."""
    if sizes.raw_width * sizes.raw_height > MAX_PIXELS:
        raise ImageError(f"{sizes.raw_width} x {sizes.raw_height} pixels are more than {MAX_PIXELS:,}")
    return ppm(raw.postprocess(half_size=True, use_camera_wb=True))


def with_orientation(jpeg: bytes, orientation: int) -> bytes:
    """The JPEG with EXIF that holds this orientation (1..8) and nothing else."""
    entry = struct.pack(">HHIHH", _ORIENTATION, 3, 1, orientation, 0)
    exif = b"Exif\0\0MM\0*\0\0\0\x08\0\x01" + entry + bytes(4)
    kept = [b"\xff\xd8\xff\xe1", struct.pack(">H", len(exif) + 2), exif]
    position = 2
    while jpeg[position : position + 1] == b"\xff" and 0xE0 <= jpeg[position + 1] <= 0xEF:
        (length,) = struct.unpack_from(">H", jpeg, position + 2)
        segment = jpeg[position : position + 2 + length]
        if not segment[4:].startswith((b"Exif\0", b"MPF\0")):  # MPF tells where in the file other pictures are
            kept.append(segment)
        position += len(segment)
    return b"".join((*kept, jpeg[position:]))


def _without_epoch(exif: dict[int, Any]) -> dict[int, Any]:
    """The tags without the time that LibRaw makes up, in the zone of this computer, where it knows none."""
    is_made_up = str(exif.get(_CHANGED, "")).startswith(("1970:01:01", "1969:12:31"))
    return {tag: value for tag, value in exif.items() if not (is_made_up and tag == _CHANGED)}


def _exif(data: bytes, directory: int) -> dict[int, Any]:
    """The tags of the photograph (with those of its picture) or of its place, as far as they can be read."""
    tags: dict[int, Any] = {}
    for kinds, tiff in _tiffs(data):
        with suppress(*BROKEN_METADATA):
            exif = Image.Exif()
            exif.load(tiff)
            if directory == _PHOTOGRAPH and _PLACE not in kinds:
                tags |= dict(exif)
            tags |= dict(exif) if directory in kinds else exif.get_ifd(directory)
    return tags


def _tiffs(data: bytes) -> Iterator[tuple[tuple[int, ...], bytes]]:
    """The TIFF files that hold a RAW file's EXIF, each with the directories that are its first one."""
    if data[:4] in (b"II*\0", b"MM\0*"):
        yield (), data
    elif data[:4] in (b"IIRO", b"IIRS", b"IIU\0"):  # Olympus and Panasonic: TIFF by another number
        yield (), b"II*\0" + data[4:]
    elif data[4:12] == b"ftypcrx ":  # Canon's CR3
        for box, kinds in ((b"CMT1", ()), (b"CMT2", (_PHOTOGRAPH,)), (b"CMT4", (_PLACE,))):
            at = data.find(box, 0, _HEAD)
            if at >= 4:
                (length,) = struct.unpack_from(">I", data, at - 4)
                yield kinds, data[at + 4 : at - 4 + length]


def _text(error: Exception) -> str:
    reason = error.args[0] if error.args else ""
    text = reason.decode("utf-8", "replace") if isinstance(reason, bytes) else str(reason)
    return " ".join(text.split())[:200] or type(error).__name__
