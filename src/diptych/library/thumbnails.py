"""Small pictures for people: made at first view, kept in the library by content, made again where they are damaged."""

import os
import secrets
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from diptych.errors import DiptychError, ImageError
from diptych.library.catalogue_root import CatalogueFile, CatalogueRoot, fetched
from diptych.library.paths import LOCATED, restored, source_of
from diptych.library.reading import content_hash
from diptych.library.walk import FoundFile

if TYPE_CHECKING:
    from PIL.Image import Image

    from diptych.images import ImageSource

SIDE: Final = 256  # pixels, of the longer side
_SIDES: Final = range(16, 2_049)
_QUALITY: Final = 80
_FOLDER: Final = "thumbnails"
_PHOTOS_AT_ONCE: Final = 4_096
_T = TypeVar("_T")


@dataclass(frozen=True, kw_only=True)
class Thumbnail:
    """A JPEG: upright, over white, sRGB, without metadata. Where there is none, `reason` says why in one line."""

    jpeg: bytes = b""
    reason: str = ""


def thumbnail(
    library: Path,
    content: bytes | None,
    source: "ImageSource | Callable[[], ImageSource]",
    *,
    side: int = SIDE,
    second: float | None = None,
    suffix: str | None = None,
) -> Thumbnail:
    """The picture within `side` x `side` pixels; of a video the frame at `second`. Never raises for a picture.

    It is looked up and kept in the folder `library` under `content`, the hash of the file's bytes; without one, or for
    bytes of another, it is only made. `source` is asked for, or read, only if it is not kept yet. `suffix`, by default
    that of a path, tells videos and RAW photos from pictures. For several threads at once.
    """
    if kept := kept_thumbnail(library, content, side=side, second=second):
        return kept
    try:
        picture = source() if callable(source) else source
        jpeg = _jpeg(picture, side, second, suffix)
    except (DiptychError, OSError, MemoryError) as error:
        return Thumbnail(reason=_reason(error))
    if content is not None and not (isinstance(picture, bytes) and content_hash(picture) != content):
        with suppress(OSError):  # a full or read-only disk costs the next view the time of this one
            _keep(library, _place(library, content, side, second), jpeg)
    return Thumbnail(jpeg=jpeg)


def kept_thumbnail(
    library: Path, content: bytes | None, *, side: int = SIDE, second: float | None = None
) -> Thumbnail | None:
    """That which `thumbnail` has kept under this hash, if it is there and can be decoded to its end."""
    if side not in _SIDES:
        raise ValueError(f"a thumbnail's side is {_SIDES[0]} to {_SIDES[-1]} pixels, got {side}")
    jpeg = None if content is None else _intact(_place(library, content, side, second))
    return Thumbnail(jpeg=jpeg) if jpeg else None


def photo_thumbnails(
    database: sqlite3.Connection, library: Path, wanted: Iterable[tuple[int, float | None]], *, side: int = SIDE
) -> Iterator[Thumbnail]:
    """Those of photos of the library, or of moments of its videos, in order; made on all cores.

    Of a photo whose file has changed since it was indexed it is that of now, and not kept. Of some thousands whose
    bytes lie in one table, that is read once.
    """
    todo = iter(wanted)
    while some := list(islice(todo, _PHOTOS_AT_ONCE)):
        rows = {photo: _row(database, photo) for photo, _ in some}
        embedded = _embedded(library, [row for row in rows.values() if row is not None and _is_embedded(row)], side)
        yield from _on_all_cores(
            partial(embedded.__getitem__, photo)
            if photo in embedded
            else _maker(library, rows[photo], photo, moment, side)
            for photo, moment in some
        )


def _on_all_cores(makers: Iterable[Callable[[], _T]]) -> Iterator[_T]:
    from diptych.encode.workers import core_count, map_ahead, plain_pool

    return map_ahead(plain_pool(), lambda make: make(), makers, ahead=2 * core_count())


def _row(database: sqlite3.Connection, photo: int) -> sqlite3.Row | None:
    query = (
        f"SELECT photos.id, size, mtime_ns, hash, roots.settings AS settings, {LOCATED} "
        "FROM photos JOIN roots ON roots.id = root_id WHERE photos.id = ?"
    )
    row: sqlite3.Row | None = database.execute(query, (photo,)).fetchone()
    return row


def _maker(
    library: Path, row: sqlite3.Row | None, photo: int, second: float | None, side: int
) -> Callable[[], Thumbnail]:
    """What makes that of a file, or of what lies at an address, on any thread."""
    if row is None:
        return lambda: Thumbnail(reason=f"There is no photo {photo}.")
    source = source_of(row)
    content: bytes | None = row["hash"]
    if not source.is_file:
        return lambda: thumbnail(library, content, lambda: fetched(source), side=side)
    with suppress(OSError):  # gone: what is kept is still what it was
        now = source.path.stat()
        content = content if (now.st_size, now.st_mtime_ns) == (row["size"], row["mtime_ns"]) else None
    return lambda: thumbnail(library, content, source, side=side, second=second)


def _is_embedded(row: sqlite3.Row) -> bool:
    """Whether its bytes lie in the table that names it."""
    return row["kind"] != "folder" and row["source"] is None


def _embedded(library: Path, rows: Sequence[sqlite3.Row], side: int) -> dict[int, Thumbnail]:
    """Those of pictures that lie in tables, by number; each table is read once, as far as the last that is wanted."""
    kept = _on_all_cores(partial(kept_thumbnail, library, row["hash"], side=side) for row in rows)
    found = {row["id"]: made for row, made in zip(rows, kept, strict=True) if made is not None}
    roots: dict[CatalogueRoot, dict[str, sqlite3.Row]] = {}
    for row in rows:
        if row["id"] not in found:
            root = CatalogueRoot.from_settings(Path(restored(row["root"])), row["settings"])
            roots.setdefault(root, {})[restored(row["path"])] = row
    for root, of_root in roots.items():
        found.update(_on_all_cores(_from_table(library, root, of_root, side)))
    return found


def _from_table(
    library: Path, root: CatalogueRoot, rows: dict[str, sqlite3.Row], side: int
) -> Iterator[Callable[[], tuple[int, Thumbnail]]]:
    """What makes them, by key, on any thread, while the table is read on this one."""

    def make(row: sqlite3.Row, file: CatalogueFile) -> tuple[int, Thumbnail]:
        return row["id"], thumbnail(library, row["hash"], file.read, side=side)

    left, reason = dict(rows), ""
    try:
        for file in root.open([FoundFile(key, 0, 0) for key in rows]):
            yield partial(make, left.pop(file.found.path), file)
    except (DiptychError, OSError) as error:
        reason = _reason(error)
    for key, row in left.items():
        none = Thumbnail(reason=reason or f"{root.path} has no row {key!r} any more.")
        yield partial(lambda *pair: pair, row["id"], none)


def _reason(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


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


def _jpeg(source: "ImageSource", side: int, second: float | None, suffix: str | None) -> bytes:
    import io

    from PIL.Image import Resampling

    image = _picture(source, side, second, suffix)
    image.thumbnail((side, side), Resampling.BICUBIC)
    jpeg = io.BytesIO()
    _in_srgb(image, source).save(jpeg, "JPEG", quality=_QUALITY)
    return jpeg.getvalue()


def _picture(source: "ImageSource", side: int, second: float | None, suffix: str | None) -> "Image":
    from diptych.images import open_image
    from diptych.library.raw import RAW_SUFFIXES, read_raw
    from diptych.library.video import VIDEO_SUFFIXES, read_frame

    if isinstance(source, str | os.PathLike):
        path = Path(os.fsdecode(source))
        kind = (path.suffix if suffix is None else suffix).lower()
        if second is not None or kind in VIDEO_SUFFIXES:
            source = read_frame(path, second or 0.0).picture
        elif kind in RAW_SUFFIXES:
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
