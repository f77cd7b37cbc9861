"""Vectors and what they belong to, to a file and back: a Parquet file or a folder, by the name. Read in pieces."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diptych.errors import DiptychError
from diptych.files import atomic_folder, atomic_write
from diptych.library.database import LibraryError
from diptych.library.embedding_folder import LINES, NPY, EmbeddingFolder, write_folder
from diptych.library.embedding_parquet import VECTOR, is_export, open_parquet, write_parquet
from diptych.library.embedding_rows import EmbeddingFile, Row, Write
from diptych.library.photos import VectorDtype


@contextmanager
def write_embeddings(target: Path, about: Row, *, width: int, count: int, dtype: VectorDtype) -> Iterator[Write]:
    """A function that takes rows of `COLUMNS` with their vectors (n, E), `count` in all.

    The file or folder is there at the end, or as it was before on any error. DiptychError for one that is there
    and no export, ValueError for a name that asks for neither.
    """
    if target.suffix.lower() == ".parquet":
        if os.path.lexists(target) and not is_export(target):
            raise DiptychError(f"{target} exists and is no export of Diptych; give another name.")
        with atomic_write(target) as temporary, write_parquet(temporary, about, width, dtype) as write:
            yield write
    elif target.suffix:
        raise ValueError(f"{target} must end in .parquet, or in nothing for a folder of {NPY} and {LINES}.")
    else:
        if target.is_dir() and any(target.iterdir()) and not (target / LINES).is_file():
            raise DiptychError(f"{target} exists and is no export of Diptych; give a new folder.")
        with atomic_folder(target) as building, write_folder(building, about, (count, width), dtype) as write:
            yield write


@contextmanager
def open_embeddings(path: Path, *, path_column: str = "path", vector_column: str = VECTOR) -> Iterator[EmbeddingFile]:
    """A Parquet file, or a folder as it is written here, which needs no vector column. LibraryError for neither."""
    if path.is_dir():
        yield EmbeddingFolder(path, path_column)
    elif path.is_file():
        with open_parquet(path, path_column, vector_column) as file:
            yield file
    else:
        raise LibraryError(f"There is no {path}: give a Parquet file, or a folder with {NPY} and {LINES}.")
