"""Parquet files with image bytes in a column, as Hugging Face datasets writes them (a struct), or plain binary.

Parquet is compressed in groups of rows, so that one image costs its whole group. On the first open the images are
copied into one flat file in our cache, and read from there.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diptych.data.config import SourceConfig
from diptych.data.readers.class_names import ClassFile
from diptych.data.readers.column_types import (
    ImageColumn,
    find_image_bytes,
    image_bytes,
    is_number,
    is_text,
    typed_text_columns,
)
from diptych.data.readers.columns import TextColumns, texts_of
from diptych.data.readers.index import Index, IndexBuilder, OnBytes
from diptych.data.sample import DataError, Texts
from diptych.errors import needs_extra
from diptych.files import atomic_write

if TYPE_CHECKING:
    from pyarrow import Array, DataType, RecordBatch, Schema
    from pyarrow.parquet import ParquetFile

_ROWS = 256  # read at a time
_KEYS = ("key", "__key__", "id")


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """What is read of a file."""

    image: ImageColumn
    key: str | None
    texts: TextColumns
    classes: dict[str, ClassFile | None]

    def all(self) -> list[str]:
        key = [] if self.key is None else [self.key]
        return list(dict.fromkeys([self.image.path, *key, *self.texts.captions, *self.texts.classes]))


def has_image_bytes(path: Path, where: str, config: SourceConfig) -> bool:
    """Whether a file has a column of encoded images: the one that the config names, or one found by name and type."""
    with open_parquet(path, where) as file:
        return find_image_bytes(file.schema_arrow, config, where) is not None


def index_parquet(
    path: Path, where: str, config: SourceConfig, classes: ClassFile | None, images: Path, on_bytes: OnBytes
) -> Index:
    """The pairs of one file, called `where` in errors; its images are written to the file `images`."""
    builder = IndexBuilder()
    with open_parquet(path, where) as file, atomic_write(images) as temporary, temporary.open("wb") as out:
        columns = _columns(file.schema_arrow, config, where, classes)
        for row in parquet_rows(file, columns.all(), path, where, on_bytes):
            image = row[columns.image.name]
            encoded = (image["bytes"] if isinstance(image, dict) else image) or b""
            key = f"{len(builder):08d}" if columns.key is None else str(row[columns.key])
            builder.add_span(key, _texts(row, columns), out.tell(), len(encoded) or -1)
            out.write(encoded)
    return builder.build()


@contextmanager
def open_parquet(path: Path, where: str) -> "Iterator[ParquetFile]":
    """A Parquet file, closed at the end. Raises DataError for one that is damaged or none."""
    try:
        import pyarrow.parquet as pq
    except ImportError as error:
        raise needs_extra("Reading Parquet files", "pyarrow", "train") from error
    with _readable(where):
        file = pq.ParquetFile(path)
    with file:
        yield file


def parquet_rows(
    file: "ParquetFile", columns: Sequence[str], path: Path, where: str, on_bytes: OnBytes
) -> Iterator[dict[str, Any]]:
    """The rows of some columns, one by one; `on_bytes` is told about how far in the file they are."""
    done, total, size = 0, max(1, file.metadata.num_rows), path.stat().st_size
    batches = file.iter_batches(batch_size=_ROWS, columns=list(columns))
    while True:
        with _readable(where):
            batch = next(batches, None)
        if batch is None:
            return
        yield from _plain_rows(batch, where)
        done += batch.num_rows
        on_bytes(size * done // total)


def _plain_rows(batch: "RecordBatch", where: str) -> Iterator[dict[str, Any]]:
    """The rows as Python has them: times to the microsecond, and None for those that it has no value for."""
    columns = [_plain_cells(_in_microseconds(column), where) for column in batch.columns]
    for cells in zip(*columns, strict=True):
        yield dict(zip(batch.schema.names, cells, strict=True))


def _plain_cells(column: "Array", where: str) -> list[Any]:
    unreadable = (ValueError, OverflowError, KeyError)  # such as the year 20000, or a time zone of no name
    try:
        return list(column.to_pylist())
    except UnicodeDecodeError as error:
        raise DataError(f"{where} holds a text that is not UTF-8 ({error.reason}); write it again as UTF-8.") from error
    except unreadable:
        cells = []
        for cell in column:
            try:
                cells.append(cell.as_py())
            except unreadable:
                cells.append(None)
        return cells


def _in_microseconds(column: "Array") -> "Array":
    """The same with times of nanoseconds, which Python has none of, cut off."""
    import pyarrow as pa

    def coarser(kind: "DataType") -> "DataType":
        if pa.types.is_list(kind):
            return pa.list_(coarser(kind.value_type))
        if pa.types.is_timestamp(kind) and kind.unit == "ns":
            return pa.timestamp("us", kind.tz)
        if pa.types.is_duration(kind) and kind.unit == "ns":
            return pa.duration("us")
        return pa.time64("us") if pa.types.is_time64(kind) else kind

    wanted = coarser(column.type)
    return column if wanted == column.type else column.cast(wanted, safe=False)


@contextmanager
def _readable(where: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise DataError(f"{where} cannot be read as Parquet ({reason}); fetch or write it again.") from error


def label_names(schema: "Schema", column: str, classes: ClassFile | None) -> ClassFile | None:
    """What numbers in a column stand for: what Hugging Face's metadata says of it, else the class file."""
    try:
        metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        feature = metadata.get("info", {}).get("features", {}).get(column, {})
        names = feature.get("names") or feature.get("feature", {}).get("names")
    except (ValueError, AttributeError, RecursionError):  # not as Hugging Face writes it
        names = None
    if not names or not isinstance(names, list):
        return classes
    return ClassFile(place="", by_label={str(number): (str(name),) for number, name in enumerate(names)})


def check_label_names(schema: "Schema", columns: TextColumns, names: dict[str, ClassFile | None], where: str) -> None:
    """Numbers without names say nothing: DataError where there is nothing else."""
    for column in columns.classes:
        if is_number(schema.field(column).type) and names[column] is None and not columns.captions:
            raise DataError(
                f"{where}: the class column {column!r} holds numbers; put the names into a classes.txt beside it, one "
                "a line from number 0 on."
            )


def _columns(schema: "Schema", config: SourceConfig, where: str, classes: ClassFile | None) -> _Columns:
    image = image_bytes(schema, config, where)
    texts = typed_text_columns(schema, config, where)
    names = {column: label_names(schema, column, classes) for column in texts.classes}
    check_label_names(schema, texts, names, where)
    types = dict(zip(schema.names, schema.types, strict=True))
    key = next((name for name in _KEYS if name in types and is_text(types[name])), None)
    return _Columns(image=image, key=key, texts=texts, classes=names)


def _texts(row: dict[str, Any], columns: _Columns) -> Texts:
    return texts_of(
        (row[name] for name in columns.texts.captions),
        (class_cell(row[name], columns.classes[name]) for name in columns.texts.classes),
    )


def class_cell(cell: object, names: ClassFile | None) -> object:
    """A cell of a class column with its numbers, or the labels of a class file, turned into names."""
    if names is None:
        return cell
    return [name for label in (cell if isinstance(cell, list) else [cell]) for name in names.names(label)]
