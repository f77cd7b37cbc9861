"""Images a second and core from webdataset shards to batches: Diptych's loader against open_clip's training pipeline.

Both read the same shards (KEY.jpg and KEY.txt, as img2dataset writes them) in one process: decode, random crop of 0.9
to 1 of the area resized to 224 pixels, caption to tokens, batches of 256. Seconds are the processor's, so what else
runs does not count. The shards are made of photographs of 500 x 375 with captions in the web's manner, or of the pairs
that are named with --data.
"""

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from halves.captions import make_captions
from processes import Half
from setting import Row, Setting, at_least, spread, summary
from shards import pairs_in, write_shards

BATCH_SIZE, IMAGE_SIZE, ROUNDS = 256, 224, 3
PHOTOS, MOST_SAMPLES = 768, 2048


def run(setting: Setting) -> dict[str, Any]:
    rounds, batches = (1, 1) if setting.is_quick else (ROUNDS, None)
    measured = {}
    for name, pairs in _sets(setting):
        shards, count = write_shards(setting.work / "shards" / name, pairs)
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
        pairs = ((image, texts[0]) for image, texts in pairs_in(path))
        yield Path(path).name, islice(pairs, MOST_SAMPLES)
