"""Tables of file names with captions or classes: rows of one image are one pair."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice
from pathlib import Path

from diptych.data.config import SourceConfig
from diptych.data.readers.cached import cached_index, map_index
from diptych.data.readers.class_names import ClassFile, find_class_file
from diptych.data.readers.column_types import file_names, typed_text_columns
from diptych.data.readers.columns import IMAGE_FILES, TextColumns, image_column, listed, text_columns, texts_of
from diptych.data.readers.image_bytes import ImageFiles, file_stamp
from diptych.data.readers.index import Index, IndexBuilder, OnBytes
from diptych.data.readers.parquet import check_label_names, class_cell, label_names
from diptych.data.readers.remote import is_remote, join, local_copies, parent, without_file_scheme
from diptych.data.readers.rows import Row, Table, open_table
from diptych.data.sample import DataError, Texts
from diptych.progress import Progress

_LOOKED_FOR = 100  # images, before all of them are taken to be missing


@dataclass(kw_only=True)
class _Image:
    """A file name as its first row has it, and the texts of all its rows."""

    name: str
    captions: list[str] = field(default_factory=list)
    class_names: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class _Columns:
    """Which columns are read, and what the labels of the class columns stand for."""

    image: str
    texts: TextColumns
    names: dict[str, ClassFile | None]

    def all(self) -> list[str]:
        return list(dict.fromkeys([self.image, *self.texts.captions, *self.texts.classes]))

    def texts_in(self, row: Row) -> Texts:
        labels = (class_cell(row.get(column), self.names[column]) for column in self.texts.classes)
        return texts_of((row.get(column) for column in self.texts.captions), labels)


def open_tables(places: Sequence[str], config: SourceConfig) -> tuple[Index, ImageFiles]:
    """The index of all rows of tables, and what reads their images. Raises DataError.

    File names are relative to the config's image_root, else to their table's folder.
    """
    files = local_copies(places)
    stamps = [file_stamp(path.stat()) for path in files]
    classes = find_class_file(dict.fromkeys(map(parent, places)))
    roots = [_root(config, place) for place in places]
    columns = [config.image_column, config.caption_column, config.class_column]
    about = ["table", columns, classes.identity if classes else None]
    tables = list(zip(files, places, roots, strict=True))

    def build() -> Index:
        with Progress(total=sum(size for size, _ in stamps), label="Reading tables", unit="B") as progress:
            images: dict[str, _Image] = {}
            for number, (path, where, root) in enumerate(tables):
                before = sum(size for size, _ in stamps[:number])
                on_bytes = partial(_update, progress, before)
                for name, texts in _pairs(path, where, config, classes, on_bytes):
                    image = images.setdefault(_place_of(name, root, where), _Image(name=name))
                    image.captions += texts.captions
                    image.class_names += texts.class_names
            return _built(images)

    identity = [*about, [[str(path.absolute()), root] for path, _, root in tables], stamps]
    index = map_index(cached_index(identity, build))
    _check_images(index, places[0], roots[0])
    return index, ImageFiles()


def _pairs(
    path: Path, where: str, config: SourceConfig, classes: ClassFile | None, on_bytes: OnBytes
) -> Iterator[tuple[str, Texts]]:
    """(file name, texts) of each row that has a file name."""
    with open_table(path, where, on_bytes) as table:
        columns = _columns(table, config, where, classes)
        for row in table.rows(columns.all()):
            name = row.get(columns.image)
            if isinstance(name, str) and name.strip():
                yield name.strip(), columns.texts_in(row)


def _columns(table: Table, config: SourceConfig, where: str, classes: ClassFile | None) -> _Columns:
    if table.schema is not None:
        image, texts = file_names(table.schema, config, where), typed_text_columns(table.schema, config, where)
        names = {column: label_names(table.schema, column, classes) for column in texts.classes}
        check_label_names(table.schema, texts, names, where)
        return _Columns(image=image, texts=texts, names=names)
    named = image_column(config, table.columns, IMAGE_FILES, where)
    if named is None:
        raise DataError(
            f"{where} has no column of file names that is known by its name: name it with image_column. "
            f"{listed(table.columns)}"
        )
    texts = text_columns(config, table.columns, where)
    return _Columns(image=named, texts=texts, names=dict.fromkeys(texts.classes, classes))


def _root(config: SourceConfig, place: str) -> str:
    """Absolute, where it is on this machine: another process may have another working folder."""
    root = parent(place) if config.image_root is None else without_file_scheme(config.image_root)
    return root if is_remote(root) else str(Path(root).expanduser().absolute())


def _place_of(name: str, root: str, where: str) -> str:
    """Who has a table on this machine may name any file in it; one from elsewhere names files below its root only."""
    if name.startswith(("http://", "https://")):
        raise DataError(f"{where} holds addresses, such as {name}; fetch the images first, for example by img2dataset.")
    if is_remote(root) and (is_remote(name) or name.startswith("/") or ".." in re.split(r"[/\\]", name)):
        raise DataError(f"{where} names {name!r}, which is not below {root}; remove that row.")
    return join(root, name)


def _update(progress: Progress, before: int, position: int) -> None:
    progress.update(before + position)


def _built(images: dict[str, _Image]) -> Index:
    builder = IndexBuilder()
    for place, image in images.items():
        names = tuple(dict.fromkeys(image.class_names))
        builder.add_place(image.name, Texts(captions=tuple(image.captions), class_names=names), place)
    return builder.build()


def _check_images(index: Index, where: str, root: str) -> None:
    places = [index.places[number] for number in islice(range(len(index)), _LOOKED_FOR)]
    if places and not any(is_remote(place) or Path(place).is_file() for place in places):
        raise DataError(
            f"{where}: none of the first {len(places)} images is there, such as {places[0]}; file names are relative "
            f"to {root}: set image_root if they lie elsewhere."
        )
