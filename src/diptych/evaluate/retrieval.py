"""Retrieval recall: is an image's caption near it, and the image near its captions, among all those of a set?"""

import hashlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from diptych.data.sample import DataError, SampleError, Source
from diptych.encode.encoder import Encoder
from diptych.evaluate.metrics import Ints, Proportion, hits_at, retrieval_ranks
from diptych.evaluate.samples import Skipped, Skips, chosen, encode_numbered, read_images


@dataclass(frozen=True, kw_only=True)
class Recall:
    """The share of queries whose answer is among the first 1, 5 and 10 found."""

    at1: Proportion
    at5: Proportion
    at10: Proportion


@dataclass(frozen=True, kw_only=True)
class RetrievalResult:
    """What was measured on one source: every caption is a query for its image, every image one for any of its captions.

    `images` are distinct ones, of `captions` texts in all. `shared_captions` are those that other images have word for
    word, which no model can tell apart. `skipped` are samples that do not count.
    """

    source: str
    images: int
    captions: int
    shared_captions: int
    text_to_image: Recall
    image_to_text: Recall
    skipped: tuple[Skipped, ...]

    def numbers(self) -> dict[str, float]:
        """The measures by name, 0 to 1."""
        return {
            f"{direction}_r{k}": proportion.value
            for direction, recall in (("text_to_image", self.text_to_image), ("image_to_text", self.image_to_text))
            for k, proportion in ((1, recall.at1), (5, recall.at5), (10, recall.at10))
        }


def evaluate_retrieval(
    encoder: Encoder,
    source: Source,
    *,
    limit: int | None = None,
    bad_sample_limit: float = 0.01,
    progress: bool = False,
) -> RetrievalResult:
    """Find images by their captions and captions by their images, each among all of a source.

    Samples whose image is the same byte for byte are one image with the captions of all. `limit` takes so many
    samples, spread evenly; among fewer candidates recall is higher, so such numbers compare with their like only.

    Raises DataError for a source without captions, or more than `bad_sample_limit` (a share) of samples that cannot
    be used.
    """
    numbers = chosen(source, limit)
    skips = Skips(source, total=len(numbers), limit=bad_sample_limit)
    captions = _captions(source, numbers, skips)
    first: dict[int, int] = {}
    images = _distinct(read_images(source, numbers, skips, progress=progress), first)
    batches = list(encode_numbered(encoder, source, images, skips))
    places = {number: place for place, number in enumerate(number for batch, _ in batches for number in batch)}
    if not places:
        raise DataError(f"{source.name} has no image that can be used.")

    texts: list[str] = []
    image_of_text: list[int] = []
    for number, same in first.items():
        if same not in places:
            skips.add(number, f"{source.key(number)}: its image is that of {source.key(same)}, which cannot be read")
            continue
        texts += captions[number]
        image_of_text += [places[same]] * len(captions[number])
    image_features = np.concatenate([features for _, features in batches])
    text_features = encoder.encode_texts(texts, progress=progress)
    ranks = retrieval_ranks(image_features, text_features, np.array(image_of_text))
    return RetrievalResult(
        source=source.name,
        images=len(places),
        captions=len(texts),
        shared_captions=_shared(texts, image_of_text),
        # Captions of one image succeed and fail together, so the interval is that of as many queries as images.
        text_to_image=_recall(ranks.text_to_image, independent=len(places)),
        image_to_text=_recall(ranks.image_to_text),
        skipped=skips.listed(),
    )


def _captions(source: Source, numbers: list[int], skips: Skips) -> dict[int, tuple[str, ...]]:
    """The captions of each sample by number; a sample without any is set aside."""
    captions: dict[int, tuple[str, ...]] = {}
    without: list[int] = []
    for number in numbers:
        try:
            captions[number] = source.texts(number).captions
        except SampleError as error:
            skips.add(number, str(error))
            continue
        if not captions[number]:
            without.append(number)
    if without and len(without) == len(captions):
        raise DataError(f"{source.name} has no captions, which retrieval needs: is it a set for zero-shot accuracy?")
    for number in without:
        skips.add(number, f"{source.key(number)}: has no caption")
    return captions


def _distinct(images: Iterator[tuple[int, bytes]], first: dict[int, int]) -> Iterator[tuple[int, bytes]]:
    """The images without those seen before; `first` is told which sample had each of them first."""
    seen: dict[bytes, int] = {}
    for number, image in images:
        first[number] = seen.setdefault(hashlib.sha256(image).digest(), number)
        if first[number] == number:
            yield number, image


def _shared(texts: list[str], image_of_text: list[int]) -> int:
    images_with = Counter(text for text, _ in set(zip(texts, image_of_text, strict=True)))
    return sum(images_with[text] > 1 for text in texts)


def _recall(ranks: Ints, *, independent: int | None = None) -> Recall:
    at1, at5, at10 = (hits_at(ranks, k, independent=independent) for k in (1, 5, 10))
    return Recall(at1=at1, at5=at5, at10=at10)
