"""Labels to classifiers beside the loop: vectors of texts from the server's cache, those of everyday labels held."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Final

import numpy as np

from diptych.encode.encoder import Features
from diptych.errors import TextTooLongError
from diptych.library.labelling import encode_everyday, leave_out
from diptych.prompts import TEMPLATES
from diptych.serve.batching import Gate
from diptych.serve.config import Limits
from diptych.serve.engine import Engine
from diptych.serve.problems import Problem, busy
from diptych.serve.served_encoder import TEXTS_AT_ONCE, ServedEncoder
from diptych.zeroshot import Prompts, ZeroShotClassifier, average_prompts

Forms = tuple[str, ...] | None  # templates, each with one {}; None: the default's
_HELD: Final = 8  # backgrounds
_MOST_WAITING: Final = 16
_MOST_FORMS: Final = 16  # of one's own: with more, everyday labels would be ten thousand prompts and above
_THREADS: Final = 2  # so that ImageNet's eighty templates, a minute's work, do not keep one of somebody's own waiting
_RETRY_SECONDS: Final = 5
_LARGEST_AT_ONCE: Final = 2  # requests of the most prompts: each is some seconds' work
_FEW: Final = 1_000  # prompts: with these nobody is refused because of those who bring more


class Classifiers:
    """What labels and templates come to. For the thread of the loop."""

    def __init__(self, engine: Engine, limits: Limits) -> None:
        self.encoder = ServedEncoder(engine)
        self._engine = engine
        most = _LARGEST_AT_ONCE * limits.prompts
        self._few, self._many = Gate("prompts", most), Gate("prompts of large requests", most)
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="diptych-everyday")
        self._everyday: OrderedDict[Forms, asyncio.Task[Features]] = OrderedDict()

    def start(self) -> None:
        """Have the encoder compute in the loop that runs."""
        self.encoder.start()

    async def build(self, forms: Forms, prompts: Prompts) -> ZeroShotClassifier:
        """The classifier of prompts that `write_prompts` made. A Problem for what is too long, or too much."""
        texts = [text for _, sentences in prompts for text in sentences]
        with self._admit(prompts):
            await asyncio.to_thread(_check_lengths, self._engine, prompts)
            starts = range(0, len(texts), TEXTS_AT_ONCE)
            parts = [await self._engine.encode_texts(texts[start : start + TEXTS_AT_ONCE]) for start in starts]
        features = average_prompts(np.concatenate(parts), prompts)
        return ZeroShotClassifier(self.encoder, prompts, features, templates=forms, cache=False)

    async def background(self, classifier: ZeroShotClassifier) -> Features | None:
        """(B, E) unit rows that labels are held against: of everyday ones that are not among them, in their templates.

        None where nothing is left of them, or there are so many templates of one's own that it would take too long.
        """
        forms = classifier.templates
        assert forms is None or isinstance(forms, tuple)
        if forms is not None and len(forms) > _MOST_FORMS and forms not in TEMPLATES.values():
            return None
        background = leave_out(await self._find_everyday(forms), classifier.class_names)
        return background if len(background) else None

    def close(self) -> None:
        """Begin no more."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    @contextmanager
    def _admit(self, prompts: Prompts) -> Iterator[None]:
        """Hold room for prompts that are computed during the block. A Problem, 429, where too many are already."""
        count, since = sum(len(sentences) for _, sentences in prompts), time.perf_counter()
        gate = self._few if count <= _FEW else self._many
        with gate.admit(min(count, gate.capacity)):  # sets made by a program may hold more than any request
            yield
        gate.note_done(count, time.perf_counter() - since)

    async def _find_everyday(self, forms: Forms) -> Features:
        """Computed once however many ask, also where the first of them has gone by then."""
        task = self._everyday.get(forms)
        if task is None:
            if sum(not each.done() for each in self._everyday.values()) >= _MOST_WAITING:
                raise busy("Many new templates are worked on already: try again.", _RETRY_SECONDS)
            task = self._everyday[forms] = asyncio.create_task(self._encode_everyday(forms))
        self._everyday.move_to_end(forms)
        try:
            return await asyncio.shield(task)
        finally:
            self._forget_oldest()

    async def _encode_everyday(self, forms: Forms) -> Features:
        # Published templates are few, so what they come to may be kept on disk.
        is_published = forms is None or forms in TEMPLATES.values()
        try:
            return await asyncio.get_running_loop().run_in_executor(
                self._threads, lambda: encode_everyday(self._engine.encoder, forms, cache=is_published)
            )
        except BaseException:
            del self._everyday[forms]  # so that the next who asks tries again
            raise

    def _forget_oldest(self) -> None:
        done = [forms for forms, task in self._everyday.items() if task.done()]
        for forms in done[:-_HELD]:
            del self._everyday[forms]


def _check_lengths(engine: Engine, prompts: Prompts) -> None:
    """A Problem that names the labels whose prompts are longer than the model reads. It takes a while: on a thread."""
    owners = [index for index, (_, sentences) in enumerate(prompts) for _ in sentences]
    try:
        engine.encoder.encoder.tokenize((text for _, texts in prompts for text in texts), on_long="error")
    except TextTooLongError as error:
        at_fault = sorted({owners[index] for index in error.indices})
        items = [{"index": index, "detail": f"label {index}: too long in its templates"} for index in at_fault[:20]]
        detail = (
            f"{len(at_fault)} of {len(prompts)} labels are longer in their templates than the "
            f"{engine.encoder.config.text.context_length} tokens that the model reads: shorten them."
        )
        raise Problem(422, "text-too-long", "A text is too long", detail, items=items) from error
