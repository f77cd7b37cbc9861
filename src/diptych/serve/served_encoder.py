"""The server's model as an Encoder, for the calls that run on other threads than the loop's."""

import asyncio
from collections.abc import Iterable
from typing import Final

import numpy as np

from diptych.encode.encoder import Features, OnLong
from diptych.errors import TextTooLongError
from diptych.serve.engine import Engine
from diptych.serve.problems import Problem

TEXTS_AT_ONCE: Final = 256  # more would keep others waiting


class ServedEncoder:
    """An Encoder whose texts go through the server's cache and batches. Never on the thread of the loop.

    Its images go past them: no request has the library open a picture.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._loop: asyncio.AbstractEventLoop | None = None
        self.embed_dim = engine.encoder.embed_dim
        self.logit_scale = engine.encoder.logit_scale
        self.dtype = engine.encoder.dtype
        self.fingerprint = engine.encoder.fingerprint
        self.encode_images, self.iter_images = engine.encoder.encode_images, engine.encoder.iter_images

    def start(self) -> None:
        """Compute in the loop that runs."""
        self._loop = asyncio.get_running_loop()

    def encode_texts(self, texts: Iterable[str], *, on_long: OnLong = "warn", progress: bool = False) -> Features:
        """(N, E) unit rows; what is too long is cut, unless `on_long` is "error": TextTooLongError."""
        assert self._loop is not None
        given = list(texts)
        rows = np.empty((len(given), self.embed_dim), np.float32)
        for start in range(0, len(given), TEXTS_AT_ONCE):
            part = slice(start, start + TEXTS_AT_ONCE)
            found = self._engine.encode_texts(given[part], truncate=on_long != "error")
            try:
                rows[part] = asyncio.run_coroutine_threadsafe(found, self._loop).result()
            except Problem as problem:
                raise _as_encoders_raise(problem, start) from None
        return rows


def _as_encoders_raise(problem: Problem, start: int) -> Exception:
    """The error of an Encoder where a problem is that texts, counted from `start`, are too long; else the problem."""
    cause = problem.__cause__
    if not isinstance(cause, TextTooLongError):
        return problem
    indices = [start + item["index"] for item in problem.items]
    return TextTooLongError(str(cause), indices=indices, tokens=cause.tokens, context_length=cause.context_length)
