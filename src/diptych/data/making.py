"""Draws to rows of a batch: read, decode, augment, put into words. Worker processes do it, or the training process."""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from diptych.data.augment import OpenImage, augment
from diptych.data.config import AugmentConfig
from diptych.data.keyed import hash64, seed_of
from diptych.data.mixture import Draw
from diptych.data.sample import SampleError, Source
from diptych.data.texts import Wording
from diptych.errors import ImageError

Tokenize = Callable[[Sequence[str]], list[list[int]]]


@dataclass(kw_only=True)
class Rows:
    """What is known of consecutive rows of a batch beside their pixels; lists are of one length, but for `bad`."""

    tokens: list[list[int]] = field(default_factory=list)
    image_ids: list[int] = field(default_factory=list)
    text_ids: list[int] = field(default_factory=list)
    sources: list[int] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    seeds: list[int] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.keys)

    def extend(self, rows: "Rows") -> None:
        """Put rows after these."""
        for name, values in vars(rows).items():
            getattr(self, name).extend(values)


@dataclass(frozen=True, kw_only=True)
class RowMaker:
    """Makes rows; all that is random in one comes from (seed, how often it was seen, source, index). Pickles."""

    sources: tuple[Source, ...]
    wordings: tuple[Wording, ...]
    augment: AugmentConfig
    tokenize: Tokenize
    open_image: OpenImage
    image_size: tuple[int, int]
    seed: int

    def make(self, draws: Sequence[Draw], images: npt.NDArray[np.uint8]) -> Rows:
        """The rows of all draws that can be used, their pixels in the first of `images`, (n, 3, H, W) uint8."""
        rows, texts = Rows(), []
        for draw in draws:
            source = self.sources[draw.source]
            seed = seed_of("sample", self.seed, draw.times_seen, draw.source, draw.index)
            generator = random.Random(seed)
            try:
                sample = source.read(draw.index)
                text = self.wordings[draw.source].draw(sample.texts, generator)
                size = self.image_size
                images[len(rows)] = augment(sample.image, self.open_image, size, self.augment, generator)
            except (SampleError, ImageError) as error:
                rows.bad.append(_complaint(source, draw.index, error))
                continue
            texts.append(text.text)
            rows.image_ids.append(hash64(sample.image))
            rows.text_ids.append(text.id)
            rows.sources.append(draw.source)
            rows.keys.append(f"{source.name}/{sample.key}")
            rows.seeds.append(seed)
        rows.tokens = self.tokenize(texts) if texts else []
        return rows


def _complaint(source: Source, index: int, error: SampleError | ImageError) -> str:
    """One line that names the sample, as a reader's own line does already."""
    name, line = f"{source.name}/{source.key(index)}", str(error)
    return line if line.startswith(name) else f"{name}: {line.removeprefix('the given bytes: ')}"
