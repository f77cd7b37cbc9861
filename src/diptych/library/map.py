"""A library on a plane: where each photo lies, which group it is in, and small pictures of all, on one sheet."""

import io
import math
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from diptych.library.clusters import Clusters, Member, chosen_photos, described, group
from diptych.library.database import LibraryError
from diptych.library.filters import Filters
from diptych.library.map_layout import Positions, lay_out, snap_to_grid
from diptych.library.matrix import Ids, Matrix
from diptych.library.thumbnails import Thumbnail
from diptych.library.vocabulary import Vocabulary
from diptych.progress import track

if TYPE_CHECKING:
    from PIL.Image import Image

MOST_PICTURES: Final = 3_000  # photos: of more, each is a dot
MOST_DOTS: Final = 50_000  # of more photos, so many from all of them
_SIDES: Final = (48, 192)  # pixels of a small picture
_SHEET_PIXELS: Final = 14_000_000  # some browsers draw no picture of more than 16.7 million
_SHEET_BYTES: Final = 6_500_000
_QUALITIES: Final = (80, 60, 40, 20)
_GREY: Final = (136, 136, 136)
_DOTS_PLANE: Final = (1_000, 625)  # columns and rows, where photos are dots


@dataclass(frozen=True, kw_only=True)
class MapGroup:
    """A group's name, how many photos of it are on the map, and where it is: the middle of them."""

    name: str
    size: int
    x: float
    y: float


@dataclass(frozen=True, kw_only=True)
class PhotoMap:
    """Photos on a plane of so many columns and rows; photo i is at `places[i]`, (N, 2), in group `groups_of[i]` or -1.

    With a `sheet` of small pictures, places are cells and no two photos share one; without, they are anywhere.
    `left_out` photos are more than a map can show.
    """

    photos: tuple[Member, ...]
    places: Positions
    columns: int
    rows: int
    groups: tuple[MapGroup, ...]
    groups_of: Ids
    sheet: "Sheet | None"
    left_out: int


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A JPEG of square pictures in rows of `columns`, in the order of the photos; grey where one cannot be read."""

    jpeg: bytes
    side: int
    columns: int
    unread: int


def make_map(
    database: sqlite3.Connection,
    matrix: Matrix,
    vocabulary: Vocabulary,
    thumbnail_of: Callable[[int], Thumbnail],
    *,
    filters: Filters,
    count: int | None = None,
    most_pictures: int = MOST_PICTURES,
) -> PhotoMap:
    """The photos that pass, in groups named by the vocabulary, laid out. LibraryError where there are none."""
    photos, features = chosen_photos(database, matrix, filters)
    if not len(photos):
        raise LibraryError("There are no photos to make a map of.")
    shown = np.linspace(0, len(photos) - 1, min(len(photos), MOST_DOTS)).astype(np.int64)
    numbers, features = photos[shown], features[shown]
    found = described(database, numbers, group(features, count=count), vocabulary)
    members, groups_of = _by_group(found)
    at = dict(zip(numbers.tolist(), lay_out(features), strict=True))
    positions = np.stack([at[member.id] for member in members])
    if len(members) <= most_pictures:
        cells, columns, rows = snap_to_grid(positions)
        places = cells.astype(np.float32)
        pictures = track(members, total=len(members), label="Thumbnails", unit="photos")
        sheet = make_sheet([thumbnail_of(member.id) for member in pictures])
    else:
        (columns, rows), sheet = _DOTS_PLANE, None
        places = positions * np.array(_DOTS_PLANE, np.float32)
    return PhotoMap(
        photos=members,
        places=places,
        columns=columns,
        rows=rows,
        groups=tuple(_groups([each.name for each in found.groups], groups_of, places)),
        groups_of=groups_of,
        sheet=sheet,
        left_out=len(photos) - len(shown),
    )


def make_sheet(thumbnails: Sequence[Thumbnail]) -> Sheet:
    """The pictures cut to squares, as large as a page can carry them."""
    from PIL import Image

    side = max(_SIDES[0], min(_SIDES[1], math.isqrt(_SHEET_PIXELS // max(1, len(thumbnails)))))
    columns = math.ceil(math.sqrt(len(thumbnails)))
    sheet = Image.new("RGB", (columns * side, math.ceil(len(thumbnails) / columns) * side), _GREY)
    for number, thumbnail in enumerate(thumbnails):
        if thumbnail.jpeg:
            sheet.paste(_square(thumbnail.jpeg, side), (number % columns * side, number // columns * side))
    unread = sum(not thumbnail.jpeg for thumbnail in thumbnails)
    return Sheet(jpeg=_small_enough(sheet), side=side, columns=columns, unread=unread)


def _square(jpeg: bytes, side: int) -> "Image":
    from PIL import ImageOps

    from diptych.images import open_image

    return ImageOps.fit(open_image(jpeg), (side, side))


def _small_enough(sheet: "Image") -> bytes:
    for quality in _QUALITIES:
        file = io.BytesIO()
        sheet.save(file, "JPEG", quality=quality)
        if file.tell() <= _SHEET_BYTES:
            break
    return file.getvalue()


def _by_group(found: Clusters) -> tuple[tuple[Member, ...], Ids]:
    """All photos, group by group, the loose ones last, and the number of each one's group."""
    grouped = [(number, member) for number, each in enumerate(found.groups) for member in each.members]
    grouped += [(-1, member) for member in found.loose]
    return tuple(member for _, member in grouped), np.array([number for number, _ in grouped], np.int64)


def _groups(names: Sequence[str], groups_of: Ids, places: Positions) -> Iterator[MapGroup]:
    for number, name in enumerate(names):
        own = places[groups_of == number]
        x, y = np.median(own, axis=0).tolist()
        yield MapGroup(name=name, size=len(own), x=x, y=y)
