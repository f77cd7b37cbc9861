import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.testing import assert_array_equal

from diptych.encode.encoder import Features
from diptych.evaluate.metrics import (
    Ints,
    Proportion,
    best_wrong,
    confused_pairs,
    hits_at,
    mean_per_class,
    per_class,
    ranks_of,
    retrieval_ranks,
    wilson_interval,
)

SCORES = np.array([[0.3, 0.2, 0.1], [0.3, 0.2, 0.1], [0.3, 0.2, 0.1], [0.1, 0.5, 0.5]], dtype=np.float32)
LABELS = np.array([0, 1, 2, 1])


def unit_rows(seed: int, count: int, width: int) -> Features:
    rows = np.random.default_rng(seed).normal(size=(count, width)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


# ---- accuracy


def test_a_rank_counts_the_classes_above_the_true_one_and_those_level_with_it() -> None:
    assert_array_equal(ranks_of(SCORES, LABELS), [0, 1, 2, 1])


def test_what_rounding_alone_tells_apart_is_a_tie() -> None:
    above = np.nextafter(np.float32(0.3), np.float32(1))
    scores = np.array([[above, 0.3], [0.3001, 0.3]], dtype=np.float32)
    assert_array_equal(ranks_of(scores, np.array([0, 0])), [1, 0])


def test_a_model_that_says_the_same_of_every_class_is_right_about_none() -> None:
    ranks = ranks_of(np.zeros((4, 3), np.float32), np.array([0, 1, 2, 0]))
    assert hits_at(ranks, 1).hits == 0


def test_the_best_wrong_class_is_never_the_true_one() -> None:
    assert_array_equal(best_wrong(SCORES, LABELS), [1, 0, 0, 2])
    assert SCORES[0, 0] == np.float32(0.3)  # the scores are left as they were


def test_hits_within_k_by_hand() -> None:
    ranks = np.array([0, 4, 5, 1])
    assert [hits_at(ranks, k).hits for k in (1, 2, 5, 6)] == [1, 2, 3, 4]
    assert hits_at(ranks, 5).value == 0.75


def test_each_class_weighs_the_same_in_the_mean_per_class() -> None:
    labels = np.array([0, 0, 0, 0, 2])
    classes = per_class(np.array([0, 0, 0, 7, 3]), labels, 4)
    assert [(c.hits, c.total) if c else None for c in classes] == [(3, 4), None, (0, 1), None]
    assert mean_per_class(classes) == (0.75 + 0) / 2  # not 3/5


def test_confusions_are_counted_most_frequent_first() -> None:
    labels, predicted = np.array([0, 1, 1, 1, 2, 2]), np.array([0, 2, 2, 0, 2, 1])
    assert confused_pairs(labels, predicted, 10) == [(1, 2, 2), (1, 0, 1), (2, 1, 1)]
    assert confused_pairs(labels, predicted, 1) == [(1, 2, 2)]
    assert confused_pairs(labels, labels, 10) == []


@given(seed=st.integers(0, 10_000), count=st.integers(1, 30), classes=st.integers(2, 12))
def test_ranks_are_those_of_sorting(seed: int, count: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    # A permutation of steps of 0.01 in each row: no ties.
    scores = rng.permuted(np.tile(np.arange(classes) / 100, (count, 1)), axis=1).astype(np.float32)
    labels = rng.integers(0, classes, count)
    ranks = ranks_of(scores, labels)
    for row, label, rank in zip(scores, labels, ranks, strict=True):
        assert np.argsort(-row)[rank] == label
    assert hits_at(ranks, classes).value == 1
    assert hits_at(ranks, 1).hits == np.sum(scores.argmax(axis=1) == labels)


@given(seed=st.integers(0, 10_000), classes=st.integers(2, 8))
def test_accuracy_does_not_depend_on_the_order_of_classes_or_samples(seed: int, classes: int) -> None:
    rng = np.random.default_rng(seed)
    scores, labels = rng.normal(size=(20, classes)), rng.integers(0, classes, 20)
    names, rows = rng.permutation(classes), rng.permutation(20)
    moved = ranks_of(scores[rows][:, names], np.argsort(names)[labels[rows]])
    assert_array_equal(moved, ranks_of(scores, labels)[rows])


# ---- intervals


def test_wilson_intervals_are_the_published_ones() -> None:
    # 81 of 263 is the example of Newcombe (1998), table I: 0.2553 to 0.3662; 0 of 20 there is 0.0000 to 0.1611.
    low, high = Proportion(hits=81, total=263).interval
    assert (round(low, 4), round(high, 4)) == (0.2553, 0.3662)
    assert tuple(round(x, 4) for x in Proportion(hits=0, total=20).interval) == (0.0, 0.1611)
    assert tuple(round(x, 4) for x in Proportion(hits=20, total=20).interval) == (0.8389, 1.0)


@given(total=st.integers(1, 10_000), share=st.floats(0, 1))
def test_an_interval_holds_its_value_and_stays_within_0_and_1(total: int, share: float) -> None:
    proportion = Proportion(hits=round(share * total), total=total)
    low, high = proportion.interval
    assert 0 <= low <= proportion.value + 1e-12
    assert proportion.value - 1e-12 <= high <= 1
    assert high - low <= 2 * 1.96 / (2 * math.sqrt(total)) + 1e-9  # no wider than the simplest formula at its widest


def test_fewer_independent_trials_make_the_interval_wider() -> None:
    assert Proportion(hits=50, total=500, independent=100).interval == wilson_interval(0.1, 100)


@pytest.mark.parametrize(("hits", "total"), [(1, 0), (0, 0), (3, 2), (-1, 2)])
def test_what_is_no_proportion_is_refused(hits: int, total: int) -> None:
    with pytest.raises(ValueError, match=f"got {hits} of {total}"):
        Proportion(hits=hits, total=total)


# ---- retrieval


def plain_ranks(images: Features, texts: Features, image_of_text: Ints) -> tuple[list[int], list[int]]:
    """Both kinds of rank from the whole matrix, a query at a time."""
    cosines = texts @ images.T
    by_text = [
        int(np.sum(np.delete(row, own) >= row[own] - 1e-6)) for row, own in zip(cosines, image_of_text, strict=True)
    ]
    by_image = []
    for image in range(len(images)):
        is_own = image_of_text == image
        column = cosines[:, image]
        by_image.append(int(np.sum(column[~is_own] >= column[is_own].max() - 1e-6)))
    return by_text, by_image


def test_retrieval_by_hand() -> None:
    images = np.eye(3, dtype=np.float32)
    texts = np.array(
        [
            [0.9, 0.1, 0.0],  # of image 0, nearest to it
            [0.1, 0.8, 0.5],  # of image 0, to which it is the farthest
            [0.0, 0.2, 0.9],  # of image 1, second to image 2
            [0.3, 0.3, 0.3],  # of image 2, level with all
        ],
        dtype=np.float32,
    )
    ranks = retrieval_ranks(images, texts, np.array([0, 0, 1, 2]))
    assert_array_equal(ranks.text_to_image, [0, 2, 1, 2])
    # Image 0 finds its first text first; image 1 has 0.2 against 0.1, 0.8 and 0.3; image 2 has 0.3 against 0, 0.5, 0.9.
    assert_array_equal(ranks.image_to_text, [0, 2, 2])


@given(
    seed=st.integers(0, 10_000),
    captions=st.lists(st.integers(1, 6), min_size=1, max_size=12),
    width=st.integers(2, 8),
)
def test_retrieval_is_that_of_the_whole_matrix(seed: int, captions: list[int], width: int) -> None:
    order = np.random.default_rng(seed).permutation(sum(captions))
    image_of_text = np.repeat(np.arange(len(captions)), captions)[order]
    images, texts = unit_rows(seed, len(captions), width), unit_rows(seed + 1, len(order), width)
    ranks = retrieval_ranks(images, texts, image_of_text)
    by_text, by_image = plain_ranks(images, texts, image_of_text)
    assert ranks.text_to_image.tolist() == by_text
    assert ranks.image_to_text.tolist() == by_image


def test_tiles_meet_without_a_seam() -> None:
    images, texts = unit_rows(0, 1_500, 6), unit_rows(1, 4_500, 6)
    image_of_text = np.arange(4_500) % 1_500
    ranks = retrieval_ranks(images, texts, image_of_text)
    by_text, by_image = plain_ranks(images, texts, image_of_text)
    # Cosines summed in another order cross the border of a tie now and then.
    assert np.sum(ranks.text_to_image != by_text) <= 5
    assert np.sum(ranks.image_to_text != by_image) <= 5
    assert np.abs(ranks.text_to_image - by_text).max() <= 2


def test_images_that_are_the_same_cannot_be_told_apart() -> None:
    images = np.repeat(unit_rows(3, 1, 512), 2_000, axis=0)
    ranks = retrieval_ranks(images, images[:2_000], np.arange(2_000))
    assert_array_equal(ranks.text_to_image, np.full(2_000, 1_999))  # wherever in a tile they stand
    assert_array_equal(ranks.image_to_text, np.full(2_000, 1_999))


@pytest.mark.parametrize("image_of_text", [[0, 0], [0, 2], [-1, 1]])
def test_an_image_without_text_is_refused(image_of_text: list[int]) -> None:
    with pytest.raises(ValueError, match="Every image needs a text"):
        retrieval_ranks(unit_rows(0, 2, 4), unit_rows(1, 2, 4), np.array(image_of_text))
