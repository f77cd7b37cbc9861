"""A catalogue as what a library is filled from: which pictures it names now, and each of them as a file to index."""

import json
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Self, assert_never

from diptych.errors import FetchError, ImageError
from diptych.library.catalogue import Catalogue, Row
from diptych.library.cells import AddressImage, BytesImage, FileImage
from diptych.library.metadata import PhotoFacts
from diptych.library.reading import ChangingFileError, EncoderInput, PhotoFile, content_hash, facts_in
from diptych.library.roots import Scan
from diptych.library.walk import FoundFile, storable_time

_FETCH_SECONDS: Final = 30.0


@dataclass(frozen=True, kw_only=True)
class CatalogueRoot:
    """The pictures that a table names. `path` is absolute."""

    path: Path
    image_column: str
    id_column: str | None = None
    text_column: str | None = None
    kind: str = "table"

    @property
    def settings(self) -> str:
        """The columns, as JSON."""
        columns = {"image_column": self.image_column, "id_column": self.id_column, "text_column": self.text_column}
        return json.dumps(columns)

    @classmethod
    def from_settings(cls, path: Path, settings: str) -> Self:
        """The root that had these settings."""
        return cls(path=path, **json.loads(settings))

    def scan(self) -> Scan:
        """All rows that name a picture. Raises DiptychError for a table that is not there or cannot be read."""
        if not self.path.exists():
            return Scan(found=[], unread=("",))
        catalogue = self._catalogue()
        found = [found_of(row) for row in catalogue]
        return Scan(found=found, faults=catalogue.faults.lines())

    def open(self, wanted: Sequence[FoundFile]) -> Iterator["CatalogueFile"]:
        """The pictures of some rows; embedded ones are read from the table, a few at a time, as far as the last."""
        left = {found.path for found in wanted}
        rows = iter(self._catalogue())
        while left and (row := next(rows, None)) is not None:
            if row.key in left:
                left.remove(row.key)
                yield CatalogueFile(row, self.path)

    def _catalogue(self) -> Catalogue:
        return Catalogue(self.path, self.image_column, self.id_column, self.text_column)


def found_of(row: Row) -> FoundFile:
    """What a library stores of a row. A file that is not there has size and mtime 0.

    Instead of an mtime an address has the CRC-32 of its characters (size 0), and an embedded picture that of its bytes.
    """
    size = stamp = 0
    source = None
    match row.image:
        case FileImage(path):
            source = str(path)
            try:
                status = path.stat()
                size, stamp = status.st_size, storable_time(status.st_mtime_ns)
            except (OSError, ValueError):  # a name that no file can have
                pass
        case AddressImage(url):
            source, stamp = url, zlib.crc32(url.encode())
        case BytesImage(data):
            size, stamp = len(data), zlib.crc32(data)
        case _:
            assert_never(row.image)
    return FoundFile(row.key, size, stamp, source, row.text, row.json)


class CatalogueFile:
    """The picture of one row, read or fetched by a worker: then `hash`, `facts` and `found` are of what was read."""

    second = None

    def __init__(self, row: Row, table: Path) -> None:
        self.found = found_of(row)
        self.name = self.found.source or f"{table}#{row.key}"
        self.hash = b""
        self.facts: PhotoFacts | None = None
        self._image = row.image

    def seekable(self) -> bool:
        """No: it is read once."""
        return False

    def read(self) -> bytes:
        """All bytes. ImageError where an address gives none; else as `PhotoFile` has it."""
        data = self._data()
        self.hash, self.facts = content_hash(data), facts_in(data)
        return data

    def inputs(self) -> Sequence[EncoderInput]:
        """Itself."""
        return [self]

    def identify(self) -> None:
        """Read it for its hash alone."""
        self.hash = content_hash(self._data())

    def _data(self) -> bytes:
        match self._image:
            case BytesImage(data):
                return data
            case AddressImage(url):
                return fetched(url)
            case FileImage(path):
                file = PhotoFile(path.parent, FoundFile(path.name, 0, 0))
                try:
                    data = file.read_bytes()
                except ChangingFileError as error:
                    if self.found.mtime_ns or self.found.size:
                        raise
                    raise ImageError(
                        f"{path}: no such file or directory"
                    ) from error  # nor was there when the table was read
                self.found = replace(self.found, size=file.found.size, mtime_ns=file.found.mtime_ns)
                return data
            case _:
                assert_never(self._image)


def fetched(url: str) -> bytes:
    """What an address gives. Raises ImageError."""
    from diptych.fetch import fetch_bytes

    try:
        return fetch_bytes(url, timeout_seconds=_FETCH_SECONDS, allow_private=True)
    except FetchError as error:
        raise ImageError(str(error)) from error
