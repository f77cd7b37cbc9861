"""Small pictures for people: made at first view, kept in the library by content, made again where they are damaged."""

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from diptych.errors import DiptychError, ImageError
from diptych.library.paths import LOCATED, restored, source_of

if TYPE_CHECKING:
    from PIL.Image import Image

    from diptych.images import ImageSource

SIDE: Final = 256  # pixels, of the longer side
_SIDES: Final = range(16, 2_049)
_QUALITY: Final = 80
_FOLDER: Final = "thumbnails"
_FETCH_SECONDS: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A JPEG: upright, over white, sRGB, without metadata. Where there is none, `reason` says why in one line."""

    jpeg: bytes = b""
    reason: str = ""


def thumbnail(
    library: Path | None,
    content: bytes | None,
    source: "ImageSource | Callable[[], ImageSource]",
    *,
    side: int = SIDE,
    second: float | None = None,
) -> Thumbnail:
    """The picture within `side` x `side` pixels; of a video the frame at `second`. Never raises for a picture.

    It is looked up and kept in the folder `library` under `content`, the hash of the file's bytes; without one of the
    two it is only made. `source` is asked for, or read, only if it is not kept yet. For several threads at once.
    """
    if side not in _SIDES:
        raise ValueError(f"a thumbnail's side is {_SIDES[0]} to {_SIDES[-1]} pixels, got {side}")
    kept = None if library is None or content is None else _place(library, content, side, second)
    if kept is not None and (jpeg := _intact(kept)):
        return Thumbnail(jpeg=jpeg)
    try:
        jpeg = _jpeg(source() if callable(source) else source, side, second)
    except (DiptychError, OSError, MemoryError) as error:
        return Thumbnail(reason=" ".join(str(error).split()) or type(error).__name__)
    if library is not None and kept is not None:
        with suppress(OSError):  # a full or read-only disk costs the next view the time of this one
            _keep(library, kept, jpeg)
    return Thumbnail(jpeg=jpeg)


def photo_thumbnails(
    database: sqlite3.Connection, library: Path, wanted: Iterable[tuple[int, float | None]], *, side: int = SIDE
) -> Iterator[Thumbnail]:
    """Those of photos of the library, or of moments of its videos, in order; made on all cores.

    Of a photo whose file has changed since it was indexed it is that of now, and not kept.
    """
    from diptych.encode.workers import core_count, map_ahead, plain_pool

    makers = (_maker(database, library, photo, second, side) for photo, second in wanted)
    yield from map_ahead(plain_pool(), lambda make: make(), makers, ahead=2 * core_count())


def _maker(
    database: sqlite3.Connection, library: Path, photo: int, second: float | None, side: int
) -> Callable[[], Thumbnail]:
    """What makes it on any thread: the database is for this one."""
    query = (
        f"SELECT size, mtime_ns, hash, roots.settings AS settings, {LOCATED} "
        "FROM photos JOIN roots ON roots.id = root_id WHERE photos.id = ?"
    )
    row = database.execute(query, (photo,)).fetchone()
    if row is None:
        return lambda: Thumbnail(reason=f"There is no photo {photo}.")
    source = source_of(row)
    content: bytes | None = row["hash"]
    if not source.is_file:
        return lambda: thumbnail(library, content, lambda: _catalogue_picture(row), side=side)
    with suppress(OSError):  # gone: what is kept is still what it was
        now = source.path.stat()
        content = content if (now.st_size, now.st_mtime_ns) == (row["size"], row["mtime_ns"]) else None
    return lambda: thumbnail(library, content, source, side=side, second=second)


def _catalogue_picture(row: sqlite3.Row) -> bytes:
    """What an address gives, or what lies in the table."""
    from diptych.fetch import fetch_bytes
    from diptych.library.catalogue_root import CatalogueRoot
    from diptych.library.walk import FoundFile

    if row["source"] is not None:
        return fetch_bytes(restored(row["source"]), timeout_seconds=_FETCH_SECONDS, allow_private=True)
    root, key = CatalogueRoot.from_settings(Path(restored(row["root"])), row["settings"]), restored(row["path"])
    for file in root.open([FoundFile(key, 0, 0)]):
        return file.read()
    raise ImageError(f"{root.path} has no row {key!r} any more.")


def _place(library: Path, content: bytes, side: int, second: float | None) -> Path:
    moment = "" if second is None else f"-{second:.3f}s"
    name = content.hex()
    return library / _FOLDER / name[:2] / f"{name}-{side}{moment}.jpg"


def _intact(path: Path) -> bytes | None:
    """What is kept, if it is there and can be decoded to its end."""
    from diptych.images import open_image

    with suppress(OSError, ImageError):
        jpeg = path.read_bytes()
        open_image(jpeg)
        return jpeg
    return None


def _keep(library: Path, path: Path, jpeg: bytes) -> None:
    """Whole or not at all, for its owner alone.

    Not flushed to disk, which would take longer than making it: what a power cut leaves of it is seen as damaged.
    """
    for folder in (library / _FOLDER, path.parent):
        folder.mkdir(mode=0o700, exist_ok=True)
    temporary = path.with_name(f".{secrets.token_hex(8)}.tmp")
    try:
        with os.fdopen(os.open(temporary, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "wb") as file:
            file.write(jpeg)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def _jpeg(source: "ImageSource", side: int, second: float | None) -> bytes:
    import io

    from PIL.Image import Resampling

    image = _picture(source, side, second)
    image.thumbnail((side, side), Resampling.BICUBIC)
    jpeg = io.BytesIO()
    _in_srgb(image, source).save(jpeg, "JPEG", quality=_QUALITY)
    return jpeg.getvalue()


def _picture(source: "ImageSource", side: int, second: float | None) -> "Image":
    from diptych.images import open_image
    from diptych.library.raw import RAW_SUFFIXES, read_raw
    from diptych.library.video import VIDEO_SUFFIXES, read_frame

    if isinstance(source, str | os.PathLike):
        path = Path(os.fsdecode(source))
        if second is not None or path.suffix.lower() in VIDEO_SUFFIXES:
            source = read_frame(path, second or 0.0).picture
        elif path.suffix.lower() in RAW_SUFFIXES:
            source = read_raw(path.read_bytes(), str(path)).preview
    return open_image(source, shortest_side=side)


def _in_srgb(image: "Image", source: "ImageSource") -> "Image":
    """The colours as screens show them without being told more; a profile that cannot be used is left aside."""
    from io import BytesIO

    from PIL import ImageCms

    from diptych.images import read_header

    if not isinstance(source, str | os.PathLike | bytes):
        return image
    with suppress(ImageError, ImageCms.PyCMSError, OSError, ValueError):
        if (data := read_header(source).icc_profile) is not None:
            profile = ImageCms.ImageCmsProfile(BytesIO(data))
            if profile.profile.xcolor_space.strip() == "RGB":
                ImageCms.profileToProfile(image, profile, ImageCms.createProfile("sRGB"), inPlace=True)
    return image
