"""Groups of photos that look alike: spherical k-means on the vectors, each group named by the words nearest to it."""

import itertools
import math
import sqlite3
from dataclasses import dataclass
from typing import Final

import numpy as np

from diptych.calibration import standard
from diptych.encode.encoder import Features
from diptych.errors import needs_extra
from diptych.library.filters import Filters
from diptych.library.matrix import Ids, Matrix
from diptych.library.paths import Source
from diptych.library.photo_vectors import find_sources, iter_photo_vectors
from diptych.library.vocabulary import RankedText, Vocabulary, rank_texts

_MOST_BY_ITSELF: Final = 40  # groups: more are too many to look through
_SAMPLE: Final = 20_000  # photos that the groups are made of; the others join the nearest
_ROWS_AT_ONCE: Final = 8_192
_UNNAMED: Final = "unnamed"
_STANDS_OUT: Final = 2.5  # standard deviations of a centre's cosines; scripts/naming_numbers.py says what lies below
_ENOUGH_WORDS: Final = 100  # for such deviations to say anything
_PASSES: Final = 2  # over all photos, after those over the sample


@dataclass(frozen=True, kw_only=True)
class Member:
    """A photo of a group, where it is (as a `Hit` says it), and its cosine with the group's centre."""

    id: int
    source: Source
    score: float


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A group: a name that no other has, the words nearest to its centre, and its photos, the nearest to it first.

    The name is "unnamed" where even the nearest words do not stand out from what any words have with it. `cohesion` is
    the photos' mean cosine with the centre.
    """

    name: str
    words: tuple[RankedText, ...]
    cohesion: float
    members: tuple[Member, ...]

    @property
    def central(self) -> Member:
        """The photo that is most like all of the group."""
        return self.members[0]

    def examples(self, count: int) -> list[Member]:
        """At most so many others, from all along the nearer half: the very nearest are often the same picture twice."""
        others = self.members[1 : max(count + 1, math.ceil(len(self.members) / 2))]
        return [others[i * len(others) // count] for i in range(count)] if len(others) > count else list(others)


@dataclass(frozen=True, kw_only=True)
class Clusters:
    """The groups, the largest first, and the photos that are in none."""

    groups: tuple[Cluster, ...]
    unassigned: tuple[Member, ...]


@dataclass(frozen=True, kw_only=True)
class Grouping:
    """Which group each photo is in, (N,), -1 for none; its cosine with that centre (of none, the nearest), (N,).

    `centres` is (K, E) of unit length, of the largest group first, of equal ones that with the earliest photo.
    """

    labels: Ids
    cosines: Features
    centres: Features


def find_clusters(
    database: sqlite3.Connection,
    matrix: Matrix,
    vocabulary: Vocabulary,
    *,
    filters: Filters,
    count: int | None = None,
    min_size: int = 2,
) -> Clusters:
    """The photos that pass, in named groups; `group` says how."""
    photos = chosen_photos(database, matrix, filters)
    if not photos.ids:
        return Clusters(groups=(), unassigned=())
    return described(photos, group(photos.features, count=count, min_size=min_size), vocabulary)


@dataclass(frozen=True, kw_only=True)
class ChosenPhotos:
    """Photos in the order of their names: numbers, places, and (N, E) unit rows, of a video the mean of its frames."""

    ids: list[int]
    sources: list[Source]
    features: Features

    def at(self, places: Ids) -> "ChosenPhotos":
        """Those at some places, (n,)."""
        return ChosenPhotos(
            ids=[self.ids[i] for i in places],
            sources=[self.sources[i] for i in places],
            features=self.features[places],
        )


def chosen_photos(database: sqlite3.Connection, matrix: Matrix, filters: Filters) -> ChosenPhotos:
    """The photos that pass and have vectors; no others are copied."""
    sources_of = find_sources(database, filters)
    features = np.empty((len(sources_of), matrix.parts[0].shape[1]), np.float32)
    ids: list[int] = []
    for some in iter_photo_vectors(matrix, sources_of):
        features[len(ids) : len(ids) + len(some.ids)] = some.means()
        ids += some.ids
    return ChosenPhotos(ids=ids, sources=[sources_of[id] for id in ids], features=features[: len(ids)])


def default_count(photos: int) -> int:
    """How many groups so many photos are put into: the root of their number, 40 at most."""
    return max(1, min(_MOST_BY_ITSELF, round(math.sqrt(photos))))


def group(features: Features, *, count: int | None = None, min_size: int = 2, seed: int = 0) -> Grouping:
    """Put photos, (N, E) rows of unit length, into at most `count` groups of at least `min_size`.

    The same photos and seed give the same groups. Raises DiptychError where scikit-learn is not installed.
    """
    if (count is not None and count < 1) or min_size < 1:
        raise ValueError(f"count and min_size must be at least 1, got {count} and {min_size}.")
    centres = _start(features, default_count(len(features)) if count is None else count, seed)
    for _ in range(_PASSES):
        labels, _nearest = _assign(features, centres)
        centres = _centres(features, labels, len(centres))
    labels, _nearest = _assign(features, centres)
    present, first, sizes = np.unique(labels, return_index=True, return_counts=True)
    kept = [int(present[i]) for i in np.lexsort((first, -sizes)) if sizes[i] >= min_size]
    place = np.full(len(centres), -1)
    place[kept] = np.arange(len(kept))
    labels = place[labels]
    _, cosines = _assign(features, centres[kept]) if kept else (labels, np.zeros(len(features), np.float32))
    return Grouping(labels=labels, cosines=cosines, centres=centres[kept])


def described(photos: ChosenPhotos, grouping: Grouping, vocabulary: Vocabulary, *, words: int = 3) -> Clusters:
    """The groups of photos with their names."""
    order = np.argsort(-grouping.cosines, kind="stable")
    groups = []
    for number, (name, nearest) in enumerate(name_groups(grouping.centres, vocabulary, words=words)):
        members = _members(order[grouping.labels[order] == number], photos, grouping)
        cohesion = float(np.mean([member.score for member in members]))
        groups.append(Cluster(name=name, words=nearest, cohesion=cohesion, members=members))
    return Clusters(groups=tuple(groups), unassigned=_members(order[grouping.labels[order] < 0], photos, grouping))


def name_groups(
    centres: Features, vocabulary: Vocabulary, *, words: int = 3
) -> list[tuple[str, tuple[RankedText, ...]]]:
    """For each centre a name that no other has, and the words nearest to it, best first.

    The name is the nearest word. Where several groups share it, it is that of the group nearest to it; the others are
    called by more of their words, or numbered. Where of many words none stands out, it is "unnamed".
    """
    ranked = rank_texts(centres, vocabulary, top=words)
    is_named = stands_out(centres, vocabulary)
    names: dict[str, int] = {}
    for number in sorted(range(len(ranked)), key=lambda i: -ranked[i][0].score if is_named[i] else 0):
        texts = [text.text for text in ranked[number]]
        candidates = (
            [", ".join(texts[:count]) for count in range(1, len(texts) + 1)] if is_named[number] else [_UNNAMED]
        )
        candidates += [f"{candidates[-1]} {again}" for again in range(2, len(ranked) + 1)]
        names[next(name for name in candidates if name not in names)] = number
    name_of = {number: name for name, number in names.items()}
    return [(name_of[number], tuple(texts)) for number, texts in enumerate(ranked)]


def stands_out(centres: Features, vocabulary: Vocabulary) -> list[bool]:
    """Of each centre, whether its nearest word is much nearer than words are in general; of few words it always is."""
    if len(vocabulary.texts) < _ENOUGH_WORDS:
        return [True] * len(centres)
    cosines = centres @ vocabulary.features.T
    best = standard(cosines.max(axis=1), cosines.mean(axis=1), cosines.std(axis=1))
    return [score >= _STANDS_OUT for score in best.tolist()]


def _start(features: Features, count: int, seed: int) -> Features:
    """(K, E) centres of a sample; K is `count`, or the number of different vectors if that is less."""
    try:
        from sklearn.cluster import KMeans
        from threadpoolctl import threadpool_limits
    except ImportError as error:
        raise needs_extra("Grouping photos", "scikit-learn", "library") from error
    most = max(_SAMPLE, 4 * count)
    chosen = np.arange(len(features))
    if len(features) > most:
        chosen = np.sort(np.random.default_rng(seed).choice(len(features), most, replace=False))
    sample = features[chosen]
    count = min(count, len({row.tobytes() for row in sample}))
    if count <= 1:
        return _centres(sample, np.zeros(len(sample), np.int64), 1)
    tries = 3 if len(sample) < _SAMPLE else 1
    with threadpool_limits(1):  # where anything else runs, several threads wait for each other ten times as long
        found = KMeans(count, n_init=tries, max_iter=100, random_state=seed).fit(sample)
    return _centres(sample, found.labels_.astype(np.int64), count)


def _assign(features: Features, centres: Features) -> tuple[Ids, Features]:
    """For each row the number of its nearest centre and the cosine with it."""
    labels, cosines = np.empty(len(features), np.int64), np.empty(len(features), np.float32)
    for first in range(0, len(features), _ROWS_AT_ONCE):
        block = slice(first, first + _ROWS_AT_ONCE)
        scores = features[block] @ centres.T
        labels[block], cosines[block] = scores.argmax(axis=1), scores.max(axis=1)
    return labels, cosines


def _centres(features: Features, labels: Ids, count: int) -> Features:
    """The direction of each group's mean; a group that lost its photos is left out."""
    order = np.argsort(labels, kind="stable")
    stops = np.searchsorted(labels[order], np.arange(count + 1))
    spans = [order[start:stop] for start, stop in itertools.pairwise(stops) if stop > start]
    means = np.stack([features[span].sum(axis=0) for span in spans])
    return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)


def _members(places: Ids, photos: ChosenPhotos, grouping: Grouping) -> tuple[Member, ...]:
    scored = zip(places.tolist(), grouping.cosines[places].tolist(), strict=True)
    return tuple(Member(id=photos.ids[i], source=photos.sources[i], score=score) for i, score in scored)
