"""Rows of a table, one by one, whatever it is written in: CSV, TSV, JSON lines, Parquet."""

import csv
import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from diptych.data.readers.index import OnBytes
from diptych.data.readers.parquet import open_parquet, parquet_rows
from diptych.data.sample import DataError

if TYPE_CHECKING:
    from pyarrow import Schema

Row = dict[str, Any]
_MAX_CELL = 1 << 24  # characters
_DELIMITERS = ",\t;|"


@dataclass(frozen=True, kw_only=True)
class Table:
    """The names of a table's columns, what Parquet says of their types, and its rows, which can be read once."""

    columns: list[str]
    rows: Callable[[Sequence[str]], Iterator[Row]]  # of the columns given, or of all
    schema: "Schema | None" = None


@contextmanager
def open_table(path: Path, where: str, on_bytes: OnBytes) -> Iterator[Table]:
    """A table by the suffix of its file; `on_bytes` is told how far its rows are. Raises DataError, naming the line."""
    suffix = path.suffix.lower()
    if suffix == ".parquet":
        with open_parquet(path, where) as file:
            schema = file.schema_arrow
            yield Table(
                columns=list(schema.names),
                rows=lambda columns: parquet_rows(file, columns, path, where, on_bytes),
                schema=schema,
            )
        return
    try:
        with path.open(encoding="utf-8-sig", newline="") as text:
            yield (_json_table if suffix in {".jsonl", ".ndjson"} else _csv_table)(text, where, on_bytes)
    except UnicodeDecodeError as error:
        raise DataError(f"{where} is not UTF-8 ({error.reason} at byte {error.start}); save it as UTF-8.") from error
    except OSError as error:
        raise DataError(f"{where} cannot be read ({error.strerror or error}).") from error


def _csv_table(text: IO[str], where: str, on_bytes: OnBytes) -> Table:
    lines = _counted(text, on_bytes)
    head = next(lines, "")
    # By the header and not by the suffix: .csv files with tabs or semicolons are common.
    delimiter = max(_DELIMITERS, key=head.count)
    csv.field_size_limit(_MAX_CELL)
    reader = csv.reader(chain([head], lines), delimiter=delimiter, strict=True)

    def cells() -> Iterator[list[str]]:
        try:
            yield from reader
        except csv.Error as error:
            raise DataError(f"{where}, line {reader.line_num}: {error}; is a quotation mark not closed?") from error

    all_cells = cells()
    columns = [name.strip() for name in next(all_cells, [])]

    def rows(_: Sequence[str]) -> Iterator[Row]:
        for row in all_cells:
            if len(row) > len(columns):
                raise DataError(
                    f"{where}, line {reader.line_num}: has {len(row)} cells and the header {len(columns)}; put "
                    "quotation marks around a text that holds the separator."
                )
            yield dict(zip(columns, row, strict=False))

    return Table(columns=columns, rows=rows)


def _json_table(text: IO[str], where: str, on_bytes: OnBytes) -> Table:
    def records() -> Iterator[Row]:
        for number, line in enumerate(_counted(text, on_bytes), start=1):
            if not line.strip():
                continue
            try:
                record = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{where}, line {number}: is not JSON ({error}).") from error
            if not isinstance(record, dict):
                raise DataError(
                    f'{where}, line {number}: is not a JSON object, such as {{"file": ..., "caption": ...}}.'
                )
            yield record

    every = records()
    first = next(every, {})
    return Table(columns=list(first), rows=lambda _: chain([first], every))


def _counted(text: IO[str], on_bytes: OnBytes) -> Iterator[str]:
    done = 0
    for line in text:
        done += len(line)  # characters, which is near enough
        on_bytes(done)
        yield line
