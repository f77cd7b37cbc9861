"""Parquet through pyarrow, which the extra "library" brings."""

from typing import Any

from diptych.errors import needs_extra


def import_arrow(what: str) -> Any:  # noqa: ANN401 (modules)
    """pyarrow and pyarrow.parquet. DiptychError, which says what needs them, where they are not installed."""
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError as error:
        raise needs_extra(what, "pyarrow", "library") from error
    return pa, pq


def as_utf8(text: str) -> str:
    """A text as Parquet can hold it: with escapes for bytes that are not UTF-8, as names of files may have them."""
    return text.encode("utf-8", "backslashreplace").decode()
