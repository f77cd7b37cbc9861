"""Vectors and what they belong to, as files: Parquet, or a folder of vectors.npy and photos.jsonl. Read in pieces.

In Parquet the vectors are a column of lists of one length, and the model stands in the schema's metadata under
"diptych"; in a folder it stands in model.json. Both are JSON.
"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final, Protocol, TypeAlias

import numpy as np

from diptych.errors import needs_extra
from diptych.files import atomic_folder, atomic_write
from diptych.library.database import LibraryError
from diptych.library.photos import VectorDtype

if TYPE_CHECKING:
    import pyarrow as pa


Numbers = np.ndarray[Any, np.dtype[np.float64]]
Row: TypeAlias = Mapping[str, Any]
Write: TypeAlias = Callable[[Sequence[Row], "np.ndarray[Any, Any]"], None]

COLUMNS: Final[Mapping[str, type]] = {
    **{"id": int, "path": str, "root": str, "key": str, "source": str, "size": int, "mtime_ns": int, "hash": str},
    **{"width": int, "height": int, "format": str, "taken_at": str, "taken_zone": str, "camera": str},
    **{"latitude": float, "longitude": float, "seconds": float, "text": str, "fields": str, "second": float},
}
"""What is said of each vector; docs/photo-library.md says what it means. Any may be None."""

_VECTOR: Final = "vector"
_RAW: Final = "raw"  # texts that Parquet cannot hold, by column, as JSON: names that are not UTF-8
_ABOUT: Final = b"diptych"
_NPY, _LINES, _MODEL = "vectors.npy", "photos.jsonl", "model.json"
_ROWS_AT_ONCE: Final = 4_096


@dataclass(frozen=True, kw_only=True)
class Chunk:
    """Some rows in order, and their vectors (n, E): of NaN where a row has none, or one of another width."""

    rows: list[dict[str, Any]]
    vectors: Numbers


class EmbeddingFile(Protocol):
    """A file to read. `about` is what the writer said of the model and the roots; None if it was not Diptych."""

    about: dict[str, Any] | None
    width: int
    count: int

    def chunks(self) -> Iterator[Chunk]:
        """All rows, a few thousand at a time, with those of `COLUMNS` that the file has."""


def is_parquet(path: Path) -> bool:
    """What a target's name asks for: Parquet, or else a folder."""
    return path.suffix.lower() == ".parquet"


@contextmanager
def write_embeddings(target: Path, about: Row, *, width: int, count: int, dtype: VectorDtype) -> Iterator[Write]:
    """A function that takes rows of `COLUMNS` with their vectors (n, E), `count` in all.

    The file or folder is there at the end, or as it was before on any error. DiptychError for a folder of other things.
    """
    if is_parquet(target):
        with atomic_write(target) as temporary, _parquet_writer(temporary, about, width, dtype) as write:
            yield write
    elif target.suffix:
        raise ValueError(f"{target} must end in .parquet, or in nothing for a folder of {_NPY} and {_LINES}.")
    else:
        with atomic_folder(target) as building, _folder_writer(building, about, (count, width), dtype) as write:
            yield write


def open_embeddings(path: Path, *, path_column: str = "path", vector_column: str = _VECTOR) -> EmbeddingFile:
    """A Parquet file, or a folder as it is written here, which needs no vector column. LibraryError for neither."""
    if path.is_dir():
        return _Folder(path, path_column)
    if not path.is_file():
        raise LibraryError(f"There is no {path}: give a Parquet file, or a folder with {_NPY} and {_LINES}.")
    return _Parquet(path, path_column, vector_column)


# ---- Parquet


@contextmanager
def _parquet_writer(path: Path, about: Row, width: int, dtype: VectorDtype) -> Iterator[Write]:
    pa, pq = _arrow()
    types = {int: pa.int64(), str: pa.string(), float: pa.float64()}
    number = pa.float16() if dtype == "float16" else pa.float32()
    fields = [pa.field(name, types[kind]) for name, kind in COLUMNS.items()]
    fields += [pa.field(_RAW, pa.string()), pa.field(_VECTOR, pa.list_(number, width))]
    schema = pa.schema(fields, metadata={_ABOUT: json.dumps(about).encode()})
    with pq.ParquetWriter(path, schema, compression="zstd") as writer:

        def write(rows: Sequence[Row], vectors: "np.ndarray[Any, Any]") -> None:
            texts = [_as_utf8(row) for row in rows]
            arrays = [pa.array([row[field.name] for row in texts], field.type) for field in fields[:-1]]
            flat = pa.array(np.ascontiguousarray(vectors, dtype).ravel(), number)
            arrays.append(pa.FixedSizeListArray.from_arrays(flat, width))
            writer.write_batch(pa.record_batch(arrays, schema=schema))

        yield write


def _as_utf8(row: Row) -> dict[str, Any]:
    """The row, with escapes for bytes that are not UTF-8, and then what it was as JSON."""
    plain = {name: row[name] for name in COLUMNS}
    raw = {}
    for name, value in plain.items():
        if isinstance(value, str) and not _is_utf8(value):
            raw[name], plain[name] = value, value.encode("utf-8", "backslashreplace").decode()
    return {**plain, _RAW: json.dumps(raw) if raw else None}


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


class _Parquet:
    def __init__(self, path: Path, path_column: str, vector_column: str) -> None:
        pa, pq = _arrow()
        try:
            self._file = pq.ParquetFile(path)
        except (pa.ArrowException, OSError) as error:
            raise LibraryError(f"{path} is not a whole Parquet file ({_short(error)}).") from error
        schema = self._file.schema_arrow
        for what, name in (("path", path_column), ("vector", vector_column)):
            if name not in schema.names:
                raise LibraryError(_no_column(path, what, name, schema.names))
        self._path, self._named, self._vector = path, path_column, vector_column
        self._columns = [name for name in schema.names if name in {*COLUMNS, _RAW, path_column, vector_column}]
        self.about = _parsed((schema.metadata or {}).get(_ABOUT))
        self.count = self._file.metadata.num_rows
        self.width = self._find_width(schema.field(vector_column).type)

    def chunks(self) -> Iterator[Chunk]:
        for batch in self._batches(self._columns):
            rows = batch.drop_columns([self._vector]).to_pylist()
            for row in rows:
                raw = row.pop(_RAW, None)
                row.update(_parsed(raw) or {} if self.about else {})
                row["path"] = row[self._named]
            yield Chunk(rows=rows, vectors=_vectors(batch.column(self._vector), self.width))

    def _find_width(self, kind: "pa.DataType") -> int:
        """That of the column, or else of its first vector."""
        pa, _ = _arrow()
        is_list = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
        if not (is_list and (pa.types.is_floating(kind.value_type) or pa.types.is_integer(kind.value_type))):
            raise LibraryError(f"The column {self._vector} of {self._path} holds {kind}, not lists of numbers.")
        if pa.types.is_fixed_size_list(kind):
            return int(kind.list_size)
        for batch in self._batches([self._vector]):
            for vector in batch.column(0).drop_null():
                return len(vector)
        raise LibraryError(f"{self._path} holds no vectors.")

    def _batches(self, columns: list[str]) -> "Iterator[pa.RecordBatch]":
        pa, _ = _arrow()
        try:
            yield from self._file.iter_batches(_ROWS_AT_ONCE, columns=columns)
        except (pa.ArrowException, OSError) as error:
            raise LibraryError(f"{self._path} is damaged ({_short(error)}).") from error


def _vectors(column: "pa.Array", width: int) -> Numbers:
    import pyarrow.compute as pc

    has_width = pc.equal(pc.list_value_length(column), width).fill_null(False).to_numpy(zero_copy_only=False)
    found = np.full((len(column), width), np.nan)
    flat = pc.list_flatten(column.filter(has_width)).to_numpy(zero_copy_only=False)
    found[has_width] = flat.astype(np.float64).reshape(-1, width)
    return found


def _arrow() -> Any:  # noqa: ANN401 (modules)
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise needs_extra("Parquet", "pyarrow", "library") from error
    return pa, pq


# ---- a folder


@contextmanager
def _folder_writer(folder: Path, about: Row, shape: tuple[int, int], dtype: VectorDtype) -> Iterator[Write]:
    (folder / _MODEL).write_text(json.dumps(about, indent=2) + "\n", encoding="ascii")
    number = "<f2" if dtype == "float16" else "<f4"
    header = {"descr": number, "fortran_order": False, "shape": shape}
    with (folder / _NPY).open("wb") as vectors_file, (folder / _LINES).open("w", encoding="ascii") as lines:
        np.lib.format.write_array_header_1_0(vectors_file, header)

        def write(rows: Sequence[Row], vectors: "np.ndarray[Any, Any]") -> None:
            vectors_file.write(np.ascontiguousarray(vectors, number).tobytes())
            lines.writelines(json.dumps({name: row[name] for name in COLUMNS}) + "\n" for row in rows)

        yield write


class _Folder:
    def __init__(self, folder: Path, path_column: str) -> None:
        self._folder, self._named = folder, path_column
        try:
            self._vectors = np.load(folder / _NPY, mmap_mode="r", allow_pickle=False)
            model = folder / _MODEL
            self.about = _parsed(model.read_bytes()) if model.is_file() else None
            (folder / _LINES).stat()
        except OSError as error:
            raise LibraryError(f"{folder} needs {_NPY} and {_LINES}: {error.filename} cannot be read.") from error
        except (ValueError, EOFError) as error:
            raise LibraryError(f"{folder / _NPY} is no whole NPY file of numbers ({_short(error)}).") from error
        if self._vectors.ndim != 2 or self._vectors.dtype.kind not in "fiu":
            shape = "x".join(map(str, self._vectors.shape))
            raise LibraryError(f"{folder / _NPY} holds {self._vectors.dtype} {shape}, where a row a vector belongs.")
        self.count, self.width = self._vectors.shape

    def chunks(self) -> Iterator[Chunk]:
        start = 0
        with (self._folder / _LINES).open(encoding="utf-8") as lines:
            objects = self._objects(lines)
            while rows := list(islice(objects, _ROWS_AT_ONCE)):
                vectors = np.asarray(self._vectors[start : start + len(rows)], np.float64)
                start += len(rows)
                if len(vectors) < len(rows):
                    break
                yield Chunk(rows=rows, vectors=vectors)
        if start != self.count:
            raise LibraryError(f"{self._folder} has {self.count:,} vectors and not as many lines in {_LINES}.")

    def _objects(self, lines: IO[str]) -> Iterator[dict[str, Any]]:
        place = self._folder / _LINES
        for number, line in enumerate(lines, start=1):
            try:
                row = json.loads(line)
            except ValueError as error:
                raise LibraryError(f"{place}, line {number}, is not JSON ({_short(error)}).") from error
            if not isinstance(row, dict) or self._named not in row:
                raise LibraryError(f"{place}, line {number}, is no object with a {self._named!r} (--path-column).")
            row["path"] = row[self._named]
            yield row


def _parsed(text: str | bytes | None) -> dict[str, Any] | None:
    """A JSON object, or None for whatever is none."""
    try:
        found = json.loads(text or "null")
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _no_column(path: Path, what: str, name: str, names: Sequence[str]) -> str:
    return f"{path} has no column {name!r} (--{what}-column), only {', '.join(names) or 'none'}."


def _short(error: Exception) -> str:
    return " ".join(str(error).split())[:200]
