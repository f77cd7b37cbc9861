"""Webdataset tar shards, as img2dataset writes them: KEY.jpg with KEY.txt, KEY.json or KEY.cls.

A shard is scanned once for where its images lie, its texts are read then; after that an image is one read.
"""

import json
import re
import tarfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any

from diptych.data.config import SourceConfig
from diptych.data.readers.class_names import ClassFile
from diptych.data.readers.columns import no_column, texts_of, usual_captions, usual_classes
from diptych.data.readers.index import Index, IndexBuilder, OnBytes
from diptych.data.readers.locate import IMAGE_SUFFIXES
from diptych.data.sample import DataError, Texts

_NAME = re.compile(r"((?:.*/)?[^/.]+)\.([^/]+)")  # the key ends at the first dot of the file's own name
_MAX_TEXT = 1 << 24  # bytes; longer ones are no caption
_IMAGES = frozenset(suffix[1:] for suffix in IMAGE_SUFFIXES)


@dataclass(kw_only=True)
class _Group:
    """The files of one key: where the image is, and what the others hold."""

    offset: int = 0
    size: int = -1
    texts: dict[str, str] = field(default_factory=dict)

    def has(self, suffix: str) -> bool:
        return self.size >= 0 if suffix in _IMAGES else suffix in self.texts


def index_tar(path: Path, where: str, config: SourceConfig, classes: ClassFile | None, on_bytes: OnBytes) -> Index:
    """The pairs of one shard, called `where` in errors.

    The files of a key need not follow each other; a second image of one key begins another pair. Raises DataError for a
    file that is damaged, cut short or no tar: what lies before the damage would be a silent part of the data.
    """
    groups = _scan(path, where, on_bytes)
    builder = IndexBuilder()
    seen_keys: dict[str, None] = {}
    for key, group in groups:
        record = _record(group.texts)
        seen_keys |= dict.fromkeys(record)
        texts = _texts(group.texts, record, config, classes)
        if group.size >= 0 or texts.captions or texts.class_names:
            builder.add_span(key, texts, group.offset, group.size)
    _check_columns(config, seen_keys, where)
    index = builder.build()
    if not index.has_texts and any("cls" in group.texts or "cls.txt" in group.texts for _, group in groups):
        raise DataError(
            f"{where} has numbers for classes; put the names into a classes.txt beside it, one a line from 0."
        )
    return index


def _scan(path: Path, where: str, on_bytes: OnBytes) -> list[tuple[str, _Group]]:
    groups: list[tuple[str, _Group]] = []
    latest: dict[str, _Group] = {}
    try:
        with tarfile.open(path, "r:") as tar:
            while (member := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # it would grow with the shard
                on_bytes(tar.offset)
                named = _NAME.fullmatch(member.name)
                if not member.isreg() or named is None:
                    continue
                key, suffix = named[1].removeprefix("./").encode(errors="replace").decode(), named[2].lower()
                if suffix not in _IMAGES and suffix not in _TEXTS:
                    continue
                if key not in latest or latest[key].has(suffix):
                    latest[key] = _Group()
                    groups.append((key, latest[key]))
                _add(tar, member, suffix, latest[key])
            _check_end(path, tar.offset, where)
    except (tarfile.TarError, EOFError) as error:
        raise DataError(f"{where} is no tar file, or is damaged ({_place(error, path)}); {_REMEDY}") from error
    except OSError as error:
        raise DataError(f"{where} cannot be read ({error.strerror or error}).") from error
    return groups


def _add(tar: tarfile.TarFile, member: tarfile.TarInfo, suffix: str, group: _Group) -> None:
    if suffix in _IMAGES:
        group.offset, group.size = member.offset_data, member.size
    elif member.size <= _MAX_TEXT and (file := tar.extractfile(member)) is not None:
        group.texts[suffix] = file.read().decode(errors="replace").removeprefix("\ufeff")


def _check_end(path: Path, offset: int, where: str) -> None:
    """`tarfile` takes a header that it cannot read for the end; the end is 512 zeros, or the file's."""
    with path.open("rb") as file:
        size = file.seek(0, 2)
        file.seek(offset)
        block = file.read(512)
    if offset > size:
        raise DataError(f"{where} is cut short: it has {size:,} bytes and needs {offset:,}; {_REMEDY}")
    if block.strip(b"\0"):
        raise DataError(f"{where} is damaged at byte {offset:,}; {_REMEDY}")


def _record(texts: Mapping[str, str]) -> dict[str, Any]:
    """The JSON of a pair; nothing where it is none, which shows as a pair without texts."""
    try:
        record = json.loads(texts.get("json", "{}"))
    except (ValueError, RecursionError):
        return {}
    return record if isinstance(record, dict) else {}


def _texts(texts: Mapping[str, str], record: dict[str, Any], config: SourceConfig, classes: ClassFile | None) -> Texts:
    """What the config names; else the captions of the JSON, and that of the txt if it is none of them."""
    cells = {**record, **{suffix: text for suffix, text in texts.items() if suffix != "json"}}
    caption_keys = _chosen(config.caption_column) or (*usual_captions(tuple(record)), "txt")
    class_keys = _chosen(config.class_column) or (*usual_classes(tuple(record)), "cls", "cls.txt")
    labels = (cells.get(key) for key in class_keys)
    named = chain.from_iterable(classes.names(label) if classes is not None else [label] for label in labels)
    found = texts_of((cells.get(key) for key in caption_keys), (name for name in named if not _is_number(name)))
    if config.caption_column is None and texts.get("txt", "").strip() in found.captions[:-1]:
        return Texts(captions=found.captions[:-1], class_names=found.class_names)
    return found


def _chosen(columns: str | tuple[str, ...] | None) -> tuple[str, ...]:
    return () if columns is None else (columns,) if isinstance(columns, str) else columns


def _is_number(label: object) -> bool:
    return isinstance(label, str) and label.strip().isdecimal()


def _check_columns(config: SourceConfig, keys: dict[str, None], where: str) -> None:
    for setting in ("caption_column", "class_column"):
        for name in _chosen(getattr(config, setting)):
            if name not in keys and name not in _TEXTS:
                raise no_column(name, setting, list(keys), where)


def _place(error: Exception, path: Path) -> str:
    return f"{str(error) or type(error).__name__}, of {path.stat().st_size:,} bytes"


_TEXTS = frozenset({"txt", "json", "cls", "cls.txt"})
_REMEDY = "fetch or write it again, or leave it out of the source's path."
