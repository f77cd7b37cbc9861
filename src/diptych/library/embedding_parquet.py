"""Vectors as a Parquet file: a column of lists of one length, and the model as JSON in the schema's metadata."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from diptych.encode.encoder import Features
from diptych.library.arrow import as_utf8, import_arrow
from diptych.library.database import LibraryError
from diptych.library.embedding_rows import COLUMNS, ROWS_AT_ONCE, Chunk, Row, Write, json_object, short_reason
from diptych.library.photos import VectorDtype

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.parquet as pq

VECTOR: Final = "vector"
_RAW: Final = "raw"  # texts that Parquet cannot hold, by column, as JSON: names that are not UTF-8
_ABOUT: Final = b"diptych"  # in the schema's metadata
_BUFFER: Final = 1 << 20  # bytes of a column at a time: others write a million rows in one group, which is read whole


@contextmanager
def write_parquet(path: Path, about: Row, width: int, dtype: VectorDtype) -> Iterator[Write]:
    """A function that takes the rows of a new file."""
    pa, pq = import_arrow("Parquet")
    types = {int: pa.int64(), str: pa.string(), float: pa.float64()}
    number = pa.float16() if dtype == "float16" else pa.float32()
    fields = [pa.field(name, types[kind]) for name, kind in COLUMNS.items()]
    fields += [pa.field(_RAW, pa.string()), pa.field(VECTOR, pa.list_(number, width))]
    schema = pa.schema(fields, metadata={_ABOUT: json.dumps(about).encode()})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:

        def write(rows: Sequence[Row], vectors: Features) -> None:
            texts = [_plain(row) for row in rows]
            arrays = [pa.array([row[field.name] for row in texts], field.type) for field in fields[:-1]]
            flat = pa.array(np.ascontiguousarray(vectors, dtype).ravel(), number)
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, width))
            writer.write_batch(pa.record_batch(arrays, schema=schema))

        yield write


def _plain(row: Row) -> dict[str, Any]:
    """The row, with escapes for bytes that are not UTF-8, and then what it was as JSON."""
    plain = {name: as_utf8(row[name]) if isinstance(row[name], str) else row[name] for name in COLUMNS}
    raw = {name: row[name] for name in COLUMNS if row[name] != plain[name]}
    return {**plain, _RAW: json.dumps(raw) if raw else None}


def is_export(path: Path) -> bool:
    """Whether a path is that of a file that was written here."""
    pa, pq = import_arrow("Parquet")
    try:
        return path.is_file() and _ABOUT in (pq.read_schema(path).metadata or {})
    except (pa.ArrowException, OSError):
        return False


@contextmanager
def open_parquet(path: Path, path_column: str, vector_column: str) -> "Iterator[EmbeddingParquet]":
    """A file, closed at the end. LibraryError for one that is damaged, or lacks a column."""
    pa, pq = import_arrow("Parquet")
    try:
        file = pq.ParquetFile(path, buffer_size=_BUFFER, pre_buffer=False)
    except (pa.ArrowException, OSError) as error:
        raise LibraryError(f"{path} is not a whole Parquet file ({short_reason(error)}).") from error
    with file:
        yield EmbeddingParquet(file, path, path_column, vector_column)


class EmbeddingParquet:
    """A file to read, as EmbeddingFile describes it."""

    def __init__(self, file: "pq.ParquetFile", path: Path, path_column: str, vector_column: str) -> None:
        schema = file.schema_arrow
        self._file, self.path, self._named, self._vector = file, path, path_column, vector_column
        self.about = json_object((schema.metadata or {}).get(_ABOUT))
        self._columns = [path_column, *(name for name in self._read(schema.names) if name != path_column)]
        self.count: int = file.metadata.num_rows
        self.width = self._find_width(schema.field(vector_column).type)

    def chunks(self) -> Iterator[Chunk]:
        """All rows, a few thousand at a time."""
        for batch in self._batches(self._columns):
            rows = self._plain(batch.drop_columns([self._vector]))
            for row in rows:
                if self.about and isinstance(row.get(_RAW), str):
                    row.update(json_object(row[_RAW]) or {})
                row["path"] = row[self._named]
            yield Chunk(rows=rows, vectors=_vectors(batch.column(self._vector), self.width))

    def _read(self, names: list[str]) -> list[str]:
        """The columns that are needed: of a file that was made elsewhere, few. LibraryError for one that is not one."""
        needed = {"path": self._named, "vector": self._vector}
        for what, name in needed.items():
            if name not in names:
                raise LibraryError(
                    f"{self.path} has no column {name!r} (--{what}-column), only {', '.join(names) or 'none'}."
                )
        if self._named == self._vector:
            raise LibraryError(f"{self.path}: the column {self._named!r} cannot hold both the paths and the vectors.")
        known = {*COLUMNS, _RAW} if self.about else {"second"}
        wanted = [name for name in names if name in known | {*needed.values()}]
        for name in wanted:
            if wanted.count(name) > 1:
                raise LibraryError(f"{self.path} has {wanted.count(name)} columns called {name!r}: rename all but one.")
        return wanted

    def _plain(self, batch: "pa.RecordBatch") -> list[dict[str, Any]]:
        """The rows but for their vectors. Texts may be no UTF-8, and times none that Python has."""
        try:
            found: list[dict[str, Any]] = batch.to_pylist()
        except (ValueError, OverflowError, KeyError) as error:
            raise LibraryError(f"{self.path} holds what cannot be read ({short_reason(error)}).") from error
        return found

    def _find_width(self, kind: "pa.DataType") -> int:
        """That of the column, or else of its first vector."""
        pa, _ = import_arrow("Parquet")
        is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        if not (is_list and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))):
            raise LibraryError(f"The column {self._vector} of {self.path} holds {kind}, not lists of numbers.")
        if pa.types.is_fixed_size_list(kind):
            return int(kind.list_size)
        for batch in self._batches([self._vector]):
            for vector in batch.column(0).drop_null():
                return len(vector)
        raise LibraryError(f"{self.path} holds no vectors.")

    def _batches(self, columns: list[str]) -> "Iterator[pa.RecordBatch]":
        pa, _ = import_arrow("Parquet")
        try:
            yield from self._file.iter_batches(ROWS_AT_ONCE, columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise LibraryError(f"{self.path} is damaged ({short_reason(error)}).") from error


def _vectors(column: "pa.Array", width: int) -> Features:
    import pyarrow.compute as pc

    has_width = pc.equal(pc.list_value_length(column), width).fill_null(False).to_numpy(zero_copy_only=False)
    found = np.full((len(column), width), np.nan, np.float32)
    flat = pc.list_flatten(column.filter(has_width)).to_numpy(zero_copy_only=False)
    with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused as that
        found[has_width] = flat.astype(np.float32).reshape(-1, width)
    return found
