"""The model behind the server: texts and images of all requests through shared batches."""

import asyncio
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final

import numpy as np

from diptych.api import DualEncoder
from diptych.encode.encoder import Array, Features, OnLong
from diptych.encode.workers import core_count
from diptych.errors import ImageError, TextTooLongError, TooManyPixelsError
from diptych.images import PHOTO_FORMATS
from diptych.serve.batching import Batcher, Gate, Slots
from diptych.serve.config import Limits
from diptych.serve.metrics import Metrics
from diptych.serve.problems import Problem
from diptych.serve.text_cache import TextCache

# A batch is one thread's work: large enough to gain by it, small enough that nobody waits for long.
_IMAGES_AT_ONCE: Final = {"cpu": 4, "mps": 32, "cuda": 64}
_TEXTS_AT_ONCE: Final = {"cpu": 32, "mps": 256, "cuda": 1_024}
# Of images above, fewer are decoded at once: one may take 20 bytes a pixel, and keep a thread for seconds.
_LARGE_PIXELS: Final = 13_000_000
_INLINE_CHARACTERS: Final = 2_000  # of texts: more are tokenised on another thread


class Engine:
    """Vectors for whoever asks, in the order of asking as far as batches allow. For the thread of the loop."""

    def __init__(self, encoder: DualEncoder, limits: Limits, metrics: Metrics) -> None:
        self.encoder = encoder
        self._metrics, self._limits = metrics, limits
        kind = encoder.encoder.device.type
        self._slots = Slots(core_count() if kind == "cpu" else 1)
        self.image_gate = Gate("images", limits.waiting_images)
        self.text_gate = Gate("texts", limits.waiting_texts)
        self._large_gate = Gate("pixels of large images", limits.waiting_large_pixels)
        self._pixels: Batcher[Array] = Batcher(
            lambda batch: encoder.encoder.encode_pixels(np.stack(batch)),
            self._slots,
            most=_IMAGES_AT_ONCE[kind],
            note_batch=partial(self._note_batch, self.image_gate),
        )
        self._tokens: Batcher[list[int]] = Batcher(
            encoder.encoder.encode_tokens,
            self._slots,
            most=_TEXTS_AT_ONCE[kind],
            note_batch=partial(self._note_batch, self.text_gate),
        )
        self._decoders = ThreadPoolExecutor(2 * core_count() + 2, thread_name_prefix="diptych-decode")
        self._large_decoders = ThreadPoolExecutor(max(2, core_count() // 2), thread_name_prefix="diptych-decode-large")
        self._cache = TextCache(encoder.embed_dim)

    def start(self) -> None:
        """Begin to compute, in the loop that runs."""
        self._pixels.start()
        self._tokens.start()

    async def stop(self) -> None:
        """Compute no more."""
        await self._pixels.stop()
        await self._tokens.stop()
        for decoders in (self._decoders, self._large_decoders):
            decoders.shutdown(wait=False, cancel_futures=True)

    async def encode_texts(self, texts: Sequence[str], *, truncate: bool = False) -> Features:
        """(N, E) unit rows. TextTooLongError for one beyond the context, unless it may be cut."""
        with self.text_gate.admit(len(texts)):
            rows = [self._cache.find(text) for text in texts]
            missing = list(dict.fromkeys(text for text, row in zip(texts, rows, strict=True) if row is None))
            self._metrics.note_cached(len(texts) - len(missing), len(missing))
            if not missing:
                return np.stack([row for row in rows if row is not None])
            try:
                ids = await self._tokenize(missing)
                computed = await self._tokens.compute(ids)
                self._cache.put(missing, computed, map(len, ids))
            except TextTooLongError as error:
                if not truncate:
                    raise _too_long(texts, {missing[i] for i in error.indices}) from error
                # What is cut stays out of the cache: asked for again without leave, it is to be refused.
                computed = await self._tokens.compute(await self._tokenize(missing, on_long="cut"))
            found = dict(zip(missing, computed, strict=True))
            return np.stack([found[text] if row is None else row for text, row in zip(texts, rows, strict=True)])

    async def encode_images(self, images: Sequence[bytes]) -> list[Features | ImageError]:
        """Of each its (E,) unit vector, or why it cannot be read."""
        with self.image_gate.admit(len(images)):
            decoded = await self._decode_all(images)
            readable = [pixels for pixels in decoded if not isinstance(pixels, ImageError)]
            rows = iter(await self._pixels.compute(readable) if readable else ())
            return [pixels if isinstance(pixels, ImageError) else next(rows) for pixels in decoded]

    async def check(self, image: bytes) -> None:
        """Encode one image and one text, past the cache; whatever is wrong is raised."""
        (pixels,) = await self._decode_all([image])
        if isinstance(pixels, ImageError):
            raise pixels
        await asyncio.gather(
            self._pixels.compute([pixels]), self._tokens.compute(await self._tokenize(["a photo of a dog"]))
        )

    async def count_tokens(self, texts: Sequence[str]) -> int:
        """How many tokens the texts are, as far as they are read."""
        counts = [self._cache.count_tokens(text) for text in texts]
        missing = [text for text, count in zip(texts, counts, strict=True) if count is None]
        ids = await self._tokenize(missing, on_long="cut") if missing else []
        return sum(count for count in counts if count is not None) + sum(map(len, ids))

    async def _decode_all(self, images: Sequence[bytes]) -> list[Array | ImageError]:
        """Of each its (3, H, W) pixels, or why it cannot be read; large ones after all others."""
        least = min(_LARGE_PIXELS, self._limits.pixels)
        decoded = await asyncio.gather(*(self._decode(image, least, self._decoders) for image in images))
        large = {i: found.pixels for i, found in enumerate(decoded) if isinstance(found, TooManyPixelsError)}
        if not large:
            return decoded
        total = sum(pixels for pixels in large.values() if pixels <= self._limits.pixels)  # the others are not decoded
        if total > self._limits.large_pixels:
            raise _too_large(large, total, self._limits.large_pixels)
        with self._large_gate.admit(total):
            found = (self._decode(images[i], self._limits.pixels, self._large_decoders) for i in large)
            for i, pixels in zip(large, await asyncio.gather(*found), strict=True):
                decoded[i] = pixels
        return decoded

    async def _decode(self, image: bytes, most_pixels: int, threads: ThreadPoolExecutor) -> Array | ImageError:
        try:
            return await asyncio.get_running_loop().run_in_executor(threads, self._decode_now, image, most_pixels)
        except ImageError as error:
            return error

    def _decode_now(self, image: bytes, most_pixels: int) -> Array:
        with self._metrics.decoding():
            return self.encoder.encoder.decode(image, max_pixels=most_pixels, formats=PHOTO_FORMATS)

    async def _tokenize(self, texts: Sequence[str], *, on_long: OnLong = "error") -> list[list[int]]:
        tokenize = partial(self.encoder.encoder.tokenize, texts, on_long=on_long)
        if sum(map(len, texts)) <= _INLINE_CHARACTERS:
            return tokenize()
        return await asyncio.get_running_loop().run_in_executor(self._decoders, tokenize)

    def _note_batch(self, gate: Gate, items: int, seconds: float) -> None:
        gate.note_done(items, seconds)
        self._metrics.note_batch(gate.kind, items, seconds)


def _too_large(sizes: Mapping[int, int], total: int, most: int) -> Problem:
    detail = (
        f"The large images have {total / 1e6:,.0f} megapixels together, and {most / 1e6:,.0f} are the most for those "
        f"above {_LARGE_PIXELS / 1e6:g}: make them smaller, or send several requests."
    )
    items = [{"index": i, "detail": f"{pixels / 1e6:,.0f} megapixels"} for i, pixels in sizes.items()]
    return Problem(422, "too-many-pixels", "The images are too large", detail, items=items)


def _too_long(texts: Sequence[str], at_fault: set[str]) -> Problem:
    items = [{"index": i, "detail": "longer than the model's context"} for i, t in enumerate(texts) if t in at_fault]
    detail = f"{len(items)} of {len(texts)} texts are longer than the model reads: shorten them, or allow `truncate`."
    return Problem(422, "text-too-long", "A text is too long", detail, items=items)
