"""Which columns of a Parquet file can hold images, file names, captions and classes, by the types that it declares."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from diptych.data.config import SourceConfig
from diptych.data.readers.columns import (
    CAPTIONS,
    CLASSES,
    IMAGE_BYTES,
    IMAGE_FILES,
    TextColumns,
    first_usual,
    listed,
    no_column,
    text_columns,
    usual_captions,
    usual_classes,
)
from diptych.data.sample import DataError

if TYPE_CHECKING:
    from pyarrow import DataType, Schema

_BYTES = "binary, large_binary, binary_view, or a struct with one of these as 'bytes'"
_TEXT = "string, large_string, string_view or a dictionary of one of these"
_TEXTS = f"{_TEXT}, or lists of it"
_LABELS = f"{_TEXTS}, or whole numbers"


@dataclass(frozen=True, kw_only=True)
class ImageColumn:
    """Where image bytes are: in a column, or in the field `bytes` of a column of structs."""

    name: str
    is_struct: bool

    @property
    def path(self) -> str:
        """What Parquet calls it."""
        return f"{self.name}.bytes" if self.is_struct else self.name


def find_image_bytes(schema: "Schema", config: SourceConfig, where: str) -> ImageColumn | None:
    """The column that the config names, else the first with a usual name, else the only one; None if none can be it."""
    columns = {field.name: found for field in schema if (found := _image_bytes(field.name, field.type)) is not None}
    if (name := config.image_column) is not None:
        if name not in schema.names:
            raise no_column(name, "image_column", schema.names, where)
        return columns.get(name)
    if (name := first_usual(columns, IMAGE_BYTES)) is not None:
        return columns[name]
    return next(iter(columns.values())) if len(columns) == 1 else None


def image_bytes(schema: "Schema", config: SourceConfig, where: str) -> ImageColumn:
    """The column of image bytes; DataError where none can be it."""
    found = find_image_bytes(schema, config, where)
    if found is not None:
        return found
    if (name := config.image_column or first_usual(schema.names, IMAGE_BYTES)) is not None:
        wanted = f"{_BYTES} (of file names, set format to 'table')"
        raise _wrong_type(schema, name, wanted, "image_column", where)
    raise DataError(
        f"{where} has no column of image bytes: name it with image_column, or set format to 'table' if a column "
        f"holds file names. {listed(schema.names)}"
    )


def file_names(schema: "Schema", config: SourceConfig, where: str) -> str:
    """The column of file names; DataError where none can be it."""
    columns = [field.name for field in schema if _is_one_text(field.type)]
    name = config.image_column or first_usual(columns, IMAGE_FILES)
    name = name or first_usual(schema.names, (*IMAGE_BYTES, *IMAGE_FILES))
    if name is None:
        raise DataError(
            f"{where} has no column of image bytes or file names that is known by its name: name it with image_column. "
            f"{listed(schema.names)}"
        )
    if name not in schema.names:
        raise no_column(name, "image_column", schema.names, where)
    if name not in columns:
        raise _wrong_type(schema, name, f"{_BYTES}; file names from {_TEXT}", "image_column", where)
    return name


def typed_text_columns(schema: "Schema", config: SourceConfig, where: str) -> TextColumns:
    """The columns of captions and classes, as `text_columns` finds them, among those that can be it by their type.

    DataError where a column that the config names cannot, or where none of those with usual names can.
    """
    texts = [field.name for field in schema if is_text(field.type)]
    numbers = [field.name for field in schema if is_number(field.type)]
    captions = (config.caption_column,) if isinstance(config.caption_column, str) else config.caption_column or ()
    for name in captions:
        if name in schema.names and name not in texts:
            raise _wrong_type(schema, name, _TEXTS, "caption_column", where)
    label = config.class_column
    if label is not None and label in schema.names and label not in (*texts, *numbers):
        raise _wrong_type(schema, label, _LABELS, "class_column", where)
    fitting = [name for name in schema.names if name in texts or name in numbers]
    if not captions and label is None and not usual_captions(tuple(texts)) and not usual_classes(tuple(fitting)):
        _refuse_known_names(schema, where)
    found = text_columns(config, fitting, where, numbers=numbers)
    for name in (*found.captions, *found.classes):
        if (count := schema.names.count(name)) > 1:
            raise DataError(f"{where} has {count} columns called {name!r}; give each a name of its own.")
    return found


def is_text(type_: "DataType") -> bool:
    """Whether cells are texts, or lists of them."""
    return _is_one_text(_item(type_))


def is_number(type_: "DataType") -> bool:
    """Whether cells are whole numbers, or lists of them."""
    import pyarrow.types as kinds

    return kinds.is_integer(_item(type_))


def _refuse_known_names(schema: "Schema", where: str) -> None:
    for usual, wanted, setting in ((CAPTIONS, _TEXTS, "caption_column"), (CLASSES, _LABELS, "class_column")):
        if (name := first_usual(schema.names, usual)) is not None:
            raise _wrong_type(schema, name, wanted, setting, where)


def _wrong_type(schema: "Schema", name: str, wanted: str, setting: str, where: str) -> DataError:
    """The error for a column that by its name is what a setting is about."""
    kind = str(schema.types[schema.names.index(name)])
    shown = kind if len(kind) <= 100 else f"{kind[:100]}..."
    what = {"image_column": "images", "caption_column": "captions", "class_column": "classes"}[setting]
    return DataError(
        f"{where}: the column {name!r} holds {shown}, and {what} are read from {wanted}: name another with {setting}, "
        "or write it anew."
    )


def _image_bytes(name: str, type_: "DataType") -> ImageColumn | None:
    import pyarrow.types as kinds

    is_struct = kinds.is_struct(type_)
    if is_struct and type_.get_field_index("bytes") < 0:
        return None
    inner = type_.field("bytes").type if is_struct else type_
    if kinds.is_dictionary(inner):
        inner = inner.value_type
    # Not of a fixed size: encoded images differ in theirs, hashes do not.
    fits = kinds.is_binary(inner) or kinds.is_large_binary(inner) or kinds.is_binary_view(inner)
    return ImageColumn(name=name, is_struct=is_struct) if fits else None


def _is_one_text(type_: "DataType") -> bool:
    import pyarrow.types as kinds

    if kinds.is_dictionary(type_):
        type_ = type_.value_type
    return kinds.is_string(type_) or kinds.is_large_string(type_) or kinds.is_string_view(type_)


def _item(type_: "DataType") -> "DataType":
    """What is in the lists of lists of a column; the type itself where there are none."""
    while _is_list(type_):
        type_ = type_.value_type
    return type_


def _is_list(type_: "DataType") -> bool:
    import pyarrow.types as kinds

    is_long = kinds.is_large_list(type_) or kinds.is_large_list_view(type_)
    return is_long or kinds.is_list(type_) or kinds.is_list_view(type_) or kinds.is_fixed_size_list(type_)
