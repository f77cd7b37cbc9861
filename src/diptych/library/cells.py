"""The cells of a table as a catalogue takes them: pictures, keys, words, and values that JSON can hold."""

import datetime
import math
import os
import re
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Final, TypeAlias

from diptych.data.readers.remote import without_file_scheme
from diptych.files import is_web_address

Scalar: TypeAlias = str | int | float | bool
Value: TypeAlias = Scalar | list[Scalar]

# As JSON writes numbers, without an exponent: 007 and +5 are codes, and longer ones would not come back as they were.
_WHOLE: Final = re.compile(r"-?(0|[1-9]\d{0,17})", re.ASCII)
_DECIMAL: Final = re.compile(r"-?(?=[\d.]{3,16}$)(0|[1-9]\d*)\.\d+", re.ASCII)
_WITH_COMMA: Final = re.compile(r"-?\d+,\d+", re.ASCII)
_SCHEME: Final = re.compile(r"(data:|[A-Za-z][A-Za-z0-9+.-]+://)")


class RowFault(ValueError):  # noqa: N818 (a row's, and no failure of a run)
    """Why a row cannot be used, without naming it."""


@dataclass(frozen=True, slots=True)
class FileImage:
    """A picture in a file of this machine."""

    path: Path


@dataclass(frozen=True, slots=True)
class AddressImage:
    """A picture at an http or https address."""

    url: str


@dataclass(frozen=True, slots=True)
class BytesImage:
    """A picture whose encoded bytes are in the table."""

    data: bytes


Image: TypeAlias = FileImage | AddressImage | BytesImage


def image_of(cell: object, folder: Path) -> tuple[Image, str | None]:
    """The picture that a cell holds or names, and that name. Paths are relative to `folder`. Raises RowFault.

    Hugging Face's datasets hold a struct of bytes and path, either of which may be missing.
    """
    name = None
    if isinstance(cell, dict):
        path, cell = cell.get("path"), cell.get("bytes") or cell.get("path")
        name = clean(path) or None if isinstance(path, str) else None
    match cell:
        case bytes() if cell:
            return BytesImage(cell), name
        case str() if text := clean(cell):
            return _named(text, folder), text
        case None | b"" | str():
            raise RowFault("it names no picture")
        case float() if math.isnan(cell):
            raise RowFault("it names no picture")
    raise RowFault(f"its picture is a {type(cell).__name__}, where a path, an address or bytes belong")


def _named(text: str, folder: Path) -> Image:
    if is_web_address(text):
        return AddressImage(text)
    text = without_file_scheme(text)
    if _SCHEME.match(text):
        raise RowFault(f"its picture is at {text[:60]!r}, and only paths, http:// and https:// addresses are read")
    return FileImage(folder / os.path.expanduser(text))  # noqa: PTH111 (the method raises where "~x" is no user)


def key_of(cell: object) -> str:
    """A value that names its row, as text; whole numbers are written so, as pandas does not. Raises RowFault."""
    if isinstance(cell, float) and cell.is_integer():
        return str(int(cell))
    value = value_of(cell)
    if value is None or isinstance(value, list):
        raise RowFault("it has no id")
    return str(value)


def words_of(cell: object) -> str | None:
    """What a cell says, its items joined by commas."""
    match value_of(cell):
        case None:
            return None
        case list(items):
            return ", ".join(map(str, items))
        case scalar:
            return str(scalar)


def value_of(cell: object) -> Value | None:
    """A cell as JSON holds it, dates in ISO 8601, durations in seconds; None for nothing, NaN, bytes and structures."""
    if isinstance(cell, list | tuple):
        return [value for each in cell if (value := _scalar(each)) is not None] or None
    return _scalar(cell)


def csv_value(cell: object, *, decimal_comma: bool = False) -> Value | None:
    """The same of a table that holds texts only: those that are numbers become numbers, 19,90 too where that is one."""
    value = value_of(cell)
    if isinstance(value, str):
        if decimal_comma and _WITH_COMMA.fullmatch(value) and _DECIMAL.fullmatch(number := value.replace(",", ".")):
            return float(number)
        if _WHOLE.fullmatch(value):
            return int(value)
        if _DECIMAL.fullmatch(value):
            return float(value)
    return value


def clean(text: str) -> str:
    """A text without white space around it, NULs, at which SQLite ends texts, and lone halves of surrogate pairs."""
    text = text.strip()
    if not text.isascii():
        text = text.encode(errors="replace").decode()
    return text.replace("\0", " ") if "\0" in text else text


def _scalar(cell: object) -> Scalar | None:
    match cell:
        case str():
            return clean(cell) or None
        case bool() | int():
            return cell
        case float() | Decimal():
            number = float(cell)
            return number if math.isfinite(number) else None
        case datetime.date() | datetime.time():
            return cell.isoformat()
        case datetime.timedelta():
            return cell.total_seconds()
    return None
