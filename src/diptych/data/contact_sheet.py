"""Random pairs on one picture, each image over its words: the quickest way to see what a model will learn from."""

import random
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from math import ceil

from PIL import Image, ImageDraw, ImageFont

from diptych.data.sample import SampleError, Source, Texts
from diptych.errors import ImageError

Decode = Callable[[bytes], Image.Image]
_Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_SIDE, _GAP, _LINE, _CAPTION_LINES = 180, 12, 15, 4  # pixels, pixels, pixels, lines
_CELL = (_SIDE + _GAP, _SIDE + (1 + _CAPTION_LINES) * _LINE + 2 * _GAP)
_PAPER, _INK, _PALE, _EMPTY = "#ffffff", "#202020", "#8a8a8a", "#e8e0e0"


@dataclass(frozen=True, kw_only=True)
class _Pair:
    """What one cell shows; no image where it cannot be read, which the caption then says."""

    image: Image.Image | None
    title: str
    caption: str


def contact_sheet(
    sources: Sequence[Source], decode: Decode, *, pairs: int = 48, columns: int = 8, seed: int = 0
) -> Image.Image:
    """`pairs` random pairs (all, where there are fewer), as many of each source as can be; a seed gives the same ones.

    What cannot be read has a cell that says so.
    """
    if pairs < 1 or columns < 1:
        raise ValueError(f"a contact sheet needs at least one pair and one column, got {pairs} and {columns}")
    cells = list(_draw_pairs(sources, decode, pairs, random.Random(seed)))
    columns = max(1, min(columns, len(cells)))
    rows = -(-len(cells) // columns)
    sheet = Image.new("RGB", (columns * _CELL[0] + _GAP, rows * _CELL[1] + _GAP), _PAPER)
    pen, font = ImageDraw.Draw(sheet), _font()
    for number, pair in enumerate(cells):
        row, column = divmod(number, columns)
        _draw_cell(sheet, pen, font, pair, _GAP + column * _CELL[0], _GAP + row * _CELL[1])
    return sheet


def _draw_pairs(sources: Sequence[Source], decode: Decode, pairs: int, dice: random.Random) -> Iterator[_Pair]:
    for source, count in zip(sources, _shares([len(source) for source in sources], pairs), strict=True):
        for index in sorted(dice.sample(range(len(source)), count)):
            key = f"{source.name}/{source.key(index)}"
            try:
                sample = source.read(index)
                yield _Pair(image=decode(sample.image), title=key, caption=_words(sample.texts, dice))
            except (SampleError, ImageError) as error:
                yield _Pair(image=None, title=key, caption=str(error))


def _shares(sizes: list[int], pairs: int) -> list[int]:
    """How many of each source: alike, but none more than it has; what small ones leave goes to the others."""
    shares = [0] * len(sizes)
    for place in sorted(range(len(sizes)), key=lambda place: sizes[place]):
        others = sum(share == 0 for share in shares) - sum(size == 0 for size in sizes)
        shares[place] = min(sizes[place], -(-(pairs - sum(shares)) // max(1, others)))
    return shares


def _words(texts: Texts, dice: random.Random) -> str:
    if texts.captions:
        return dice.choice(texts.captions) or "(an empty caption)"
    return "class: " + ", ".join(texts.class_names) if texts.class_names else "(no text)"


def _draw_cell(sheet: Image.Image, pen: ImageDraw.ImageDraw, font: _Font, pair: _Pair, x: int, y: int) -> None:
    if pair.image is None:
        pen.rectangle((x, y, x + _SIDE - 1, y + _SIDE - 1), fill=_EMPTY)
    else:
        scale = _SIDE / max(pair.image.size)
        size = (max(1, round(pair.image.width * scale)), max(1, round(pair.image.height * scale)))
        shown = pair.image.resize(size, Image.Resampling.BICUBIC)
        sheet.paste(shown, (x + (_SIDE - size[0]) // 2, y + (_SIDE - size[1]) // 2))
    top = y + _SIDE + _GAP // 2
    pen.text((x, top), _end_of(pair.title, font), fill=_PALE, font=font)
    for number, line in enumerate(_wrapped(pair.caption, font, _CAPTION_LINES), start=1):
        pen.text((x, top + number * _LINE), line, fill=_INK, font=font)


def _wrapped(text: str, font: _Font, lines: int) -> list[str]:
    """The text in at most so many lines of a cell's width; what does not fit ends in dots."""
    words = [piece for word in _printable(text[:1000]).split() for piece in _pieces(word, font)]
    wrapped = [""]
    for word in words:
        longer = f"{wrapped[-1]} {word}".strip()
        if font.getlength(longer) <= _SIDE:
            wrapped[-1] = longer
        else:
            wrapped.append(word)
    if len(wrapped) > lines:
        wrapped = [*wrapped[: lines - 1], _ended(wrapped[lines - 1], font)]
    return wrapped


def _pieces(word: str, font: _Font) -> Iterator[str]:
    """A word in parts that fit a line: an address has no spaces, and neither has Chinese."""
    while word:
        fitting = bisect_right(range(1, len(word) + 1), _SIDE, key=lambda end: ceil(font.getlength(word[:end])))
        end = max(1, fitting)
        yield word[:end]
        word = word[end:]


def _end_of(key: str, font: _Font) -> str:
    """A key in one line: where it is too long, the end tells it from others."""
    shown = key = _printable(key)
    while key and font.getlength(shown) > _SIDE:
        key = key[1:]
        shown = f"... {key}"
    return shown


def _printable(text: str) -> str:
    return "".join(letter if letter.isprintable() else " " for letter in text)


def _ended(line: str, font: _Font) -> str:
    while line and font.getlength(f"{line} ...") > _SIDE:
        line = line[:-1]
    return f"{line} ..."


def _font() -> _Font:
    """DejaVu where it is installed, which has most alphabets; else the font that comes with Pillow."""
    try:
        return ImageFont.truetype("DejaVuSans.ttf", 12)
    except OSError:
        return ImageFont.load_default(12)
