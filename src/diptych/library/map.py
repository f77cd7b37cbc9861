"""A library on a plane: where each photo lies, which group it is in, and small pictures of all, on one sheet."""

import colorsys
import io
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, TypeAlias

import numpy as np

from diptych.library.clusters import ChosenPhotos, Clusters, Member, described, group
from diptych.library.database import LibraryError
from diptych.library.map_layout import Positions, lay_out, snap_to_grid
from diptych.library.matrix import Ids
from diptych.library.thumbnails import Thumbnail
from diptych.library.vocabulary import Vocabulary
from diptych.progress import track

if TYPE_CHECKING:
    from PIL.Image import Image

    from diptych.library.library import PhotoLibrary

Colour: TypeAlias = tuple[int, int, int]

MOST_PICTURES: Final = 3_000  # photos: of more, each is a dot
MOST_DOTS: Final = 50_000  # of more photos, so many from all of them
_SIDES: Final = (48, 192)  # pixels of a small picture
_SHEET_PIXELS: Final = 14_000_000  # some browsers draw no picture of more than 16.7 million
_SHEET_BYTES: Final = 6_500_000
_QUALITIES: Final = (80, 60, 40, 20)
GREY: Final[Colour] = (136, 136, 136)  # of what is in no group, or cannot be read
_GOLDEN_ANGLE: Final = 137.5  # degrees: hues so far apart stay apart, however many there are
_DOTS_PLANE: Final = (1_000, 625)  # columns and rows, where photos are dots


@dataclass(frozen=True, kw_only=True)
class MapGroup:
    """A group's name and colour, how many photos of it are on the map, and where it is: the middle of them."""

    name: str
    colour: Colour
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

    def colour_of(self, group: int) -> Colour:
        """A group's, or what -1 has."""
        return GREY if group < 0 else self.groups[group].colour


@dataclass(frozen=True, kw_only=True)
class Sheet:
    """A JPEG of square pictures in rows of `columns`, in the order of the photos; grey where one cannot be read."""

    jpeg: bytes
    side: int
    columns: int
    unread: int


def make_map(
    library: "PhotoLibrary",
    photos: ChosenPhotos,
    vocabulary: Vocabulary,
    *,
    count: int | None = None,
    most_pictures: int = MOST_PICTURES,
) -> PhotoMap:
    """The photos, in groups named by the vocabulary, laid out; of more than `most_pictures` each is a dot.

    LibraryError where there are none.
    """
    if not photos.ids:
        raise LibraryError("There are no photos to make a map of.")
    shown = photos.at(np.linspace(0, len(photos.ids) - 1, min(len(photos.ids), MOST_DOTS)).astype(np.int64))
    found = described(shown, group(shown.features, count=count), vocabulary)
    members, groups_of = _by_group(found)
    at = dict(zip(shown.ids, lay_out(shown.features), strict=True))
    positions = np.stack([at[member.id] for member in members])
    if len(members) <= most_pictures:
        cells, columns, rows = snap_to_grid(positions)
        places = cells.astype(np.float32)
        pictures = library.thumbnails((member.id, None) for member in members)
        sheet = make_sheet(list(track(pictures, total=len(members), label="Thumbnails", unit="photos")))
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
        left_out=len(photos.ids) - len(shown.ids),
    )


def make_sheet(thumbnails: Sequence[Thumbnail]) -> Sheet:
    """The pictures cut to squares, as large as a page can carry them."""
    from PIL import Image

    side = max(_SIDES[0], min(_SIDES[1], math.isqrt(_SHEET_PIXELS // max(1, len(thumbnails)))))
    columns = math.ceil(math.sqrt(len(thumbnails)))
    sheet = Image.new("RGB", (columns * side, math.ceil(len(thumbnails) / columns) * side), GREY)
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
    """All photos, group by group, those of none last, and the number of each one's group."""
    grouped = [(number, member) for number, each in enumerate(found.groups) for member in each.members]
    grouped += [(-1, member) for member in found.unassigned]
    return tuple(member for _, member in grouped), np.array([number for number, _ in grouped], np.int64)


def _groups(names: Sequence[str], groups_of: Ids, places: Positions) -> Iterator[MapGroup]:
    for number, name in enumerate(names):
        own = places[groups_of == number]
        x, y = np.median(own, axis=0).tolist()
        yield MapGroup(name=name, colour=_colour(number), size=len(own), x=x, y=y)


def _colour(number: int) -> Colour:
    red, green, blue = colorsys.hls_to_rgb(number * _GOLDEN_ANGLE % 360 / 360, 0.55, 0.6)
    return round(255 * red), round(255 * green), round(255 * blue)
