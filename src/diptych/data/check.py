"""What a run would meet in its data: sizes, lengths, what repeats, what cannot be used, what leaks into validation."""

import statistics
from array import array
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal, Self

from diptych.data.sample import Source
from diptych.data.scan import MeasureImage, Seen, Unusable, counted, scan

Role = Literal["training", "validation"]


@dataclass(frozen=True, kw_only=True)
class Spread:
    """The least, the middle and the greatest of some numbers."""

    least: float
    median: float
    most: float

    @classmethod
    def of(cls, values: Sequence[int]) -> Self | None:
        """None where there are no numbers."""
        if not values:
            return None
        return cls(least=min(values), median=statistics.median(values), most=max(values))


@dataclass(frozen=True, kw_only=True)
class Images:
    """The pictures of a source that can be read; sides in pixels.

    `repeated` are pairs of keys: one whose image came before, byte for byte, and the first that had it.
    """

    shortest_side: Spread | None
    longest_side: Spread | None
    repeated: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class Captions:
    """The captions of a source: `cut` are longer than the context, `shared` those that another image has as well.

    `empty` also counts samples without any text; what else is counted are captions that are not empty. Lengths are in
    words, and in tokens with the start and the end.
    """

    count: int
    empty: int
    shared: int
    words: Spread | None
    tokens: Spread | None
    cut: int


@dataclass(frozen=True, kw_only=True)
class Classes:
    """The classes of a source by the first class name of each sample, and how many samples a class has."""

    count: int
    samples: Spread | None


@dataclass(frozen=True, kw_only=True)
class SourceReport:
    """What one source holds."""

    name: str
    role: Role
    samples: int
    unusable: tuple[Unusable, ...]
    images: Images
    captions: Captions
    classes: Classes

    @property
    def unusable_share(self) -> float:
        """Of all samples, 0 to 1."""
        return len(self.unusable) / self.samples if self.samples else 0.0


@dataclass(frozen=True, kw_only=True)
class Overlap:
    """Images that two sources share byte for byte, as pairs of keys; a leak where `second` is for validation."""

    first: str
    second: str
    is_leak: bool
    keys: tuple[tuple[str, str], ...]


@dataclass(frozen=True, kw_only=True)
class CheckReport:
    """What was found in all sources; `problems` are lines on what would stop a run or spoil its measurements."""

    context_length: int
    sources: tuple[SourceReport, ...]
    overlaps: tuple[Overlap, ...]
    problems: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Measures:
    """How images and captions are measured: `count_tokens` includes the start and the end of each text."""

    measure_image: MeasureImage
    count_tokens: Callable[[Sequence[str]], Iterable[int]]
    context_length: int
    bad_sample_limit: float = 0.01
    workers: int = 1


def check_sources(
    training: Sequence[Source],
    validation: Sequence[Source],
    measures: Measures,
    *,
    weights: Sequence[float] | None = None,
    progress: bool = False,
) -> CheckReport:
    """Read every pair of every source and report; nothing in a source makes this fail, it is reported instead.

    `weights` are the training sources' in the mixture; None: their numbers of samples.
    """
    tallies = [_Tally(source, "training", measures) for source in training]
    tallies += [_Tally(source, "validation", measures) for source in validation]
    every = ((tally, seen) for tally in tallies for seen in tally.scan())
    total = sum(tally.samples for tally in tallies)
    for tally, seen in counted(every, total=total, label="Checking", progress=progress):
        tally.add(seen)
    reports = tuple(tally.report() for tally in tallies)
    overlaps = tuple(_overlaps(tallies))
    return CheckReport(
        context_length=measures.context_length,
        sources=reports,
        overlaps=overlaps,
        problems=(*_unusable_lines(reports, weights, measures.bad_sample_limit), *_leak_lines(overlaps)),
    )


class _Tally:
    """Counts of one source as its pairs go by; of images and captions hashes are kept, not they themselves."""

    def __init__(self, source: Source, role: Role, measures: Measures) -> None:
        self.name, self.role, self.samples = source.name, role, len(source)
        self._source, self._measures = source, measures
        self.first_key: dict[bytes, str] = {}
        self._unusable: list[Unusable] = []
        self._repeated: list[tuple[str, str]] = []
        self._shortest, self._longest = array("L"), array("L")
        self._words, self._tokens = array("L"), array("L")
        self._empty = 0
        self._times: Counter[int] = Counter()
        self._classes: Counter[str] = Counter()

    def scan(self) -> Iterator[Seen | Unusable]:
        return scan(self._source, self._measures.measure_image, workers=self._measures.workers)

    def add(self, seen: Seen | Unusable) -> None:
        if isinstance(seen, Unusable):
            self._unusable.append(seen)
            self._empty += not seen.has_text
            return
        self._shortest.append(min(seen.size))
        self._longest.append(max(seen.size))
        if seen.digest in self.first_key:
            self._repeated.append((seen.sample.key, self.first_key[seen.digest]))
        else:
            self.first_key[seen.digest] = seen.sample.key
        self._classes.update(seen.sample.texts.class_names[:1])
        captions = [caption for caption in seen.sample.texts.captions if caption.strip()]
        self._empty += len(seen.sample.texts.captions) - len(captions)
        self._times.update({hash(caption) for caption in captions})
        self._words.extend(len(caption.split()) for caption in captions)
        self._tokens.extend(self._measures.count_tokens(captions))

    def report(self) -> SourceReport:
        return SourceReport(
            name=self.name,
            role=self.role,
            samples=self.samples,
            unusable=tuple(self._unusable),
            images=Images(
                shortest_side=Spread.of(self._shortest),
                longest_side=Spread.of(self._longest),
                repeated=tuple(self._repeated),
            ),
            captions=Captions(
                count=len(self._words),
                empty=self._empty,
                shared=sum(times for times in self._times.values() if times > 1),
                words=Spread.of(self._words),
                tokens=Spread.of(self._tokens),
                cut=sum(count > self._measures.context_length for count in self._tokens),
            ),
            classes=Classes(count=len(self._classes), samples=Spread.of(list(self._classes.values()))),
        )


def _overlaps(tallies: list[_Tally]) -> Iterator[Overlap]:
    """Between validation sets there may be any: they are measured apart."""
    for first, second in combinations(tallies, 2):
        if first.role == "validation":
            continue
        shared = [digest for digest in second.first_key if digest in first.first_key]
        if shared:
            keys = tuple((first.first_key[digest], second.first_key[digest]) for digest in shared)
            yield Overlap(first=first.name, second=second.name, is_leak=second.role == "validation", keys=keys)


def _unusable_lines(reports: Sequence[SourceReport], weights: Sequence[float] | None, limit: float) -> Iterator[str]:
    """A run draws from all training sources by weight; each validation set is measured by itself."""
    yield from (f"{report.name} holds no samples." for report in reports if report.samples == 0)
    training = [report for report in reports if report.role == "training"]
    drawn = [float(report.samples) for report in training] if weights is None else weights
    if sum(drawn) > 0:
        parts = [weight * report.unusable_share for weight, report in zip(drawn, training, strict=True)]
        if (share := sum(parts) / sum(drawn)) > limit:
            worst = training[parts.index(max(parts))]
            yield (
                f"{share:.1%} of what training draws cannot be used, more than the {limit:.1%} that a run allows "
                f"(most of it in {worst.name}): repair it, or leave it out with `diptych data filter`."
            )
    for report in reports:
        if report.role == "validation" and report.unusable_share > limit:
            yield (
                f"{report.name}, a validation set: {len(report.unusable):,} of {report.samples:,} samples cannot be "
                f"used, more than the {limit:.1%} that is allowed: repair it, or leave it out."
            )


def _leak_lines(overlaps: Sequence[Overlap]) -> Iterator[str]:
    for overlap in overlaps:
        if overlap.is_leak:
            yield (
                f"{overlap.first} holds images of {overlap.second}, a validation set: {len(overlap.keys):,} (the "
                f"first: {overlap.keys[0][0]}); leave them out with `diptych data filter --validation`."
            )
