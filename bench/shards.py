"""Pairs as webdataset shards that both trainers read."""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path

from diptych.data.config import SourceConfig
from diptych.data.open import open_source
from diptych.data.sample import Texts
from diptych.data.shards import ShardWriter

SHARD_SIZE = 256


def pairs_in(path: str) -> Iterator[tuple[bytes, tuple[str, ...]]]:
    """Encoded images, each with all of its texts."""
    source = open_source(SourceConfig(path=path))
    for index in range(len(source)):
        sample = source.read(index)
        yield sample.image, (*sample.texts.captions, *sample.texts.class_names)


def write_shards(folder: Path, pairs: Iterable[tuple[bytes, str]]) -> tuple[list[str], int]:
    """Paths of the shards, and how many pairs are in them; what was in the folder before is deleted."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    count = 0
    with ShardWriter(folder, SHARD_SIZE) as writer:
        for image, caption in pairs:
            writer.write(image, Texts(captions=(caption,)), {})
            count += 1
    return [str(path) for path in sorted(folder.glob("*.tar"))], count
