"""What the cache of texts holds is bounded by its bytes, texts and vectors alike."""

import numpy as np
import pytest

from diptych.serve.text_cache import TextCache


@pytest.mark.parametrize(("letters", "held"), [(10, 71), (1_000, 2)])
def test_long_texts_leave_room_for_fewer(letters: int, held: int) -> None:
    cache = TextCache(25, capacity_bytes=10_000)
    texts = [f"{number:03}".ljust(letters) for number in range(200)]
    for text in texts:
        cache.put([text, text], np.ones((2, 25), np.float32), [1, 1])
    assert len(cache) == held
    assert [cache.find(text) is not None for text in texts] == [False] * (200 - held) + [True] * held


def test_a_text_that_is_asked_for_stays() -> None:
    cache = TextCache(25, capacity_bytes=1_000)
    for number in range(100):
        cache.put([str(number)], np.full((1, 25), number, np.float32), [number])
        assert cache.find("0") is not None
    row = cache.find("0")
    assert row is not None
    assert (row[0], cache.count_tokens("0"), cache.count_tokens("1")) == (0, 0, None)
