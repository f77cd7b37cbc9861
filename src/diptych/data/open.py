"""`open_source`: pairs of any layout, wherever they lie, as a Source."""

from diptych.data.config import SourceConfig, SourceFormat
from diptych.data.readers.folder import open_class_folders
from diptych.data.readers.image_bytes import Images
from diptych.data.readers.index import Index
from diptych.data.readers.locate import TABLE_SUFFIXES, find, layouts, shard_files, source_name
from diptych.data.readers.parquet import has_image_bytes
from diptych.data.readers.remote import local_copy
from diptych.data.readers.shards import ShardIndexer
from diptych.data.readers.source import IndexedSource
from diptych.data.readers.table import open_tables
from diptych.data.sample import DataError, Source


def open_source(config: SourceConfig) -> Source:
    """The pairs that a config names; the first time they are indexed, which our cache keeps, then it is instant.

    Raises DataError, in one line, where there is nothing, no image, no text, a column is missing or a file is damaged.
    """
    places = find(config)
    index, images = _open(places, config.format if config.format != "auto" else _layout(places, config), config)
    where = places[0] if len(places) == 1 else f"{places[0]} ... ({len(places)} places)"
    if len(index) == 0:
        raise DataError(
            f"{where} holds no images with texts; put images with captions or classes there, or give another path."
        )
    if len(index.places) == 0 and not (index.sizes >= 0).any():
        raise DataError(f"{where} holds texts but no images; put the images beside them, or give another path.")
    if not index.has_texts:
        raise DataError(
            f"{where} holds images, but neither captions nor class names that are not empty; write some, or name other "
            "columns with caption_column or class_column."
        )
    return IndexedSource(source_name(config), index, images)


def _layout(places: list[str], config: SourceConfig) -> SourceFormat:
    """The one layout of what lies at the places; a Parquet file of file names is a table."""
    found = layouts(places)
    if "parquet" in found:
        place = found.pop("parquet")
        first = shard_files([place], (".parquet",))[0]
        found.setdefault("parquet" if has_image_bytes(local_copy(first), first, config) else "table", place)
    if len(found) > 1:
        where = " and ".join(found[layout] for layout in sorted(found))
        raise DataError(f"{where} hold {' and '.join(sorted(found))}; make each layout a source of its own.")
    return next(iter(found))


def _open(places: list[str], layout: SourceFormat, config: SourceConfig) -> tuple[Index, Images]:
    if layout == "webdataset":
        return ShardIndexer(shard_files(places, (".tar",)), layout, config).open()
    if layout == "parquet":
        return ShardIndexer(shard_files(places, (".parquet",)), layout, config).open()
    if layout == "table":
        return open_tables(shard_files(places, (*TABLE_SUFFIXES, ".parquet")), config)
    return open_class_folders(places)
