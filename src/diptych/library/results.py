"""Rows of results to a file that appears whole or not at all: Parquet, CSV or JSON lines."""

import csv
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from diptych.errors import needs_extra
from diptych.files import atomic_write, check_writable

if TYPE_CHECKING:
    import pyarrow as pa

Kind = type[str] | type[float] | type[int] | Mapping[str, type[str] | type[float]]
Columns = Mapping[str, Kind]
"""Names of columns and what is in them; a mapping is a list of objects with these fields. Any value may be None."""
Write = Callable[[Mapping[str, Any]], None]

SUFFIXES: Final = (".parquet", ".csv", ".jsonl")
_ROWS_AT_ONCE: Final = 8_192
_BETWEEN: Final = "; "  # the items of a list, in CSV


def check_results_path(path: Path, suffixes: tuple[str, ...] = SUFFIXES) -> None:
    """`check_writable` for a file of rows; DiptychError, too, where pyarrow is needed and not installed."""
    check_writable(path, suffixes)
    if path.suffix.lower() == ".parquet":
        _parquet()


@contextmanager
def open_results(path: Path, columns: Columns) -> Iterator[Write]:
    """A function that takes the rows one by one. The file is there at the end, or as it was before on any error.

    JSON lines are ASCII, so paths that are not UTF-8 come back from them as `os.fsdecode` gave them. In CSV and
    Parquet, which are UTF-8, the bytes that are not are written as backslash escapes.
    """
    writers = {".parquet": _write_parquet, ".csv": _write_csv, ".jsonl": _write_json_lines}
    check_results_path(path)
    with atomic_write(path) as temporary, writers[path.suffix.lower()](temporary, columns) as write:
        yield write


@contextmanager
def _write_json_lines(path: Path, columns: Columns) -> Iterator[Write]:
    with path.open("w", encoding="ascii") as file:
        yield lambda row: print(json.dumps({name: row[name] for name in columns}), file=file)


@contextmanager
def _write_csv(path: Path, columns: Columns) -> Iterator[Write]:
    with path.open("w", encoding="utf-8", errors="backslashreplace", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow([name for name, kind in columns.items() for name in _csv_names(name, kind)])
        yield lambda row: _put_csv(writer, columns, row)


def _csv_names(name: str, kind: Kind) -> list[str]:
    return [name] if isinstance(kind, type) else [f"{name}.{field}" for field in kind]


def _put_csv(writer: Any, columns: Columns, row: Mapping[str, Any]) -> None:  # noqa: ANN401 (csv does not name its type)
    cells: list[Any] = []
    for name, kind in columns.items():
        if isinstance(kind, type):
            cells.append(row[name])
        else:
            cells += [_BETWEEN.join(str(item[field]) for item in row[name]) for field in kind]
    writer.writerow(cells)


@contextmanager
def _write_parquet(path: Path, columns: Columns) -> Iterator[Write]:
    pa, pq = _parquet()
    schema = pa.schema([pa.field(name, _arrow_type(pa, kind)) for name, kind in columns.items()])
    waiting: list[dict[str, Any]] = []
    with pq.ParquetWriter(path, schema) as writer:

        def flush() -> None:
            writer.write_table(pa.Table.from_pylist(waiting, schema=schema))
            waiting.clear()

        def write(row: Mapping[str, Any]) -> None:
            waiting.append({name: _as_utf8(row[name]) for name in columns})
            if len(waiting) >= _ROWS_AT_ONCE:
                flush()

        yield write
        flush()


def _arrow_type(pa: Any, kind: Kind) -> "pa.DataType":  # noqa: ANN401 (a module)
    if isinstance(kind, type):
        return {str: pa.string(), float: pa.float64(), int: pa.int64()}[kind]
    return pa.list_(pa.struct([pa.field(name, _arrow_type(pa, each)) for name, each in kind.items()]))


def _as_utf8(value: Any) -> Any:  # noqa: ANN401 (a cell)
    if isinstance(value, list):
        return [{name: _as_utf8(each) for name, each in item.items()} for item in value]
    return value.encode("utf-8", "backslashreplace").decode() if isinstance(value, str) else value


def _parquet() -> Any:  # noqa: ANN401 (modules)
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise needs_extra("Writing Parquet files", "pyarrow", "library") from error
    return pa, pq
