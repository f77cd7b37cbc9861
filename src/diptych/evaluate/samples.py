"""Samples of a source to features; what cannot be measured is set aside, named and counted, within a limit."""

from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from diptych.data.sample import DataError, SampleError, Source
from diptych.encode.encoder import Encoder, Features
from diptych.errors import ImageError
from diptych.images import ImageSource
from diptych.progress import track

_LOOKED_AT = 100  # samples, before a run begins


@dataclass(frozen=True, kw_only=True)
class Skipped:
    """A sample that was not measured, and one line on why."""

    key: str
    reason: str


class Skips:
    """The samples of one evaluation that were set aside; more than a `limit` (a share of `total`) is a DataError."""

    def __init__(self, source: Source, *, total: int, limit: float) -> None:
        self._source, self._total, self._limit = source, total, limit
        self._reasons: dict[int, str] = {}

    def add(self, number: int, reason: str) -> None:
        """Set a sample aside; only the first reason given for it is kept."""
        self._reasons.setdefault(number, reason)
        if len(self._reasons) > self._limit * self._total:
            raise DataError(
                f"{self._source.name}: {len(self._reasons)} of {self._total} samples cannot be used, more than "
                f"{self._limit:.1%} (the last: {reason.rstrip('.')}). Repair them, or allow more with a higher limit."
            )

    def __contains__(self, number: int) -> bool:
        return number in self._reasons

    def listed(self) -> tuple[Skipped, ...]:
        """All of them, in the order of the source."""
        return tuple(Skipped(key=self._source.key(i), reason=self._reasons[i]) for i in sorted(self._reasons))


def check_fits(source: Source, task: Literal["zero-shot", "retrieval"]) -> None:
    """DataError where the first samples have nothing of what a task asks: class names, or captions."""
    for number in range(min(_LOOKED_AT, len(source))):
        with suppress(SampleError):
            texts = source.texts(number)
            if texts.captions if task == "retrieval" else texts.class_names:
                return
    wanted, other = ("captions", "zero-shot") if task == "retrieval" else ("class names", "retrieval")
    raise DataError(f"{source.name} has no {wanted}, which {task} needs: is it a set for {other}?")


def chosen(source: Source, limit: int | None) -> list[int]:
    """All sample numbers; or `limit` of them at even distances: sources are often in the order of their classes."""
    count = len(source)
    if count == 0:
        raise DataError(f"{source.name} holds no samples.")
    if limit is None or limit >= count:
        return list(range(count))
    if limit < 1:
        raise ValueError(f"limit must be at least 1, got {limit}.")
    return [i * count // limit for i in range(limit)]


def read_images(source: Source, numbers: list[int], skips: Skips, *, progress: bool) -> Iterator[tuple[int, bytes]]:
    """(number, encoded image) of each sample that can be read and was not set aside before."""
    counted = track(numbers, total=len(numbers), label=source.name, unit="images") if progress else iter(numbers)
    for number in counted:
        if number in skips:
            continue
        try:
            yield number, source.read(number).image
        except SampleError as error:
            skips.add(number, str(error))


def encode_numbered(
    encoder: Encoder, source: Source, images: Iterable[tuple[int, bytes]], skips: Skips
) -> Iterator[tuple[list[int], Features]]:
    """Sample numbers and their (n, E) unit rows, a batch at a time, in order; what does not decode is set aside."""
    numbers: list[int] = []

    def encoded() -> Iterator[bytes]:
        for number, image in images:
            numbers.append(number)
            yield image

    def note(position: int, _: ImageSource, error: ImageError) -> None:
        number = numbers[position]
        skips.add(number, str(error).replace("the given bytes", source.key(number), 1))

    for rows in encoder.iter_images(encoded(), on_error=note):
        yield [numbers[position] for position in rows.indices.tolist()], rows.features
