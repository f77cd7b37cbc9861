"""Libraries of validation photos, with queries for what is in them and for what is not: for relevance_numbers.py."""

import re
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from diptych.data.config import SourceConfig
from diptych.data.open import open_source
from diptych.data.sample import Texts
from diptych.encode.encoder import Encoder, Features, Indices
from diptych.prompts import DEFAULT_LABELS

Queries = Mapping[str, Sequence[str]]  # by kind

LABELLED = ("cifar100", "grocery", "imagenette", "instruments", "scenes", "sports", "tiny-imagenet")
CAPTIONED = ("flickr8k", "flickr8k-test", "fashion", "furniture")
SIZES, DRAWS = (5, 20, 100), 6  # small libraries drawn from each
MOST_OF_ALL = "most of all"
SYLLABLE = ("bcdfghklmnprstvz", "aeiou")


@dataclass(frozen=True, kw_only=True)
class Photos:
    """A validation set: (N, E) features and the texts of each."""

    features: Features
    texts: Sequence[Texts]

    def names(self) -> list[str]:
        """The class of each; empty where there are captions."""
        return [texts.class_names[0] if texts.class_names else "" for texts in self.texts]

    def captions(self) -> list[str]:
        """One of each photo."""
        draw = np.random.default_rng(0)
        return [str(draw.choice(texts.captions)) for texts in self.texts]


@dataclass(frozen=True, kw_only=True)
class Library:
    """Photos, and queries for what is among them and what is not. `hard` is absent, too, and only reported."""

    name: str
    is_fit: bool
    features: Features
    present: Queries
    absent: Queries
    hard: Queries = field(default_factory=dict)


def read(data: Path, name: str, encoder: Encoder, runs: Path) -> Photos:
    """A validation set, its features computed now or before."""
    pattern = f"{name}-000.*" if name.endswith("-test") else f"{name}-val-*"
    source = open_source(SourceConfig(path=str(data / pattern), name=name))
    kept = runs / f"{encoder.fingerprint}-{name}.npy"
    if not kept.exists():
        kept.parent.mkdir(parents=True, exist_ok=True)
        np.save(kept, encoder.encode_images((source.read(i).image for i in range(len(source))), progress=True))
    return Photos(features=np.load(kept), texts=[source.texts(i) for i in range(len(source))])


def libraries(sets: Mapping[str, Photos]) -> Iterator[Library]:
    """Three to fit on and three held out, and of each small ones; one with most of all photos."""
    classes = {name: sorted(set(sets[name].names())) for name in LABELLED}
    grocery, sports, instruments = ({f"{name} names": classes[name]} for name in ("grocery", "sports", "instruments"))
    titles, furniture = ({f"{name} texts": sets[name].captions()} for name in ("fashion", "furniture"))
    captions = {"captions": sets["flickr8k-test"].captions()}

    yield from of_captions("flickr8k", True, sets, classes, {**titles, **grocery})
    inside, outside = classes["tiny-imagenet"][::2], classes["tiny-imagenet"][1::2]
    absent = {**titles, **grocery, "captions": sets["flickr8k"].captions()}
    yield from of_classes(("tiny-imagenet",), True, sets, inside, {}, absent, {"classes of the same set": outside})
    inside, outside = classes["cifar100"][::2], classes["cifar100"][1::2]
    yield from of_classes(("cifar100",), True, sets, inside, {}, titles, {"classes of the same set": outside})

    absent = {**furniture, "instruments names": absent_names(sets["flickr8k-test"], classes["instruments"])}
    yield from of_captions("flickr8k-test", False, sets, classes, absent)
    three = ("scenes", "instruments", "sports")
    inside = [each for name in three for each in classes[name]]
    absent = {**furniture, **grocery, **captions, "tiny-imagenet names": classes["tiny-imagenet"]}
    yield from of_classes(three, False, sets, inside, {}, absent)
    four = ("grocery", "imagenette", "fashion", "furniture")
    inside = [*classes["grocery"], *classes["imagenette"]]
    yield from of_classes(four, False, sets, inside, {**titles, **furniture}, {**captions, **sports, **instruments})

    most = [name for name in sets if name not in ("grocery", "fashion")]
    names = [each for name in LABELLED if name != "grocery" for each in classes[name]]
    features = np.concatenate([sets[name].features for name in most])
    yield library(MOST_OF_ALL, False, features, {"names": names, **captions}, {**grocery, **titles})


def of_captions(
    name: str, is_fit: bool, sets: Mapping[str, Photos], classes: Mapping[str, list[str]], absent: Queries
) -> Iterator[Library]:
    """A library of captioned photos, and small ones, in which the captions of the others are hard."""
    photos = sets[name]
    absent = {**absent, "tiny-imagenet names": absent_names(photos, classes["tiny-imagenet"])}
    names = present_names(photos, sorted({*DEFAULT_LABELS, *(each for some in classes.values() for each in some)}))
    yield library(name, is_fit, photos.features, {"captions": photos.captions(), "names": names}, absent)
    for size, chosen, rest in draws(len(photos.features), name):
        present = {"captions": [caption for i in chosen for caption in photos.texts[i].captions]}
        hard = {"captions of like photos": [photos.captions()[i] for i in rest[:100]]}
        yield library(f"{size} of {name}", is_fit, photos.features[chosen], present, absent, hard)


def of_classes(
    together: Sequence[str],
    is_fit: bool,
    sets: Mapping[str, Photos],
    classes: Sequence[str],
    also_present: Queries,
    absent: Queries,
    hard: Queries | None = None,
) -> Iterator[Library]:
    """The photos of some classes, and captioned ones, as a library, and small ones drawn from it."""
    features = np.concatenate([sets[name].features for name in together])
    names = np.concatenate([sets[name].names() for name in together])
    is_in = np.isin(names, [*classes, ""])
    features, names, name = features[is_in], names[is_in], " + ".join(together)
    yield library(name, is_fit, features, {"names": list(classes), **also_present}, absent, hard)
    for size, chosen, _ in draws(len(features), name):
        if present := sorted(set(names[chosen]) - {""}):
            yield library(f"{size} of {name}", is_fit, features[chosen], {"names": present}, absent)


def library(
    name: str, is_fit: bool, features: Features, present: Queries, absent: Queries, hard: Queries | None = None
) -> Library:
    """With words that no language has."""
    absent = {**absent, "nonsense": nonsense(200, name)}
    return Library(name=name, is_fit=is_fit, features=features, present=present, absent=absent, hard=hard or {})


def draws(count: int, name: str) -> Iterator[tuple[int, Indices, Indices]]:
    """(size, the photos drawn, the others)."""
    draw = np.random.default_rng(zlib.crc32(name.encode()))
    for size in SIZES:
        for _ in range(DRAWS):
            order = draw.permutation(count)
            yield size, order[:size], order[size:]


def present_names(photos: Photos, names: Iterable[str]) -> list[str]:
    """Those that three or more captions of a photo say, of five or more photos."""
    captions = [[caption.lower() for caption in texts.captions] for texts in photos.texts]

    def photos_with(name: str) -> int:
        said = re.compile(rf"\b{re.escape(name.lower())}s?\b")
        return sum(sum(bool(said.search(caption)) for caption in each) >= 3 for each in captions)

    return [name for name in names if photos_with(name) >= 5]


def absent_names(photos: Photos, names: Iterable[str]) -> list[str]:
    """Those of which no caption has a word, nor one that begins like it."""
    said = " ".join(caption.lower() for texts in photos.texts for caption in texts.captions)
    words = {name: [word for word in re.findall("[a-z]+", name.lower()) if len(word) > 2] for name in names}
    return [name for name in names if not any(re.search(rf"\b{word}", said) for word in words[name])]


def nonsense(count: int, name: str) -> list[str]:
    """One to three made-up words each."""
    draw = np.random.default_rng(zlib.crc32(name.encode()))

    def word() -> str:
        return "".join(str(draw.choice(list(letters))) for _ in range(draw.integers(2, 4)) for letters in SYLLABLE)

    return [" ".join(word() for _ in range(draw.integers(1, 4))) for _ in range(count)]
