"""Any file, bytes, PIL image or array to an upright 8-bit RGB picture, or one line that says why not."""

import io
import os
import re
import stat
import struct
import threading
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, TypeAlias

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile

from diptych.errors import ImageError, TooManyPixelsError, printable

ImageSource: TypeAlias = (
    str
    | os.PathLike[str]
    | bytes
    | bytearray
    | memoryview
    | BinaryIO
    | Image.Image
    | npt.NDArray[np.uint8]
    | npt.NDArray[np.floating[Any]]
)
_Size: TypeAlias = tuple[int, int]
_Box: TypeAlias = tuple[float, float, float, float]
_Opener: TypeAlias = Callable[[IO[bytes], str | bytes], ImageFile.ImageFile]
_Accepts: TypeAlias = Callable[[bytes], bool | str]

# What files with pictures are usually called, in lower case. In a folder these are looked at; a file that is named is
# opened whatever its name.
PICTURE_SUFFIXES: Final = frozenset(
    {
        *(".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".webp", ".heic", ".heif", ".hif", ".avif", ".gif", ".tif"),
        *(".tiff", ".bmp", ".dib", ".jp2", ".j2k", ".jpf", ".jpx", ".psd", ".tga", ".qoi", ".ico", ".icns", ".pcx"),
        *(".pbm", ".pgm", ".ppm", ".pnm", ".xbm", ".xpm"),
    }
)

# EPS and WMF are drawn by other programs (Ghostscript, Windows), IPTC reopens what it carries as any format (EPS
# among them), and of the rest Pillow knows the header only.
_REFUSED: Final = frozenset({"BUFR", "EPS", "GRIB", "HDF5", "IPTC", "MPEG", "WMF"})
# What cameras write and web pages show. The plugins of all other formats have had fewer eyes on them.
PHOTO_FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "HEIF", "AVIF")
_DECLINED: Final = (SyntaxError, IndexError, TypeError, struct.error)  # how a plugin says that a file is not its own
BROKEN_METADATA: Final = (
    ArithmeticError,
    AttributeError,
    LookupError,
    OSError,
    SyntaxError,
    TypeError,
    ValueError,
    Warning,  # Pillow warns of broken EXIF, and a caller may have made warnings errors
    struct.error,
)
_CALLED: Final = {"HEIF": "HEIC or MP4"}  # what begins so may be a video
_reading = threading.Lock()
MAX_PIXELS: Final = 200_000_000
_MOST_SCANS: Final = 100  # of a progressive JPEG; encoders write about ten
_MARKER: Final = re.compile(rb"\xff[^\x00\x01\xd0-\xd8\xff]")  # those that are not alone
_START_OF_SCAN, _END_OF_IMAGE = 0xDA, 0xD9
_LEVELS_AT_ONCE: Final = 1 << 20
_ORIENTATION: Final = 0x0112
_PICTURE, _PHOTOGRAPH, _PLACE = 0, 0x8769, 0x8825  # EXIF's directories
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, kw_only=True)
class ImageHeader:
    """What a file says of its picture: Pillow's name of the format, (width, height) upright, and EXIF tags by number.

    `exif` holds those of the picture and those of the photograph, `gps` those of its place; values are Pillow's.
    `icc_profile` says what its colours mean, where they may be others than sRGB's.
    """

    format: str
    size: tuple[int, int]
    exif: dict[int, Any]
    gps: dict[int, Any]
    icc_profile: bytes | None = None


class _BadImageError(Exception):
    """The reason alone; `open_image` puts the name of the source before it."""


class _SizeError(_BadImageError):
    """The one reason that is an error of its own, of an image of so many pixels."""

    def __init__(self, reason: str, pixels: int) -> None:
        super().__init__(reason)
        self.pixels = pixels


def open_image(
    source: ImageSource,
    *,
    max_pixels: int = MAX_PIXELS,
    shortest_side: int | None = None,
    formats: Collection[str] | None = None,
) -> Image.Image:
    """The picture as a new RGB image: decoded, EXIF orientation applied, transparency over white, metadata dropped.

    Reads every format that Pillow and libheif decode by themselves, by content and not by extension, and of an
    animation the first frame. A file object is read from its start and left open. An array is (H, W), (H, W, 1),
    (H, W, 3) or (H, W, 4), of uint8 or of floats within 0..1 (rounded to 8 bits). 16-bit grey is scaled to 8 bits.

    formats are those that are read at all, by Pillow's names, such as PHOTO_FORMATS: for files of strangers.
    max_pixels is compared with the header before anything is decoded, in place of Pillow's own limit.
    shortest_side allows a JPEG to be decoded at 1/2, 1/4 or 1/8 while its shortest side keeps that many pixels. Then
    `info["reduced"]` tells the decoded `size`, the `full_size` (width, height) and the `extent` (left, top, right,
    bottom) of the full picture within the decoded one, whose last row and column may be part empty.

    Raises ImageError, in one line that names the source, for whatever cannot be read; TooManyPixelsError, which is one,
    for more than max_pixels.
    """
    if max_pixels < 1 or (shortest_side is not None and shortest_side < 1):
        raise ValueError(f"max_pixels and shortest_side must be positive, got {max_pixels} and {shortest_side}")
    try:
        if isinstance(source, np.ndarray):
            return _upright_rgb(Image.fromarray(_to_uint8(source)), max_pixels)
        if isinstance(source, Image.Image):
            _check_size(source.size, max_pixels)
            with _reading:  # a picture opened lazily reads its file now, and several threads may have been given it
                copied = source.copy()
            return _upright_rgb(copied, max_pixels)
        with _open_stream(source) as stream:
            image = _identify(stream, formats)
            _check_scans(image, stream)
            return _decode(image, max_pixels, shortest_side)
    except ImageError:  # what a file object said of itself
        raise
    except Exception as error:  # hostile bytes make Pillow's plugins raise anything, from struct.error to MemoryError
        reason = f"{_name(source)}: {_reason(error)}"
        if isinstance(error, _SizeError):
            raise TooManyPixelsError(reason, pixels=error.pixels) from error
        raise ImageError(reason) from error


def read_header(source: str | os.PathLike[str] | bytes) -> ImageHeader:
    """What a file says of its picture, which is not decoded. Raises ImageError for what is no image.

    Metadata that is broken is left out.
    """
    try:
        with _open_stream(source) as stream:
            image = _identify(stream)
            width, height = image.size
            is_turned = _orientation(image) >= 5
            return ImageHeader(
                format=image.format or "",
                size=(height, width) if is_turned else (width, height),
                exif=_tags(image, _PICTURE) | _tags(image, _PHOTOGRAPH),
                gps=_tags(image, _PLACE),
                icc_profile=image.info.get("icc_profile") or None,
            )
    except Exception as error:  # as in open_image
        raise ImageError(f"{_name(source)}: {_reason(error)}") from error


def ppm(rgb: npt.NDArray[np.uint8]) -> bytes:
    """A picture (H, W, 3) as the bytes of a file that `open_image` opens."""
    height, width, _ = rgb.shape
    return b"P6\n%d %d\n255\n" % (width, height) + rgb.tobytes()


def _tags(image: Image.Image, directory: int) -> dict[int, Any]:
    try:
        exif = image.getexif()
        return dict(exif if directory == _PICTURE else exif.get_ifd(directory))
    except BROKEN_METADATA:
        return {}


def _open_stream(source: str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryIO) -> IO[bytes]:
    """A seekable stream that is ours to close."""
    if isinstance(source, bytes | bytearray | memoryview):
        return io.BytesIO(source)
    if isinstance(source, str | os.PathLike):
        path = Path(os.fsdecode(source))
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):  # a pipe or a device could block for ever
            raise _BadImageError("a folder, not a file" if stat.S_ISDIR(mode) else "not a regular file; give its bytes")
        return path.open("rb")
    if not hasattr(source, "read"):
        raise _BadImageError("not an image; give a path, bytes, an open file, a PIL image or a numpy array")
    return io.BytesIO(_read_all(source))


def _read_all(file: BinaryIO) -> bytes:
    if file.seekable():
        file.seek(0)
    data = file.read()
    if not isinstance(data, bytes):
        raise _BadImageError("a file opened as text; open it with mode 'rb'")
    return data


def _identify(stream: IO[bytes], formats: Collection[str] | None = None) -> ImageFile.ImageFile:
    """The picture with its header read, by the first format that accepts it.

    Pillow's openers are called directly: `Image.open` warns or raises at Pillow's own size limit, and that limit
    and the warning filters are global, so no thread could set them aside for itself.
    """
    prefix = stream.read(16)
    if not prefix:
        raise _BadImageError("empty, 0 bytes")
    claim = ""
    for name, opener, accepts in _formats(prefix):
        is_signed = accepts is not None and _accepts(accepts, prefix)
        if is_signed and name in _REFUSED:
            raise _BadImageError(f"{name} files are not drawn here; convert it to PNG or JPEG first")
        is_unwanted = formats is not None and name not in formats
        if is_unwanted or name in _REFUSED or (accepts is not None and not is_signed):
            continue
        stream.seek(0)
        try:
            return opener(stream, "")  # no file name: Pillow would open the path again to map it
        except _DECLINED as error:
            if is_signed and not claim:
                claim = f"looks like {_CALLED.get(name, name)} but {_reason(error)}"
    wanted = "not an image" if formats is None else f"not a file of {', '.join(formats)}"
    raise _BadImageError(claim or f"{wanted}: it begins with {prefix!r}")


def _accepts(accepts: _Accepts, prefix: bytes) -> bool:
    try:
        accepted = accepts(prefix)
    except _DECLINED:
        return False
    return not isinstance(accepted, str) and bool(accepted)  # a text says what this build of Pillow lacks


def _formats(prefix: bytes) -> Iterator[tuple[str, _Opener, _Accepts | None]]:
    """Pillow's formats, the common ones first; importing the others (15 ms, HEIC 8 ms) waits until those decline."""
    known: set[str] = set()
    for import_plugins in (Image.preinit, Image.init):
        import_plugins()
        for name, (opener, accepts) in list(Image.OPEN.items()):
            if name not in known:
                known.add(name)
                yield name, opener, accepts
    if prefix[4:8] == b"ftyp":
        from pillow_heif import HeifImageFile

        yield "HEIF", HeifImageFile, lambda _: True


def _decode(image: ImageFile.ImageFile, max_pixels: int, shortest_side: int | None) -> Image.Image:
    _check_size(image.size, max_pixels)
    full_size = image.size
    drafted = None
    if shortest_side is not None and image.format in ("JPEG", "MPO"):
        drafted = image.draft(None, (shortest_side, shortest_side))
    if image.format == "TIFF":  # the plugin compares the memory it allocates itself with Pillow's own limit
        image.im = Image.new(image.mode, getattr(image, "_tile_size", image.size), None).im
    image.load()
    orientation = _orientation(image)
    result = _upright_rgb(image, max_pixels)
    if drafted is not None and image.size != full_size:
        full = full_size[::-1] if orientation >= 5 else full_size
        result.info["reduced"] = {
            "size": result.size,
            "full_size": full,
            "extent": _turn_extent(drafted[1], image.size, orientation),
        }
    return result


def _turn_extent(extent: _Box, size: _Size, orientation: int) -> _Box:
    """Where a box of an image of this (width, height) lies once the image is upright."""
    left, top, right, bottom = extent
    width, height = size
    x = (width - right, width - left) if orientation in (2, 3, 7, 8) else (left, right)
    y = (height - bottom, height - top) if orientation in (3, 4, 6, 7) else (top, bottom)
    if orientation >= 5:
        x, y = y, x
    return x[0], y[0], x[1], y[1]


def _upright_rgb(image: Image.Image, max_pixels: int) -> Image.Image:
    """A loaded image in RGB, turned as its metadata asks and then without it, so that no one turns it again."""
    _check_size(image.size, max_pixels)  # again: an icon's directory, for one, may lie about the picture inside
    method = _UPRIGHT.get(_orientation(image))
    rgb = _to_rgb(image)
    if method is not None:
        rgb = rgb.transpose(method)
    rgb.info = {}
    return rgb


def _orientation(image: Image.Image) -> int:
    try:
        orientation = image.getexif().get(_ORIENTATION, 1)
    except BROKEN_METADATA:
        return 1  # a photo with broken metadata is still a photo
    return orientation if orientation in _UPRIGHT else 1


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode.startswith("I;16"):
        return _from_16_bits(image)
    if image.mode in ("I", "F"):
        return _from_any_range(image)
    if image.has_transparency_data:
        return _over_white(image)
    return image if image.mode == "RGB" else image.convert("RGB")


def _over_white(image: Image.Image) -> Image.Image:
    if image.mode == "La":  # Pillow has no direct way from premultiplied grey to RGBA
        image = image.convert("LA")
    rgba = image.convert("RGBA")
    white = Image.new("RGB", rgba.size, "white")
    white.paste(rgba, mask=rgba.getchannel("A"))
    return white


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Grey 0..65535 rounded to 0..255 (Pillow's own conversion clips at 255); a transparent level becomes white."""
    levels = np.rint(np.arange(65536) / 257).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        levels[transparent] = 255
    return Image.fromarray(levels[np.asarray(image)]).convert("RGB")


def _from_any_range(image: Image.Image) -> Image.Image:
    """Grey of 32-bit integers or floats: white is the least of 1 (floats), 255 and 65535 that holds all values.

    Where none does, or where values are negative, the range found is stretched. What is not finite is black.
    """
    levels = np.asarray(image)
    grey = np.empty(levels.shape, np.uint8)
    # A part at a time: as float64 all of a large picture would take five times its own room.
    parts = [slice(start, start + _LEVELS_AT_ONCE) for start in range(0, levels.size, _LEVELS_AT_ONCE)]
    ranges = [(values.min(), values.max()) for values in (_finite(levels.reshape(-1)[part]) for part in parts)]
    low, high = float(min(low for low, _ in ranges)), float(max(high for _, high in ranges))
    whites = (1.0, 255.0, 65535.0) if image.mode == "F" else (255.0, 65535.0)
    if low < 0 or high > whites[-1]:
        black, white = low, (high - low) or 1.0
    else:
        black, white = 0.0, next(white for white in whites if high <= white)
    for part in parts:
        grey.reshape(-1)[part] = np.rint((_finite(levels.reshape(-1)[part]) - black) / white * 255)
    return Image.fromarray(grey).convert("RGB")


def _finite(levels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    return np.nan_to_num(levels.astype(np.float64), copy=False, nan=0.0, posinf=0.0, neginf=0.0)


def _to_uint8(array: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    if array.ndim == 3 and array.shape[2] == 1:
        array = array[:, :, 0]
    if not (array.ndim == 2 or (array.ndim == 3 and array.shape[2] in (3, 4))):
        raise _BadImageError(f"shape {array.shape} is not (H, W), (H, W, 1), (H, W, 3) or (H, W, 4)")
    if np.issubdtype(array.dtype, np.floating):
        if not np.all((array >= 0) & (array <= 1)):
            raise _BadImageError("floats must lie within 0..1; divide by the value of white")
        array = np.rint(array * 255).astype(np.uint8)
    if array.dtype != np.uint8:
        raise _BadImageError(f"dtype {array.dtype} is neither uint8 nor a float within 0..1")
    return array


def _check_size(size: _Size, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        reason = f"{width} x {height} pixels are more than the {max_pixels:,} that are taken"
        raise _SizeError(reason, width * height)
    if width * height == 0:
        raise _BadImageError(f"{width} x {height} pixels: there is nothing to see")


def _check_scans(image: ImageFile.ImageFile, stream: IO[bytes]) -> None:
    """Refuse a JPEG of more scans than anybody writes: a bad one asks for hours in a few bytes each."""
    if image.format not in ("JPEG", "MPO"):
        return
    place = stream.tell()
    stream.seek(0)
    scans = sum(1 for _ in islice(_scans(stream.read()), _MOST_SCANS + 1))
    stream.seek(place)
    if scans > _MOST_SCANS:
        raise _BadImageError(f"a JPEG of more than {_MOST_SCANS} scans; save it again as a plain one")


def _scans(data: bytes) -> Iterator[int]:
    """Where each scan of the first picture in a JPEG file begins."""
    place = 2
    while found := _MARKER.search(data, place):
        place, kind = found.end(), data[found.end() - 1]
        if kind == _END_OF_IMAGE:
            return
        if kind == _START_OF_SCAN:
            yield found.start()
        place += int.from_bytes(data[place : place + 2])


def _name(source: object) -> str:
    name: object
    match source:
        case str() | os.PathLike():
            name = os.fsdecode(source)
        case bytes() | bytearray() | memoryview():
            return "the given bytes"
        case np.ndarray():
            return "the given array"
        case Image.Image():
            return "the given PIL image"
        case _:
            name = getattr(source, "name", None)
            if not isinstance(name, str):  # a file without a name has its number there, or nothing
                return f"the given {type(source).__name__}"
    return printable(name) or "''"


def _reason(error: Exception) -> str:
    if isinstance(error, _BadImageError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        return error.strerror.lower()
    text = " ".join(str(error).split())[:200]
    return f"cannot be read ({type(error).__name__}{': ' if text else ''}{text})"
