"""A table of pictures, such as a shop's products: of each row a key, the picture, a text, and what to filter by."""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

from diptych.data.readers.columns import listed
from diptych.data.readers.rows import Table, open_table
from diptych.errors import DiptychError
from diptych.library.arrow import import_arrow
from diptych.library.cells import (
    Image,
    RowFault,
    Value,
    clean,
    csv_value,
    image_of,
    key_of,
    value_of,
    words_of,
)

SUFFIXES: Final = (".parquet", ".csv", ".tsv", ".jsonl", ".ndjson")
_KEPT_FAULTS: Final = 1_000
_OF_TEXT: Final = (".csv", ".tsv")


class CatalogueError(DiptychError):
    """A table that cannot be used as a catalogue: of another kind, or without a column that was named."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One row that names a picture. `fields` are all its columns but the picture's, without empty cells."""

    number: int  # 1 is the first below the header
    key: str
    image: Image
    text: str | None
    fields: Mapping[str, Value]

    @property
    def json(self) -> str | None:
        """The fields as a JSON object, None where there are none."""
        return json.dumps(self.fields, ensure_ascii=False, separators=(",", ":")) if self.fields else None


@dataclass(kw_only=True)
class Faults:
    """Rows left out of one pass, with their reasons: the first thousand, and how many there are."""

    first: list[tuple[int, str]] = field(default_factory=list)
    count: int = 0

    def add(self, row: int, reason: str) -> None:
        """Note one."""
        self.count += 1
        if len(self.first) < _KEPT_FAULTS:
            self.first.append((row, reason))

    def lines(self) -> list[str]:
        """One for each, and one for those beyond the thousand."""
        rest = self.count - len(self.first)
        return [f"row {row}: {reason}" for row, reason in self.first] + ([f"and {rest:,} more rows"] if rest else [])


class Catalogue:
    """Goes through a table from its first row to its last, a few hundred rows at a time, as often as asked.

    A row's key is what the id column says, else its picture's path or address, else its number. `faults` are of the
    last pass. Passing raises DataError for a file that cannot be read, naming the line, and CatalogueError.
    """

    def __init__(
        self, path: Path, image_column: str, id_column: str | None = None, text_column: str | None = None
    ) -> None:
        if path.suffix.lower() not in SUFFIXES:
            raise CatalogueError(f"{path} is not a table that is read: give a {', '.join(SUFFIXES)} file.")
        self.path = path
        self.image_column, self.id_column, self.text_column = image_column, id_column, text_column
        self.faults = Faults()
        self._folder = path.absolute().parent
        self._value: Callable[[object], Value | None] = value_of

    def __iter__(self) -> Iterator[Row]:
        self.faults = faults = Faults()
        if self.path.exists() and not self.path.is_file():  # a pipe would wait for a writer, and can be read once only
            raise CatalogueError(f"{self.path} is not a regular file: save the table in one.")
        if self.path.suffix.lower() in _OF_TEXT:
            self._value = partial(csv_value, decimal_comma=_has_semicolons(self.path))
        if self.path.suffix.lower() == ".parquet":
            import_arrow("Reading Parquet files")
        rows_of: dict[str, int] = {}
        with open_table(self.path, str(self.path), lambda _: None) as table:
            for number, cells in enumerate(self._cells(table), start=1):
                try:
                    row = self._row(number, cells)
                    if (first := rows_of.setdefault(row.key, number)) != number:
                        raise RowFault(f"its key {row.key!r} is that of row {first}")
                except RowFault as fault:
                    faults.add(number, str(fault))
                else:
                    yield row

    def _cells(self, table: Table) -> Iterator[Mapping[str, Any]]:
        """The rows, and at the end an error if a column was in none of them: JSON lines may each have their own."""
        missing = {each for each in (self.image_column, self.id_column, self.text_column) if each} - {*table.columns}
        if self.path.suffix.lower() not in (".jsonl", ".ndjson"):
            self._check(table.columns, missing)
        for cells in table.rows(table.columns):
            missing -= cells.keys() if missing else set()
            yield cells
        self._check(table.columns, missing)

    def _check(self, columns: list[str], missing: set[str]) -> None:
        if missing:
            names = " and ".join(repr(each) for each in sorted(missing))
            chosen = {"image": self.image_column, "id": self.id_column, "text": self.text_column}
            options = ", ".join(f"--{each}-column" for each, name in chosen.items() if name in missing)
            raise CatalogueError(f"{self.path} has no column {names}. {listed(columns)} Name another ({options}).")
        for name in columns:
            if name and (count := columns.count(name)) > 1:
                raise CatalogueError(f"{self.path} has {count} columns called {name!r}; give each a name of its own.")

    def _row(self, number: int, cells: Mapping[str, Any]) -> Row:
        image, name = image_of(cells.get(self.image_column), self._folder)
        key = (name or str(number)) if self.id_column is None else key_of(cells.get(self.id_column))
        fields = {
            clean(column): value
            for column, cell in cells.items()
            if column and column != self.image_column and (value := self._value(cell)) is not None
        }
        text = None if self.text_column is None else words_of(cells.get(self.text_column))
        return Row(number=number, key=key, image=image, text=text, fields=fields)


def _has_semicolons(path: Path) -> bool:
    """Whether cells are separated by them: where a comma stands in numbers. It is told from the header, as rows are."""
    try:
        with path.open(encoding="utf-8-sig", errors="replace") as text:
            head = text.readline()
    except OSError:  # is said when the rows are read
        return False
    return max(",\t;|", key=head.count) == ";"
