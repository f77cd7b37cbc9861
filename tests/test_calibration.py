"""Calibrated scores: cases by hand, and what must hold for any similarities."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.calibration import MATCH_THRESHOLD, NONE_THRESHOLD, best_level, none_of_these, relevance, standard

Cosines = np.ndarray[Any, np.dtype[np.float32]]


def background(seed: int = 0, pictures: int = 4) -> Cosines:
    return np.random.default_rng(seed).normal(0.2, 0.05, (pictures, 500)).astype(np.float32)


def test_a_label_far_above_the_background_holds_and_one_within_it_does_not() -> None:
    best = np.array([0.5, 0.2], np.float32)
    far, within = none_of_these(best, background(pictures=2))
    assert far < 0.01 < NONE_THRESHOLD < 0.95 < within


def test_none_of_these_is_the_logistic_of_the_distance_above_the_quantile() -> None:
    # 0 to 100: the 99th percentile is 99, the standard deviation sqrt((101**2 - 1) / 12) = 29.155
    ladder = np.arange(101, dtype=np.float32)[None]
    at_centre, one_above = (none_of_these(np.array([99 + (0.29 + k) * 29.1548], np.float32), ladder) for k in (0, 1))
    assert at_centre == pytest.approx(0.5, abs=1e-4)
    assert one_above == pytest.approx(1 / (1 + np.exp(1.8)), abs=1e-4)


@given(seed=st.integers(0, 10_000), offset=st.floats(-0.5, 0.5), scale=st.floats(0.2, 3.0))
def test_offset_and_scale_of_a_models_cosines_do_not_matter(seed: int, offset: float, scale: float) -> None:
    others = background(seed)
    best = others.max(axis=1)
    moved = none_of_these(offset + scale * best, offset + scale * others)
    assert moved == pytest.approx(none_of_these(best, others), abs=1e-3)  # float32 cosines


def test_a_better_label_never_makes_none_of_these_more_probable() -> None:
    best = np.linspace(-1, 1, 50, dtype=np.float32)
    falling = none_of_these(best, np.repeat(background(pictures=1), 50, axis=0))
    assert (np.diff(falling) <= 0).all()
    assert np.isfinite(falling).all()


def test_equal_cosines_of_the_background_are_no_division_by_zero() -> None:
    level = np.full((2, 10), 0.25, np.float32)
    assert none_of_these(np.array([0.3, 0.2], np.float32), level).tolist() == [0.0, 1.0]


@pytest.mark.parametrize("shape", [(2, 0), (3, 5), (2,)])
def test_a_background_that_does_not_fit_is_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"background must be \(N, B\) cosines for 2 pictures"):
        none_of_these(np.zeros(2, np.float32), np.zeros(shape, np.float32))


def test_relevance_is_the_logistic_of_the_standard_score_above_the_centre() -> None:
    # Mean 0.2, spread 0.05, level 2: the centre is at 1.5 + 0.6 x 2 = 2.7 deviations, 0.335.
    cosines = np.array([0.335, 0.385, 0.285], np.float32)
    found = relevance(cosines, np.full(3, 0.2, np.float32), np.full(3, 0.05, np.float32), level=2.0)
    expected = [0.5, 1 / (1 + np.exp(-3.7)), 1 / (1 + np.exp(3.7))]
    assert found == pytest.approx(expected, abs=1e-4)
    assert (found[:2] >= MATCH_THRESHOLD - 1e-4).all()


def test_a_photo_near_to_every_text_has_less_relevance_at_the_same_cosine() -> None:
    mean = np.array([0.1, 0.3], np.float32)
    rare, hub = relevance(np.full(2, 0.35, np.float32), mean, np.full(2, 0.07, np.float32), level=2.0)
    assert rare > MATCH_THRESHOLD > hub


def test_the_higher_any_text_gets_in_a_library_the_less_a_score_says() -> None:
    cosine, mean, spread = (np.array([value], np.float32) for value in (0.4, 0.2, 0.06))
    few, many = (relevance(cosine, mean, spread, level)[0] for level in (1.0, 3.5))
    assert few > MATCH_THRESHOLD > many


@given(seed=st.integers(0, 10_000), offset=st.floats(-0.5, 0.5), scale=st.floats(0.2, 3.0))
def test_relevance_does_not_depend_on_a_models_offset_and_scale(seed: int, offset: float, scale: float) -> None:
    cosines = np.random.default_rng(seed).normal(0.3, 0.1, 4).astype(np.float32)

    def of(some: Cosines, others: Cosines) -> object:
        mean, spread = others.mean(axis=1), others.std(axis=1)
        level = best_level(standard(others, mean[:, None], spread[:, None]).max(axis=0))
        return relevance(some, mean, spread, level)

    others = background(seed)
    assert of(offset + scale * cosines, offset + scale * others) == pytest.approx(of(cosines, others), abs=2e-3)


def test_a_photo_that_is_the_same_to_all_texts_is_no_division_by_zero() -> None:
    same = np.full(2, 0.2, np.float32)
    assert relevance(np.array([0.3, 0.1], np.float32), same, np.zeros(2, np.float32), 2.0).tolist() == [1.0, 0.0]


def test_the_level_is_the_median_of_what_each_text_reaches() -> None:
    assert best_level(np.array([1.0, 9.0, 2.0], np.float32)) == 2.0
