"""Which columns of a table, or keys of a JSON record, hold the image, the captions and the class."""

import difflib
import re
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache

from diptych.data.config import SourceConfig
from diptych.data.sample import DataError, Texts

# Names in use, the most telling first; compared without case.
IMAGE_BYTES = ("image", "images", "img", "jpg", "jpeg", "png", "webp", "picture", "photo", "bytes", "image_bytes")
IMAGE_FILES = (
    *("file_name", "filename", "filepath", "file_path", "image_path", "image_file", "image_name", "path", "file"),
    *("image", "img", "photo", "picture"),
)
CAPTIONS = ("captions", "caption", "text", "texts", "sentences", "sentence", "txt", "alt_text", "title", "description")
CLASSES = ("class_names", "class_name", "class", "classname", "label", "labels", "category", "fine_label")


@dataclass(frozen=True, kw_only=True)
class TextColumns:
    """The columns that hold captions, and those that hold class names, the class itself first."""

    captions: tuple[str, ...]
    classes: tuple[str, ...]


def text_columns(
    config: SourceConfig, columns: Sequence[str], where: str, *, numbers: Collection[str] = ()
) -> TextColumns:
    """The columns that the config names, else those with usual names; `numbers` are those that can only be classes.

    DataError if there are none.
    """
    usual = usual_captions(tuple(column for column in columns if column not in numbers))
    captions = _named(config.caption_column, columns, where, "caption_column") or usual
    classes = _named(config.class_column, columns, where, "class_column") or usual_classes(tuple(columns))
    if not captions and not classes:
        raise DataError(
            f"{where} has no column of captions or classes that is known by its name: name it with caption_column or "
            f"class_column. {listed(columns)}"
        )
    return TextColumns(captions=captions, classes=classes)


def image_column(config: SourceConfig, columns: Sequence[str], usual: Iterable[str], where: str) -> str | None:
    """The column that the config names, else the first with a usual name, else None."""
    named = _named(config.image_column, columns, where, "image_column")
    return named[0] if named else first_usual(columns, usual)


@lru_cache(maxsize=1024)
def usual_captions(columns: tuple[str, ...]) -> tuple[str, ...]:
    """The caption columns by their names: one, or a numbered series such as caption_0 ... caption_4."""
    if (found := first_usual(columns, CAPTIONS)) is not None:
        return (found,)
    for usual in CAPTIONS:
        series = [column for column in columns if re.fullmatch(rf"{usual}[_ -]?\d+", column, re.IGNORECASE)]
        if series:
            return tuple(series)
    return ()


@lru_cache(maxsize=1024)
def usual_classes(columns: tuple[str, ...]) -> tuple[str, ...]:
    """The class column by its name, if there is one."""
    found = first_usual(columns, CLASSES)
    return () if found is None else (found,)


def first_usual(columns: Iterable[str], usual: Iterable[str]) -> str | None:
    """The column that is called as the first of the usual names that any is called by, in upper or lower case."""
    lower = {column.lower(): column for column in reversed(list(columns))}
    return next((lower[name] for name in usual if name in lower), None)


def texts_of(captions: Iterable[object], class_names: Iterable[object]) -> Texts:
    """The texts in cells: strings or lists of them, stripped; what is empty or not text is left out."""
    return Texts(captions=tuple(_strings(captions)), class_names=tuple(dict.fromkeys(_strings(class_names))))


def no_column(name: str, setting: str, columns: Sequence[str], where: str) -> DataError:
    """The error for a column that the config names and that is not there."""
    near = difflib.get_close_matches(name, columns, n=1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else "give one that it has."
    return DataError(f"{where} has no column {name!r} ({setting}); {hint} {listed(columns)}")


def listed(columns: Sequence[str]) -> str:
    """A sentence with the columns that there are."""
    if not columns:
        return "It has no columns."
    more = f" and {len(columns) - 30} more" if len(columns) > 30 else ""
    return f"It has: {', '.join(columns[:30])}{more}."


def _named(wanted: str | tuple[str, ...] | None, columns: Sequence[str], where: str, setting: str) -> tuple[str, ...]:
    names = () if wanted is None else (wanted,) if isinstance(wanted, str) else wanted
    for name in names:
        if name not in columns:
            raise no_column(name, setting, columns, where)
    return names


def _strings(cells: Iterable[object]) -> Iterable[str]:
    """The texts in cells and in lists of them, in order. A JSON may hold lists in lists as deep as Python can go."""
    left = list(cells)[::-1]
    while left:
        cell = left.pop()
        if isinstance(cell, str):
            # A lone half of a surrogate pair, which JSON can hold, is no text that can be written anywhere.
            if text := cell.strip().encode(errors="replace").decode():
                yield text
        elif isinstance(cell, list | tuple):
            left += reversed(cell)
