"""Photographs to their labels, and words to the photographs that fit them best."""

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from PIL import Image

from diptych.encode.encoder import Encoder, gather
from diptych.encode.workers import core_count, map_ahead, plain_pool
from diptych.errors import ImageError
from diptych.images import ImageSource, open_image
from diptych.zeroshot import Label, build_classifier

T = TypeVar("T")
THUMBNAIL_SIDE = 360  # pixels
TEMPLATES = "imagenet-7"  # a small model needs the average of several sentences more than a large one


@dataclass(frozen=True, kw_only=True)
class Photo:
    """A photograph by name, a small JPEG of it, and the labels that it was given, most probable first."""

    name: str
    thumbnail: bytes
    labels: list[Label]


@dataclass(frozen=True, kw_only=True)
class Search:
    """Words, and the photographs nearest to them, each with its cosine."""

    text: str
    hits: list[tuple[Photo, float]]


@dataclass(frozen=True, kw_only=True)
class Look:
    """All that a page shows; `labels` are those that were offered."""

    labels: list[str]
    photos: list[Photo]
    searches: list[Search]


def look(
    encoder: Encoder,
    named: Sequence[tuple[str, ImageSource]],
    labels: Sequence[str],
    searches: Sequence[str],
    *,
    top: int,
    on_error: Callable[[int, str], object],
) -> Look:
    """Classify the (name, image) pairs and search them; `on_error` is told of each that cannot be read, by index.

    `top` is how many labels a photo and how many photos a search are given.
    """
    classifier = build_classifier(encoder, list(labels), TEMPLATES)
    unread: set[int] = set()

    def note(index: int, _: ImageSource, error: ImageError) -> None:
        unread.add(index)
        on_error(index, str(error).replace("the given bytes", named[index][0], 1))

    rows = gather(encoder.iter_images([image for _, image in named], on_error=note), (encoder.embed_dim,))
    seen = [named[index] for index in rows.indices.tolist()]
    thumbnails = map_ahead(plain_pool(), _thumbnail, [image for _, image in seen], ahead=2 * core_count())
    photos = [
        Photo(name=name, thumbnail=thumbnail, labels=ranked)
        for (name, _), thumbnail, ranked in zip(seen, thumbnails, classifier.rank(rows.features, top=top), strict=True)
    ]
    cosines = encoder.encode_texts(searches) @ rows.features.T  # (searches, photos)
    found = [
        Search(text=text, hits=[(photos[i], float(row[i])) for i in (-row).argsort(kind="stable")[:top]])
        for text, row in zip(searches, cosines, strict=True)
    ]
    return Look(labels=list(labels), photos=photos, searches=found)


def spread(items: Sequence[T], most: int) -> list[T]:
    """At most so many of the items, from all along the sequence."""
    if most < 1:
        raise ValueError(f"at least one must be left, got {most}")
    if len(items) <= most:
        return list(items)
    return [items[i * len(items) // most] for i in range(most)]


def _thumbnail(source: ImageSource) -> bytes:
    image = open_image(source, shortest_side=THUMBNAIL_SIDE)
    image.thumbnail((THUMBNAIL_SIDE, THUMBNAIL_SIDE), Image.Resampling.BICUBIC)
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=82, optimize=True)
    return jpeg.getvalue()
