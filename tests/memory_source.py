"""Pairs that lie in memory, and pictures to fill them with."""

import io
from dataclasses import dataclass

from PIL import Image

import seeded
from diptych.data.sample import Sample, SampleError, Texts


@dataclass(frozen=True, kw_only=True)
class MemorySource:
    """A source of given samples; those of the keys in `gone` cannot be read."""

    name: str
    samples: list[Sample]
    gone: frozenset[str] = frozenset()

    def __len__(self) -> int:
        return len(self.samples)

    def key(self, index: int) -> str:
        return self.samples[index].key

    def texts(self, index: int) -> Texts:
        if self.key(index) in self.gone:
            raise SampleError(f"{self.key(index)}: not there any more")
        return self.samples[index].texts

    def read(self, index: int) -> Sample:
        return Sample(key=self.key(index), image=self.samples[index].image, texts=self.texts(index))


def picture(width: int = 40, height: int = 30, seed: int = 0, format: str = "PNG") -> bytes:
    """An encoded image; another seed gives another one."""
    stream = io.BytesIO()
    Image.fromarray(seeded.seeded_image(height, width, seed)).save(stream, format)
    return stream.getvalue()


def captioned(key: str, image: bytes, *captions: str) -> Sample:
    return Sample(key=key, image=image, texts=Texts(captions=captions))


def labelled(key: str, image: bytes, *class_names: str) -> Sample:
    return Sample(key=key, image=image, texts=Texts(class_names=class_names))
