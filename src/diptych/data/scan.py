"""Every pair of a source once, several at a time: read, hashed, its picture measured."""

import hashlib
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from diptych.data.sample import Sample, SampleError, Source, Texts
from diptych.errors import ImageError
from diptych.progress import track

In = TypeVar("In")
Out = TypeVar("Out")

# Decodes an encoded image to tell its (width, height) in pixels; raises ImageError where that cannot be done.
MeasureImage = Callable[[bytes], tuple[int, int]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """A pair that can be used, its picture's width and height in pixels, and the hash of the encoded picture."""

    index: int
    sample: Sample
    size: tuple[int, int]
    digest: bytes


@dataclass(frozen=True, kw_only=True, slots=True)
class Unusable:
    """A pair that cannot be used, and one line on why; it may only lack words."""

    key: str
    reason: str
    has_text: bool = True


def scan(source: Source, measure_image: MeasureImage, *, workers: int) -> Iterator[Seen | Unusable]:
    """All pairs of a source, in its order."""

    def look(index: int) -> Seen | Unusable:
        key = source.key(index)
        name = f"{source.name}/{key}"
        try:
            if not has_text(source.texts(index)):
                return Unusable(key=key, reason=f"{name} has neither a caption nor a class.", has_text=False)
            sample = source.read(index)
            size = measure_image(sample.image)
        except SampleError as error:
            return Unusable(key=key, reason=str(error))
        except ImageError as error:
            return Unusable(key=key, reason=str(error).replace("the given bytes", name, 1))
        return Seen(index=index, sample=sample, size=size, digest=image_digest(sample.image))

    return in_threads(look, range(len(source)), workers=workers)


def has_text(texts: Texts) -> bool:
    """Whether there is a word to learn."""
    return any(text.strip() for text in (*texts.captions, *texts.class_names))


def digests(source: Source, *, workers: int) -> dict[bytes, str]:
    """The hash of every image of a source that can be read, and the key of the first pair that has it."""

    def look(index: int) -> tuple[bytes, str] | None:
        try:
            sample = source.read(index)
        except SampleError:
            return None
        return image_digest(sample.image), sample.key

    found: dict[bytes, str] = {}
    for pair in in_threads(look, range(len(source)), workers=workers):
        if pair is not None:
            found.setdefault(*pair)
    return found


def image_digest(image: bytes) -> bytes:
    """16 bytes that name an encoded image by its content."""
    return hashlib.blake2b(image, digest_size=16).digest()


def in_threads(function: Callable[[In], Out], items: Iterable[In], *, workers: int) -> Iterator[Out]:
    """`function` of each item, in order; a few per worker are ahead, so that items without end need little memory."""
    waiting: deque[Future[Out]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="diptych-scan") as pool:
        try:
            for item in items:
                waiting.append(pool.submit(function, item))
                if len(waiting) > 8 * workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)  # whoever stopped asking does not wait for the rest


def counted(items: Iterable[In], *, total: int, label: str, progress: bool) -> Iterator[In]:
    """The items, with a line of progress on stderr if that is wanted."""
    return track(items, total=total, label=label, unit="samples") if progress else iter(items)
