"""A map as one PNG."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias

from diptych.files import atomic_write
from diptych.library.map import PhotoMap, Sheet

if TYPE_CHECKING:
    from PIL.Image import Image

_LONGEST: Final = 2_400  # pixels, but for pictures that would be smaller than the least
_CELLS: Final = (16, 192)  # pixels of a picture
_PAPER: Final = (251, 250, 247)
_INK: Final = (31, 35, 40)
_Box: TypeAlias = tuple[float, float, float, float]  # left, top, right, bottom


def write_png(made: PhotoMap, target: Path) -> None:
    """Draw the pictures, or dots, and the names of the groups. Raises OSError where the file cannot be written."""
    with atomic_write(target) as temporary:
        draw(made).save(temporary, "PNG", optimize=True)


def draw(made: PhotoMap) -> "Image":
    """The map upright, as wide or high as `_LONGEST` at most."""
    from PIL import Image

    longest = max(made.columns, made.rows)
    if made.sheet is None:
        unit = _LONGEST / longest
    else:
        unit = max(_CELLS[0], min(_CELLS[1], made.sheet.side, _LONGEST // longest))
    image = Image.new("RGB", (round(made.columns * unit), round(made.rows * unit)), _PAPER)
    if made.sheet is None:
        _draw_dots(image, made, unit)
    else:
        _draw_pictures(image, made, made.sheet, int(unit))
    _draw_names(image, made, unit)
    return image


def _draw_pictures(image: "Image", made: PhotoMap, sheet: Sheet, cell: int) -> None:
    from PIL import Image

    with Image.open(io.BytesIO(sheet.jpeg)) as pictures:
        pictures.load()
    frame = max(1, cell // 32)
    for number, ((x, y), group) in enumerate(zip(made.places.tolist(), made.groups_of.tolist(), strict=True)):
        left, top = number % sheet.columns * sheet.side, number // sheet.columns * sheet.side
        picture = pictures.crop((left, top, left + sheet.side, top + sheet.side))
        corner = (int(x) * cell, int(y) * cell)
        image.paste(made.colour_of(group), (*corner, corner[0] + cell, corner[1] + cell))
        inner = cell - 2 * frame
        image.paste(picture.resize((inner, inner)), (corner[0] + frame, corner[1] + frame))


def _draw_dots(image: "Image", made: PhotoMap, unit: float) -> None:
    from PIL import ImageDraw

    pen = ImageDraw.Draw(image)
    for (x, y), group in zip(made.places.tolist(), made.groups_of.tolist(), strict=True):
        pen.circle((x * unit, y * unit), 3, fill=made.colour_of(group))


def _draw_names(image: "Image", made: PhotoMap, unit: float) -> None:
    """The largest groups' first; one that would cover another is left out."""
    from PIL import ImageDraw, ImageFont

    pen, taken = ImageDraw.Draw(image), list[_Box]()
    font = ImageFont.load_default(max(14, image.width // 60))
    middle = 0.5 if made.sheet else 0.0
    for group in made.groups:
        at = ((group.x + middle) * unit, (group.y + middle) * unit)
        at = _inside(pen.textbbox(at, group.name, font=font, anchor="mm", stroke_width=4), at, image.size)
        box = pen.textbbox(at, group.name, font=font, anchor="mm", stroke_width=4)
        if not any(_overlap(box, other) for other in taken):
            taken.append(box)
            pen.text(at, group.name, fill=_INK, font=font, anchor="mm", stroke_width=4, stroke_fill=_PAPER)


def _overlap(one: _Box, other: _Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _inside(box: _Box, at: tuple[float, float], size: tuple[int, int]) -> tuple[float, float]:
    """Where a text is to be put instead so that its box lies within the picture."""
    x = at[0] + max(0.0, -box[0]) - max(0.0, box[2] - size[0])
    y = at[1] + max(0.0, -box[1]) - max(0.0, box[3] - size[1])
    return x, y
