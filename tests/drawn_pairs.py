"""Pairs in memory, each picture a colour of its own, for tests of what is drawn and how it is made."""

import io
from dataclasses import dataclass, field

import numpy as np
from PIL import Image

from diptych.data.sample import Sample, SampleError, Texts


@dataclass(frozen=True)
class Pairs:
    """A Source of `count` PNGs of 24 x 20. `classes`: their names, taken in turns; without, each has two captions."""

    name: str
    count: int
    classes: tuple[tuple[str, ...], ...] = ()
    unreadable: frozenset[int] = field(default=frozenset())
    broken: frozenset[int] = field(default=frozenset())  # whose bytes are no image

    def __len__(self) -> int:
        return self.count

    def key(self, index: int) -> str:
        return f"{index:04d}"

    def texts(self, index: int) -> Texts:
        if self.classes:
            return Texts(class_names=self.classes[index % len(self.classes)])
        return Texts(captions=(f"{self.name} {index}", f"the {self.name} of number {index}"))

    def read(self, index: int) -> Sample:
        if index in self.unreadable:
            raise SampleError(f"{self.name}/{self.key(index)} cannot be read: the shard ends before it.")
        image = b"no image" if index in self.broken else png(index)
        return Sample(key=self.key(index), image=image, texts=self.texts(index))


def png(number: int) -> bytes:
    """A picture that no other number has, with an edge so that crops of it differ."""
    pixels = np.full((20, 24, 3), (number % 256, number // 256, 128), dtype=np.uint8)
    pixels[:, 12:, 2] = np.arange(20)[:, None] * 12
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
