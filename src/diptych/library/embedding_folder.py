"""Vectors as a folder: vectors.npy, the rows as JSON lines in photos.jsonl, and the model as JSON in model.json."""

import json
import tokenize
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import IO, Any, Final

import numpy as np

from diptych.encode.encoder import Features
from diptych.library.database import LibraryError
from diptych.library.embedding_rows import COLUMNS, ROWS_AT_ONCE, Chunk, Row, Write, json_object, short_reason
from diptych.library.photos import VectorDtype

NPY: Final = "vectors.npy"
LINES: Final = "photos.jsonl"
_MODEL: Final = "model.json"
# What numpy raises for the header of a file, which it reads as Python.
_BROKEN: Final = (ValueError, TypeError, EOFError, OverflowError, SyntaxError, MemoryError, RecursionError)


@contextmanager
def write_folder(folder: Path, about: Row, shape: tuple[int, int], dtype: VectorDtype) -> Iterator[Write]:
    """A function that takes the rows of a folder that is there, with vectors of the (N, E) in all."""
    (folder / _MODEL).write_text(json.dumps(about, indent=2) + "\n", encoding="ascii")
    number = "<f2" if dtype == "float16" else "<f4"
    header = {"descr": number, "fortran_order": False, "shape": shape}
    with (folder / NPY).open("wb") as vectors_file, (folder / LINES).open("w", encoding="ascii") as lines:
        np.lib.format.write_array_header_1_0(vectors_file, header)

        def write(rows: Sequence[Row], vectors: Features) -> None:
            vectors_file.write(np.ascontiguousarray(vectors, number).tobytes())
            lines.writelines(json.dumps({name: row[name] for name in COLUMNS}) + "\n" for row in rows)

        yield write


class EmbeddingFolder:
    """A folder to read, as EmbeddingFile describes it; it needs no model.json. LibraryError for what is damaged."""

    def __init__(self, folder: Path, path_column: str) -> None:
        self.path, self._named = folder, path_column
        for name in (NPY, LINES):
            if not (folder / name).is_file():  # nor a pipe, which would wait for a writer
                raise LibraryError(f"{folder} needs {NPY} and {LINES}: {folder / name} is no file.")
        try:
            self._vectors = np.lib.format.open_memmap(folder / NPY, mode="r")
            model = folder / _MODEL
            self.about = json_object(model.read_bytes()) if model.is_file() else None
        except OSError as error:
            raise LibraryError(f"{folder} cannot be read ({short_reason(error)}).") from error
        except (*_BROKEN, tokenize.TokenError) as error:
            raise LibraryError(f"{folder / NPY} is no whole NPY file of numbers ({short_reason(error)}).") from error
        if self._vectors.ndim != 2 or self._vectors.dtype.kind not in "fiu":
            shape = "x".join(map(str, self._vectors.shape))
            raise LibraryError(f"{folder / NPY} holds {self._vectors.dtype} {shape}, where a row a vector belongs.")
        self.count, self.width = self._vectors.shape

    def chunks(self) -> Iterator[Chunk]:
        """All rows, a few thousand at a time."""
        start = 0
        with (self.path / LINES).open(encoding="utf-8") as lines:
            objects = self._objects(lines)
            while rows := list(islice(objects, ROWS_AT_ONCE)):
                with np.errstate(over="ignore"):  # what float32 cannot hold is infinite, and refused as that
                    vectors = self._vectors[start : start + len(rows)].astype(np.float32)
                start += len(rows)
                if len(vectors) < len(rows):
                    break
                yield Chunk(rows=rows, vectors=vectors)
        if start != self.count:
            raise LibraryError(f"{self.path} has {self.count:,} vectors and not as many lines in {LINES}.")

    def _objects(self, lines: IO[str]) -> Iterator[dict[str, Any]]:
        place = self.path / LINES
        for number, line in enumerate(_as_utf8(lines, place), start=1):
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise LibraryError(f"{place}, line {number}, is not JSON ({short_reason(error)}).") from error
            if not isinstance(row, dict) or self._named not in row:
                raise LibraryError(f"{place}, line {number}, is no object with a {self._named!r} (--path-column).")
            row["path"] = row[self._named]
            yield row


def _as_utf8(lines: IO[str], place: Path) -> Iterator[str]:
    try:
        yield from lines
    except UnicodeDecodeError as error:
        raise LibraryError(f"{place} is not UTF-8 ({error.reason} at byte {error.start}): save it as UTF-8.") from error
