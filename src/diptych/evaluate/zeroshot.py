"""Zero-shot accuracy (Radford et al. 2021, section 3.1): each image is given the class whose prompts lie nearest."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from diptych.data.sample import DataError, SampleError, Source
from diptych.encode.encoder import Encoder
from diptych.evaluate.metrics import (
    Ints,
    Proportion,
    best_wrong,
    confused_pairs,
    hits_at,
    mean_per_class,
    per_class,
    ranks_of,
)
from diptych.evaluate.samples import Skipped, Skips, chosen, encode_numbered, read_images
from diptych.zeroshot import DEFAULT_TEMPLATE, ClassNames, Templates, build_classifier, resolve_templates

_CONFUSIONS = 20  # pairs of classes that a result names
_TOP = 5


@dataclass(frozen=True, kw_only=True)
class ClassAccuracy:
    """One class: its name, and the share of its images that were given it; None where it has no images."""

    name: str
    top1: Proportion | None


@dataclass(frozen=True, kw_only=True)
class Confusion:
    """How many images of one class were given another."""

    true: str
    predicted: str
    count: int


@dataclass(frozen=True, kw_only=True)
class ZeroShotResult:
    """What was measured on one source.

    `top5` is None where there are no more than five classes. `mean_per_class` is the mean of the classes' own
    accuracies, 0 to 1. `confusions` are the most frequent, at most 20; `skipped` are samples that do not count.
    """

    source: str
    templates: tuple[str, ...]
    top1: Proportion
    top5: Proportion | None
    mean_per_class: float
    classes: tuple[ClassAccuracy, ...]
    confusions: tuple[Confusion, ...]
    skipped: tuple[Skipped, ...]

    @property
    def samples(self) -> int:
        """How many images were measured."""
        return self.top1.total

    def numbers(self) -> dict[str, float]:
        """The measures by name, 0 to 1."""
        top5 = {} if self.top5 is None else {"top5": self.top5.value}
        return {"top1": self.top1.value, **top5, "mean_per_class": self.mean_per_class}


def evaluate_zero_shot(
    encoder: Encoder,
    source: Source,
    *,
    templates: Templates = None,
    class_names: ClassNames | None = None,
    limit: int | None = None,
    bad_sample_limit: float = 0.01,
    cache: bool = False,
    progress: bool = False,
) -> ZeroShotResult:
    """Classify the labelled images of a source among its classes, or among `class_names`.

    The classes are the distinct first names of the samples; with `class_names`, a sample's class is the first of its
    names that is among them. Names that differ only in case or white space are one. `templates` and `cache` are
    `build_classifier`'s. `limit` measures so many samples, spread evenly over the source.

    Raises DataError for a source without classes, a sample of none of the `class_names`, or more than
    `bad_sample_limit` (a share) of samples that cannot be used.
    """
    numbers = chosen(source, limit)
    skips = Skips(source, total=len(numbers), limit=bad_sample_limit)
    names: ClassNames = classes_of(source) if class_names is None else _distinct(class_names)
    labels = _labels(source, numbers, list(names), skips)
    classifier = build_classifier(encoder, names, templates, cache=cache, progress=progress)

    ranks, truth, wrong = [], [], []
    images = read_images(source, numbers, skips, progress=progress)
    for batch, features in encode_numbered(encoder, source, images, skips):
        scores, true = features @ classifier.class_features.T, np.array([labels[number] for number in batch])
        ranks.append(ranks_of(scores, true))
        truth.append(true)
        wrong.append(best_wrong(scores, true))
    if not ranks:
        raise DataError(f"{source.name} has no image that can be used.")
    default = "{}" if isinstance(names, Mapping) else DEFAULT_TEMPLATE
    return _result(
        source,
        resolve_templates(default if templates is None else templates),
        classifier.class_names,
        np.concatenate(ranks),
        np.concatenate(truth),
        np.concatenate(wrong),
        skips,
    )


def classes_of(source: Source) -> list[str]:
    """The distinct first class names of a source, sorted; DataError unless there are two."""
    first: dict[str, str] = {}
    for number in range(len(source)):
        try:
            if names := source.texts(number).class_names:
                first.setdefault(_folded(names[0]), names[0])
        except SampleError:  # it is set aside and named when it is to be measured
            continue
    if not first:
        raise _no_classes(source)
    if len(first) == 1:
        raise DataError(f"{source.name} has one class, {next(iter(first.values()))!r}: at least two can be told apart.")
    return sorted(first.values())


def _folded(name: str) -> str:
    """What two names share that CLIP's tokenizer, which lower-cases and collapses white space, does not tell apart."""
    return " ".join(name.lower().split())


def _distinct(class_names: ClassNames) -> ClassNames:
    """The names without repetitions; of a mapping the first of equal names keeps its phrases."""
    if isinstance(class_names, str):
        raise ValueError(f"class_names must be several names, got one string: write [{class_names!r}].")
    first: dict[str, str] = {}
    for name in class_names:
        first.setdefault(_folded(name), name)
    if len(first) < 2:
        raise ValueError(f"class_names must hold at least two names, got {len(first)}.")
    if isinstance(class_names, Mapping):
        return {name: class_names[name] for name in first.values()}
    return list(first.values())


def _labels(source: Source, numbers: list[int], names: list[str], skips: Skips) -> dict[int, int]:
    """The class of each sample by number; a sample without a class name is set aside."""
    places = {_folded(name): place for place, name in enumerate(names)}
    labels: dict[int, int] = {}
    without: list[int] = []
    for number in numbers:
        try:
            own = source.texts(number).class_names
        except SampleError as error:
            skips.add(number, str(error))
            continue
        place = next((places[_folded(name)] for name in own if _folded(name) in places), None)
        if place is not None:
            labels[number] = place
        elif not own:
            without.append(number)
        else:
            raise DataError(
                f"{source.name}: {source.key(number)} is of class {own[0]!r}, which is not among the "
                f"{len(names)} labels given: add it, or leave the labels out to use the set's own classes."
            )
    if without and not labels:
        raise _no_classes(source)
    for number in without:
        skips.add(number, f"{source.key(number)}: has no class name")
    return labels


def _no_classes(source: Source) -> DataError:
    return DataError(f"{source.name} has no class names, which zero-shot accuracy needs: is it a set for retrieval?")


def _result(
    source: Source,
    templates: tuple[str, ...],
    names: tuple[str, ...],
    ranks: Ints,
    truth: Ints,
    wrong: Ints,
    skips: Skips,
) -> ZeroShotResult:
    classes = per_class(ranks, truth, len(names))
    predicted = np.where(ranks == 0, truth, wrong)
    return ZeroShotResult(
        source=source.name,
        templates=templates,
        top1=hits_at(ranks, 1),
        top5=hits_at(ranks, _TOP) if len(names) > _TOP else None,
        mean_per_class=mean_per_class(classes),
        classes=tuple(ClassAccuracy(name=name, top1=top1) for name, top1 in zip(names, classes, strict=True)),
        confusions=tuple(
            Confusion(true=names[true], predicted=names[other], count=count)
            for true, other, count in confused_pairs(truth, predicted, _CONFUSIONS)
        ),
        skipped=skips.listed(),
    )
