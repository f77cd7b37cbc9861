"""Files that hold many images each: indexed one by one, and joined to the index of a source."""

import re
from collections.abc import Sequence
from itertools import accumulate, takewhile
from pathlib import Path
from typing import Literal

from diptych.data.config import SourceConfig
from diptych.data.readers.cached import cache_path, cached_index, map_index, read_index
from diptych.data.readers.class_names import find_class_file
from diptych.data.readers.image_bytes import ImageSpans, file_stamp
from diptych.data.readers.index import Index, joined
from diptych.data.readers.parquet import index_parquet
from diptych.data.readers.remote import local_copies, parent
from diptych.data.readers.webdataset import index_tar
from diptych.progress import Progress


class ShardIndexer:
    """Indexes tars or Parquet files, each kept in the cache: what was done stays done if the work is interrupted."""

    def __init__(self, places: Sequence[str], layout: Literal["webdataset", "parquet"], config: SourceConfig) -> None:
        self._places, self._config = places, config
        self._files = [path.absolute() for path in local_copies(places)]
        self._stamps = [file_stamp(path.stat()) for path in self._files]
        folders = dict.fromkeys(map(parent, places))
        self._classes = find_class_file(dict.fromkeys([*folders, *map(parent, folders)]))
        columns = [config.image_column, config.caption_column, config.class_column]
        about = [layout, columns, self._classes.identity if self._classes else None]
        files = [[str(path), *stamp] for path, stamp in zip(self._files, self._stamps, strict=True)]
        self._identities = [[*about, file] for file in files]
        # Where the images of a Parquet file are unpacked to.
        self._unpacked = [cache_path(about, "images") for about in self._identities] if layout == "parquet" else []

    def open(self) -> tuple[Index, ImageSpans]:
        """The index of all files together, and what reads their images."""
        names = _short_names(self._places)
        if len(self._files) == 1:
            [path] = self._index_each()
        else:
            identity = [self._identities, names]
            path = cached_index(identity, lambda: joined(self._parts(), names), self._unpacked)
        index = map_index(path)
        if not self._unpacked:
            return index, ImageSpans(self._files, self._stamps)
        return index, ImageSpans(self._unpacked, [file_stamp(path.stat()) for path in self._unpacked])

    def _parts(self) -> list[Index]:
        return [read_index(path) for path in self._index_each()]  # not mapped: there may be more than files can be open

    def _index_each(self) -> list[Path]:
        sizes = [size for size, _ in self._stamps]
        before = accumulate(sizes, initial=0)
        label = "Unpacking images" if self._unpacked else "Indexing"
        with Progress(total=sum(sizes), label=label, unit="B") as progress:
            return [self._index(number, next(before), progress) for number in range(len(sizes))]

    def _index(self, number: int, before: int, progress: Progress) -> Path:
        path, where = self._files[number], self._places[number]

        def on_bytes(position: int) -> None:
            progress.update(before + position)

        def build() -> Index:
            if not self._unpacked:
                return index_tar(path, where, self._config, self._classes, on_bytes)
            return index_parquet(path, where, self._config, self._classes, self._unpacked[number], on_bytes)

        return cached_index(self._identities[number], build, self._unpacked[number : number + 1])


def _short_names(places: Sequence[str]) -> list[str]:
    """The files' paths without suffix, and without the folders that all of them are in."""
    parts = [re.split(r"[/\\]", place.rsplit(".", 1)[0]) for place in places]
    levels = zip(*(folders[:-1] for folders in parts), strict=False)
    shared = sum(1 for _ in takewhile(lambda names: len(set(names)) == 1, levels))
    return ["/".join(folders[shared:]) for folders in parts]
