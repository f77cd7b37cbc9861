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
from diptych.data.readers.columns import IMAGE_BYTES, TextColumns, image_column, listed, text_columns, texts_of
from diptych.data.readers.index import Index, IndexBuilder, OnBytes
from diptych.data.sample import DataError, Texts
from diptych.errors import needs_extra
from diptych.files import atomic_write

if TYPE_CHECKING:
    from pyarrow import DataType, Schema
    from pyarrow.parquet import ParquetFile

_ROWS = 256  # read at a time
_KEYS = ("key", "__key__", "id")


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """What is read of a file; `image` is the path of a leaf, such as image.bytes in a struct."""

    image: str
    key: str | None
    texts: TextColumns
    classes: dict[str, ClassFile | None]

    def all(self) -> list[str]:
        key = [] if self.key is None else [self.key]
        return list(dict.fromkeys([self.image, *key, *self.texts.captions, *self.texts.classes]))


def has_image_bytes(path: Path, where: str, config: SourceConfig) -> bool:
    """Whether a file has a column of encoded images: the one that the config names, or one found by name and type."""
    with open_parquet(path, where) as file:
        return _image_leaf(file.schema_arrow, config, where) is not None


def index_parquet(
    path: Path, where: str, config: SourceConfig, classes: ClassFile | None, images: Path, on_bytes: OnBytes
) -> Index:
    """The pairs of one file, called `where` in errors; its images are written to the file `images`."""
    builder = IndexBuilder()
    with open_parquet(path, where) as file, atomic_write(images) as temporary, temporary.open("wb") as out:
        columns = _columns(file.schema_arrow, config, where, classes)
        for row in parquet_rows(file, columns.all(), path, where, on_bytes):
            image = row[columns.image.split(".")[0]]
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
        yield from batch.to_pylist()
        done += batch.num_rows
        on_bytes(size * done // total)


@contextmanager
def _readable(where: str) -> Iterator[None]:
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        reason = (str(error) or type(error).__name__).splitlines()[0].rstrip(".")
        raise DataError(f"{where} cannot be read as Parquet ({reason}); fetch or write it again.") from error


def text_names(schema: "Schema", config: SourceConfig, where: str) -> list[str]:
    """The columns that could hold captions or classes by their type: text, whole numbers, and lists of these.

    Raises DataError if the config names another.
    """
    names = [field.name for field in schema if _is_text(field.type) or _is_number(field.type)]
    wanted = (config.caption_column,) if isinstance(config.caption_column, str) else config.caption_column or ()
    for name in (*wanted, config.class_column):
        if name in schema.names and name not in names:
            raise DataError(f"{where}: the column {name!r} holds {schema.field(name).type}, not text; name another.")
    return names


def label_names(schema: "Schema", column: str, classes: ClassFile | None) -> ClassFile | None:
    """What numbers in a column stand for: what Hugging Face's metadata says of it, else the class file."""
    try:
        metadata = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
        feature = metadata.get("info", {}).get("features", {}).get(column, {})
        names = feature.get("names") or feature.get("feature", {}).get("names")
    except (ValueError, AttributeError):  # not as Hugging Face writes it
        names = None
    if not names:
        return classes
    return ClassFile(place="", by_label={str(number): (str(name),) for number, name in enumerate(names)})


def check_label_names(schema: "Schema", columns: TextColumns, names: dict[str, ClassFile | None], where: str) -> None:
    """Numbers without names say nothing: DataError where there is nothing else."""
    for column in columns.classes:
        if _is_number(schema.field(column).type) and names[column] is None and not columns.captions:
            raise DataError(
                f"{where}: the class column {column!r} holds numbers; put the names into a classes.txt beside it, one "
                "a line from number 0 on."
            )


def _columns(schema: "Schema", config: SourceConfig, where: str, classes: ClassFile | None) -> _Columns:
    image = _image_leaf(schema, config, where)
    if image is None and config.image_column is not None:
        kind = schema.field(config.image_column).type
        raise DataError(f"{where}: the column {config.image_column!r} holds {kind}, not image bytes; name another.")
    if image is None:
        raise DataError(
            f"{where} has no column of image bytes: name it with image_column, or set format to 'table' if a column "
            f"holds file names. {listed(schema.names)}"
        )
    texts = text_columns(config, text_names(schema, config, where), where)
    names = {column: label_names(schema, column, classes) for column in texts.classes}
    check_label_names(schema, texts, names, where)
    key = next((name for name in _KEYS if name in schema.names and _is_text(schema.field(name).type)), None)
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


def _image_leaf(schema: "Schema", config: SourceConfig, where: str) -> str | None:
    leaves = {field.name: leaf for field in schema if (leaf := _leaf(field.name, field.type)) is not None}
    if config.image_column is not None and config.image_column in schema.names:
        return leaves.get(config.image_column)
    named = image_column(config, schema.names if config.image_column else list(leaves), IMAGE_BYTES, where)
    if named is None and len(leaves) == 1:
        return next(iter(leaves.values()))
    return None if named is None else leaves[named]


def _leaf(name: str, type_: "DataType") -> str | None:
    import pyarrow.types as kinds

    if kinds.is_binary(type_) or kinds.is_large_binary(type_):
        return name
    if kinds.is_struct(type_) and type_.get_field_index("bytes") >= 0:
        return f"{name}.bytes"
    return None


def _is_text(type_: "DataType") -> bool:
    import pyarrow.types as kinds

    if kinds.is_dictionary(type_):
        return _is_text(type_.value_type)
    if kinds.is_list(type_) or kinds.is_large_list(type_):
        return _is_text(type_.value_type)
    return kinds.is_string(type_) or kinds.is_large_string(type_)


def _is_number(type_: "DataType") -> bool:
    import pyarrow.types as kinds

    return kinds.is_integer(type_.value_type if kinds.is_list(type_) else type_)
