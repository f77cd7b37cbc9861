"""Small sources in every layout; images are any bytes, since readers do not decode."""

import io
import json
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from diptych.data.config import SourceConfig
from diptych.data.open import open_source
from diptych.data.sample import Sample, Source


def image(number: int) -> bytes:
    """What stands for an encoded image: as long as no other."""
    return f"image {number} ".encode() * (number + 3)


def write_tar(path: Path, files: Mapping[str, object]) -> Path:
    """A tar of these files, in their order."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as tar:
        for name, content in files.items():
            data = content.encode() if isinstance(content, str) else content
            assert isinstance(data, bytes)
            member = tarfile.TarInfo(name)
            member.size = len(data)
            tar.addfile(member, io.BytesIO(data))
    return path


def img2dataset_files(count: int, first: int = 0) -> dict[str, bytes | str]:
    """KEY.jpg, KEY.txt and KEY.json of `count` pairs as img2dataset writes them."""
    files: dict[str, bytes | str] = {}
    for number in range(first, first + count):
        key, caption = f"{number:09d}", f"caption {number}"
        files[f"{key}.jpg"] = image(number)
        files[f"{key}.txt"] = caption
        files[f"{key}.json"] = json.dumps({"caption": caption, "url": "u", "key": key, "status": "success"})
    return files


def write_parquet(path: Path, columns: Mapping[str, Any], features: Mapping[str, Any] | None = None) -> Path:
    """A Parquet file in groups of two rows, with Hugging Face's metadata if features are given."""
    table = pa.table(dict(columns))
    if features is not None:
        metadata = {b"huggingface": json.dumps({"info": {"features": dict(features)}}).encode()}
        table = table.replace_schema_metadata(metadata)
    pq.write_table(table, path, row_group_size=2)
    return path


def write_images(folder: Path, *names: str) -> Path:
    """Files of these names, the first with `image(0)` in it, the second with `image(1)` ..."""
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(image(number))
    return folder


def opened(*paths: Path | str, **settings: Any) -> Source:  # noqa: ANN401 (the config checks them)
    """A source of these paths."""
    path = str(paths[0]) if len(paths) == 1 else tuple(map(str, paths))
    return open_source(SourceConfig(path=path, **settings))


def read_all(source: Source) -> list[Sample]:
    return [source.read(number) for number in range(len(source))]


def captions(source: Source) -> list[tuple[str, ...]]:
    return [source.texts(number).captions for number in range(len(source))]


def class_names(source: Source) -> list[tuple[str, ...]]:
    return [source.texts(number).class_names for number in range(len(source))]


def keys(source: Source) -> list[str]:
    return [source.key(number) for number in range(len(source))]
