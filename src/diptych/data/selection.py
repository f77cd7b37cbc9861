"""Which pairs of unfiltered sources the rules leave; whatever is dropped is named with its reason."""

import json
import math
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import IO

from diptych.data.rules import Reason, Rules
from diptych.data.sample import Sample, SampleError, Source, Texts
from diptych.data.scan import MeasureImage, Seen, Unusable, counted, digests, in_threads, scan

# The cosine of each image and its best text, in order; NaN where an image cannot be encoded.
Similarity = Callable[[Sequence[Sample]], Sequence[float]]

_SCORED_AT_ONCE = 512


@dataclass(frozen=True, kw_only=True)
class Candidates:
    """What is chosen from, and how. Images that `validation` holds are dropped; some rules need `similarity`."""

    sources: Sequence[Source]
    rules: Rules
    measure_image: MeasureImage
    validation: Sequence[Source] = ()
    similarity: Similarity | None = None
    workers: int = 1
    progress: bool = False

    def __post_init__(self) -> None:
        if self.rules.needs_similarity and self.similarity is None:
            raise ValueError("min_similarity and keep_share need a model that tells the similarity")

    @property
    def samples(self) -> int:
        """How many there are in all sources."""
        return sum(map(len, self.sources))

    def name(self, pair: "Pair") -> tuple[str, str]:
        """The source and the key of a pair."""
        source = self.sources[pair.source]
        return source.name, source.key(pair.index)


@dataclass(kw_only=True, slots=True)
class Pair:
    """One that is still in: where it is, its image's hash, and its similarity once that is known."""

    source: int
    index: int
    digest: bytes
    similarity: float | None = None


@dataclass(kw_only=True)
class Drops:
    """Counts what is dropped, pairs and single captions, and writes a line of JSON for each where there is a file."""

    file: IO[str] | None = None
    pairs: Counter[Reason] = field(default_factory=Counter)
    captions: Counter[Reason] = field(default_factory=Counter)

    def pair(self, source: str, key: str, reason: Reason, detail: str) -> None:
        """A whole pair is dropped."""
        self.pairs[reason] += 1
        self._write(source=source, key=key, dropped="pair", reason=reason, detail=detail)

    def caption(self, source: str, key: str, reason: Reason, caption: str) -> None:
        """One caption of a pair that stays is dropped."""
        self.captions[reason] += 1
        self._write(source=source, key=key, dropped="caption", reason=reason, detail=caption)

    def _write(self, **record: str) -> None:
        if self.file is not None:
            self.file.write(json.dumps(record, ensure_ascii=True) + "\n")


@dataclass(frozen=True, kw_only=True)
class Selection:
    """The pairs that are left, in order; the similarities of all that a model looked at, ascending."""

    pairs: list[Pair]
    similarities: list[float]
    caption_counts: Counter[int]

    def texts_left(self, texts: Texts, rules: Rules) -> Texts:
        """The texts of a pair without the captions that the rules take away."""
        return _texts_left(texts, rules, self.caption_counts)


def select(candidates: Candidates, drops: Drops) -> Selection:
    """Apply all rules, those that need a model last. Of pairs with one image the most similar stays, or the first."""
    rules = candidates.rules
    counts = _caption_counts(candidates)
    survivors = _survivors(candidates, counts, drops)
    if candidates.similarity is None:
        pairs = [pair for pair, _ in survivors]
    else:
        pairs = _scored(survivors, candidates, candidates.similarity, drops)
    similarities = sorted(map(_score, pairs)) if candidates.similarity else []
    if not rules.keep_duplicates:
        pairs = _without_duplicates(pairs, candidates, drops)
    if rules.needs_similarity:
        pairs = _most_similar(pairs, candidates, drops)
    return Selection(pairs=pairs, similarities=similarities, caption_counts=counts)


def _caption_counts(candidates: Candidates) -> Counter[int]:
    """How many pairs have each caption, by its hash; empty where no rule asks."""
    if candidates.rules.max_images_per_caption is None:
        return Counter()

    def hashes(place: tuple[Source, int]) -> set[int]:
        source, index = place
        try:
            return {hash(caption) for caption in source.texts(index).captions}
        except SampleError:
            return set()  # it is reported where pairs are read

    places = ((source, index) for source in candidates.sources for index in range(len(source)))
    found = in_threads(hashes, places, workers=candidates.workers)
    times: Counter[int] = Counter()
    for captions in counted(found, total=candidates.samples, label="Counting captions", progress=candidates.progress):
        times.update(captions)
    return times


def _survivors(candidates: Candidates, counts: Counter[int], drops: Drops) -> Iterator[tuple[Pair, Sample]]:
    """Pairs that their image, their captions and the validation sets leave, with the captions left."""
    held_out = {
        digest: f"{source.name}/{key}"
        for source in candidates.validation
        for digest, key in digests(source, workers=candidates.workers).items()
    }
    every = (
        (number, seen)
        for number, source in enumerate(candidates.sources)
        for seen in scan(source, candidates.measure_image, workers=candidates.workers)
    )
    for number, seen in counted(every, total=candidates.samples, label="Filtering", progress=candidates.progress):
        name = candidates.sources[number].name
        if isinstance(seen, Unusable):
            drops.pair(name, seen.key, "unusable", seen.reason)
        elif against := _against_image(seen, held_out, candidates.rules):
            drops.pair(name, seen.sample.key, *against)
        elif texts := _check_captions(name, seen.sample, candidates.rules, counts, drops):
            sample = Sample(key=seen.sample.key, image=seen.sample.image, texts=texts)
            yield Pair(source=number, index=seen.index, digest=seen.digest), sample


def _against_image(seen: Seen, held_out: dict[bytes, str], rules: Rules) -> tuple[Reason, str] | None:
    if seen.digest in held_out:
        return "in a validation set", held_out[seen.digest]
    return rules.against_image(seen.size)


def _check_captions(name: str, sample: Sample, rules: Rules, counts: Counter[int], drops: Drops) -> Texts | None:
    """The texts that the rules leave; None where they leave none, and the pair is dropped."""
    captions = sample.texts.captions
    reasons = [rules.against_caption(caption, counts[hash(caption)]) for caption in captions]
    left = _texts_left(sample.texts, rules, counts)
    against = [(reason, caption) for reason, caption in zip(reasons, captions, strict=True) if reason]
    if not left.captions and not left.class_names:
        drops.pair(name, sample.key, against[0][0], " | ".join(captions))
        return None
    for reason, caption in against:
        drops.caption(name, sample.key, reason, caption)
    return left


def _texts_left(texts: Texts, rules: Rules, counts: Counter[int]) -> Texts:
    captions = tuple(caption for caption in texts.captions if not rules.against_caption(caption, counts[hash(caption)]))
    return Texts(captions=captions, class_names=texts.class_names)


def _scored(
    survivors: Iterator[tuple[Pair, Sample]], candidates: Candidates, similarity: Similarity, drops: Drops
) -> list[Pair]:
    """All pairs with their similarity; those whose image the model cannot encode are dropped."""
    scored = []
    while batch := list(islice(survivors, _SCORED_AT_ONCE)):
        for (pair, _), cosine in zip(batch, similarity([sample for _, sample in batch]), strict=True):
            if math.isnan(cosine):
                drops.pair(*candidates.name(pair), "unusable", "the model cannot encode its image")
            else:
                pair.similarity = cosine
                scored.append(pair)
    return scored


def _without_duplicates(pairs: list[Pair], candidates: Candidates, drops: Drops) -> list[Pair]:
    best: dict[bytes, Pair] = {}
    for pair in pairs:
        held = best.setdefault(pair.digest, pair)
        if pair.similarity is not None and pair.similarity > _score(held):
            best[pair.digest] = pair
    for pair in pairs:
        if (kept := best[pair.digest]) is not pair:
            drops.pair(*candidates.name(pair), "image twice", "/".join(candidates.name(kept)))
    return [pair for pair in pairs if best[pair.digest] is pair]


def _most_similar(pairs: list[Pair], candidates: Candidates, drops: Drops) -> list[Pair]:
    least = _least_similarity(sorted(map(_score, pairs)), candidates.rules)
    for pair in pairs:
        if _score(pair) < least:
            drops.pair(*candidates.name(pair), "too little similarity", f"{_score(pair):.4f}")
    return [pair for pair in pairs if _score(pair) >= least]


def _least_similarity(ascending: list[float], rules: Rules) -> float:
    if rules.min_similarity is not None:
        return rules.min_similarity
    assert rules.keep_share is not None
    kept = max(1, round(rules.keep_share * len(ascending)))
    return ascending[-kept] if ascending else 0.0


def _score(pair: Pair) -> float:
    assert pair.similarity is not None
    return pair.similarity
