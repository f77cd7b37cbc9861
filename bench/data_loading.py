"""Images a second and core from webdataset shards to batches: Diptych's loader against open_clip's training pipeline.

Both read the same shards (KEY.jpg and KEY.txt, as img2dataset writes them) in one process: decode, random crop of 0.9
to 1 of the area resized to 224 pixels, caption to tokens, batches of 256. Seconds are the processor's, so what else
runs does not count. The shards are made of photographs of 500 x 375 with captions in the web's manner, or of the pairs
that are named with --data.
"""

import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from diptych.data.config import SourceConfig
from diptych.data.open import open_source
from diptych.data.sample import Texts
from diptych.data.shards import ShardWriter
from halves.captions import make_captions
from processes import Half
from setting import Row, Setting, at_least, spread, summary

BATCH_SIZE, IMAGE_SIZE, ROUNDS = 256, 224, 3
PHOTOS, MOST_SAMPLES, SHARD_SIZE = 768, 2048, 256


def run(setting: Setting) -> dict[str, Any]:
    rounds, batches = (1, 1) if setting.is_quick else (ROUNDS, None)
    measured = {}
    for name, pairs in _sets(setting):
        shards, count = _write_shards(setting.work / "shards" / name, pairs)
        samples = (batches or count // BATCH_SIZE) * BATCH_SIZE
        request = {"shards": shards, "samples": samples, "batch_size": BATCH_SIZE, "image_size": IMAGE_SIZE}
        rates: dict[str, list[float]] = {"diptych": [], "open_clip": []}
        with (
            Half(setting.python, "diptych_data.py") as ours,
            Half(setting.open_clip, "open_clip_data.py") as theirs,
        ):
            halves = {"diptych": ours, "open_clip": theirs}
            for half in halves.values():
                half.ask(**{**request, "samples": BATCH_SIZE})  # imports, caches, indexes
            for _ in range(rounds):
                for half_name, half in halves.items():
                    found = half.ask(**request)
                    rates[half_name].append(found["images"] / found["seconds"])
        measured[name] = {"samples": samples, **{half_name: summary(found) for half_name, found in rates.items()}}
    return measured


def rows(result: dict[str, Any]) -> list[Row]:
    lines = []
    for name, found in result.items():
        ratio = found["diptych"]["median"] / found["open_clip"]["median"]
        said = [spread(found[half], "/s") for half in ("diptych", "open_clip")]
        lines.append(at_least(f"shards of {name} to batches at 224, one core", said[0], said[1], ratio, 2))
    return lines


def _sets(setting: Setting) -> Iterator[tuple[str, Iterable[tuple[bytes, str]]]]:
    """Names of sets, and their images with a caption."""
    count = BATCH_SIZE if setting.is_quick else PHOTOS
    photos = (Path(path).read_bytes() for path in setting.photos("small", count))
    yield "500 x 375 JPEGs", zip(photos, make_captions(count), strict=True)
    for path in setting.data:
        yield Path(path).name, _pairs(path)


def _pairs(path: str) -> Iterator[tuple[bytes, str]]:
    source = open_source(SourceConfig(path=path))
    for index in range(min(len(source), MOST_SAMPLES)):
        sample = source.read(index)
        yield sample.image, (*sample.texts.captions, *sample.texts.class_names)[0]


def _write_shards(folder: Path, pairs: Iterable[tuple[bytes, str]]) -> tuple[list[str], int]:
    """Paths of the shards, and how many pairs are in them."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    count = 0
    with ShardWriter(folder, SHARD_SIZE) as writer:
        for image, caption in pairs:
            writer.write(image, Texts(captions=(caption,)), {})
            count += 1
    return [str(path) for path in sorted(folder.glob("*.tar"))], count
