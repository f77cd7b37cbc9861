"""The engine's vectors are the encoder's, from the cache or not, and what it refuses it names by its index."""

import asyncio
import io
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

from diptych import DualEncoder
from diptych.encode.encoder import Features
from diptych.errors import ImageError
from diptych.serve.config import Limits
from diptych.serve.engine import Engine
from diptych.serve.metrics import Metrics
from diptych.serve.problems import Problem

Result = TypeVar("Result")
# Rows computed in another company differ by the rounding of float32 sums.
ROUNDING = 2e-6
TEXTS = ["a dog", "", "two dogs in snow", "東京", "a dog", *(f"photo {i} of a cat" for i in range(300))]
LONG = "cat " * 99


def run_with(
    encoder: DualEncoder,
    use: Callable[[Engine], Awaitable[Result]],
    *,
    limits: Limits | None = None,
    metrics: Metrics | None = None,
) -> Result:
    """What `use` gives, in a loop of its own in which an engine runs."""

    async def main() -> Result:
        engine = Engine(encoder, limits or Limits(), metrics or Metrics())
        engine.start()
        try:
            async with asyncio.timeout(60):
                return await use(engine)
        finally:
            await engine.stop()

    return asyncio.run(main())


def test_texts_have_the_vectors_of_the_encoder(encoder: DualEncoder) -> None:
    async def ask(engine: Engine) -> Features:
        return await engine.encode_texts(TEXTS)

    rows = run_with(encoder, ask)
    assert_allclose(rows, encoder.encode_texts(TEXTS), atol=ROUNDING)
    assert rows.dtype == np.float32


def test_images_have_the_vectors_of_the_encoder_each_for_itself(encoder: DualEncoder, photos: list[Path]) -> None:
    files = [photo.read_bytes() for photo in photos]

    async def ask(engine: Engine) -> list[list[Features | ImageError]]:
        return await asyncio.gather(*(engine.encode_images(files[i : i + 3]) for i in range(0, len(files), 3)))

    rows = [row for answer in run_with(encoder, ask) for row in answer]
    assert not any(isinstance(row, ImageError) for row in rows)
    assert_allclose(np.stack(rows), encoder.encode_images(photos), atol=ROUNDING)  # type: ignore[arg-type]


def test_an_image_that_cannot_be_read_leaves_the_others_alone(encoder: DualEncoder, photos: list[Path]) -> None:
    good = photos[0].read_bytes()

    async def ask(engine: Engine) -> list[Features | ImageError]:
        return await engine.encode_images([good, good[:900], b"", good])

    first, cut, empty, last = run_with(encoder, ask)
    assert isinstance(cut, ImageError)
    assert isinstance(empty, ImageError)
    for row in (first, last):
        assert isinstance(row, np.ndarray)
        assert_allclose(row, encoder.encode_images([good])[0], atol=ROUNDING)


def test_an_image_of_too_many_pixels_is_refused(encoder: DualEncoder, photos: list[Path]) -> None:
    async def ask(engine: Engine) -> list[Features | ImageError]:
        return await engine.encode_images([photos[0].read_bytes()])

    (refused,) = run_with(encoder, ask, limits=Limits(pixels=8_999))  # it has 150 x 60
    assert isinstance(refused, ImageError)
    assert "150 x 60 pixels are more than the 8,999" in str(refused)


def test_many_large_images_in_few_bytes_are_refused(encoder: DualEncoder) -> None:
    file = io.BytesIO()
    Image.new("L", (5_000, 4_000)).save(file, "PNG")

    async def ask(engine: Engine) -> list[Features | ImageError]:
        return await engine.encode_images([file.getvalue()] * 21)

    with pytest.raises(Problem, match="have 420 megapixels together, and 400 are the most") as raised:
        run_with(encoder, ask)
    assert raised.value.status == 422
    assert [item["index"] for item in raised.value.items] == list(range(21))


def test_large_images_do_not_keep_small_ones_waiting(encoder: DualEncoder, photos: list[Path]) -> None:
    file = io.BytesIO()
    Image.new("RGB", (4_000, 4_000), (200, 30, 60)).save(file, "PNG", compress_level=1)
    small = photos[0].read_bytes()

    async def ask(engine: Engine) -> tuple[Features | ImageError, bool, Features | ImageError]:
        large = asyncio.create_task(engine.encode_images([file.getvalue()] * 12))
        await asyncio.sleep(0.05)
        (first,) = await engine.encode_images([small])
        was_first = not large.done()
        return first, was_first, (await large)[-1]

    first, was_first, last = run_with(encoder, ask)
    assert was_first
    for row, source in ((first, small), (last, file.getvalue())):
        assert isinstance(row, np.ndarray)
        assert_allclose(row, encoder.encode_images([source])[0], atol=ROUNDING)


# ---- the cache


def test_a_text_asked_for_again_is_not_computed_again(encoder: DualEncoder) -> None:
    metrics = Metrics()

    async def ask(engine: Engine) -> tuple[Features, Features]:
        return await engine.encode_texts(["a dog", "a cat"]), await engine.encode_texts(["a cat", "a bird", "a dog"])

    first, again = run_with(encoder, ask, metrics=metrics)
    assert_array_equal(again[[2, 0]], first)
    assert metrics.registry.get_sample_value("diptych_text_cache_total", {"result": "miss"}) == 3
    assert metrics.registry.get_sample_value("diptych_text_cache_total", {"result": "hit"}) == 2
    assert metrics.registry.get_sample_value("diptych_batch_items_sum", {"kind": "texts"}) == 3


def test_a_text_twice_in_one_request_is_computed_once(encoder: DualEncoder) -> None:
    metrics = Metrics()

    async def ask(engine: Engine) -> Features:
        return await engine.encode_texts(["a dog", "a cat", "a dog"])

    rows = run_with(encoder, ask, metrics=metrics)
    assert_array_equal(rows[0], rows[2])
    assert metrics.registry.get_sample_value("diptych_batch_items_sum", {"kind": "texts"}) == 2


def test_whoever_changes_a_row_does_not_change_the_cache(encoder: DualEncoder) -> None:
    async def ask(engine: Engine) -> Features:
        for _ in range(2):
            rows = await engine.encode_texts(["a dog"])
            rows[:] = 0
        return await engine.encode_texts(["a dog"])

    assert_allclose(run_with(encoder, ask), encoder.encode_texts(["a dog"]), atol=ROUNDING)


# ---- texts that are too long


def test_texts_that_are_too_long_are_named_by_their_index(encoder: DualEncoder) -> None:
    async def ask(engine: Engine) -> Features:
        await engine.encode_texts(["a dog"])  # in the cache now, so that indices shift
        return await engine.encode_texts(["a dog", LONG, "a cat", LONG + "dog", LONG])

    with pytest.raises(Problem, match="3 of 5 texts are longer than the model reads") as refused:
        run_with(encoder, ask)
    assert (refused.value.status, [item["index"] for item in refused.value.items]) == (422, [1, 3, 4])


def test_what_may_be_cut_is_cut_and_refused_when_it_may_not(encoder: DualEncoder) -> None:
    async def ask(engine: Engine) -> Features:
        cut = await engine.encode_texts(["a dog", LONG], truncate=True)
        with pytest.raises(Problem, match="1 of 1 texts"):
            await engine.encode_texts([LONG])
        return cut

    with pytest.warns(UserWarning, match="1 of 2 texts"):
        expected = encoder.encode_texts(["a dog", LONG])
    assert_allclose(run_with(encoder, ask), expected, atol=ROUNDING)


def test_tokens_are_counted_as_far_as_texts_are_read(encoder: DualEncoder) -> None:
    async def count(engine: Engine) -> int:
        return await engine.count_tokens(["a dog", LONG])

    assert run_with(encoder, count) == 4 + 77


# ---- more than is taken


def test_more_than_may_wait_is_refused_and_room_comes_back(encoder: DualEncoder) -> None:
    async def ask(engine: Engine) -> list[int]:
        async def status(texts: list[str]) -> int:
            try:
                await engine.encode_texts(texts)
            except Problem as problem:
                return problem.status
            return 200

        statuses = await asyncio.gather(*(status([f"{letter} {i}" for i in range(4)]) for letter in "abc"))
        assert engine.text_gate.inside == 0
        return [*statuses, await status(["c"])]

    limits = Limits(texts=8, waiting_texts=8)
    assert run_with(encoder, ask, limits=limits) == [200, 200, 429, 200]


def test_requests_given_up_leave_no_items_behind(encoder: DualEncoder, photos: list[Path]) -> None:
    files = [photo.read_bytes() for photo in photos]

    async def ask(engine: Engine) -> tuple[int, int]:
        asked = [asyncio.create_task(engine.encode_images(files)) for _ in range(4)]
        asked_texts = [asyncio.create_task(engine.encode_texts([f"{i}"])) for i in range(20)]
        await asyncio.sleep(0.02)
        for task in (*asked, *asked_texts):
            task.cancel()
        await asyncio.gather(*asked, *asked_texts, return_exceptions=True)
        assert_allclose(await engine.encode_texts(["still here"]), encoder.encode_texts(["still here"]), atol=ROUNDING)
        return engine.image_gate.inside, engine.text_gate.inside

    assert run_with(encoder, ask) == (0, 0)


def test_the_check_computes_each_time(encoder: DualEncoder, photos: list[Path]) -> None:
    metrics = Metrics()

    async def ask(engine: Engine) -> None:
        for _ in range(3):
            await engine.check(photos[0].read_bytes())
        with pytest.raises(ImageError):
            await engine.check(b"no picture")

    run_with(encoder, ask, metrics=metrics)
    for kind in ("images", "texts"):
        assert metrics.registry.get_sample_value("diptych_batch_items_sum", {"kind": kind}) == 3
