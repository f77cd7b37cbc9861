"""The stream of draws: exact shares, every sample once before any twice, any place without those before it."""

from collections import Counter
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from diptych.data.config import DataConfig, SourceConfig
from diptych.data.keyed import permute
from diptych.data.loader import make_mixture
from diptych.data.mixture import Mixture, Part, shares
from diptych.data.sample import DataError
from drawn_pairs import Pairs

PARTS = (Part(source=0, size=50, weight=3), Part(source=1, size=7, weight=1), Part(source=2, size=400, weight=0.5))
PLACES = st.integers(0, 500)


def mixture(seed: int = 0, epoch_samples: int | None = 90) -> Mixture:
    return Mixture(PARTS, seed=seed, epoch_samples=epoch_samples)


def of_config(sources: list[Pairs], configs: list[SourceConfig], epoch_samples: int | None = None) -> Mixture:
    return make_mixture(sources, DataConfig(sources=tuple(configs), epoch_samples=epoch_samples), seed=0)


def test_each_epoch_holds_its_exact_share_of_every_source() -> None:
    stream = mixture(epoch_samples=90)
    for epoch in range(5):
        counts = Counter(draw.source for draw in stream.draws(90 * epoch, 90 * (epoch + 1)))
        assert counts == {0: 60, 1: 20, 2: 10}


def test_what_rounding_leaves_of_an_epoch_is_carried_to_the_next() -> None:
    stream = mixture(epoch_samples=10)
    counts = [Counter(draw.source for draw in stream.draws(10 * epoch, 10 * (epoch + 1))) for epoch in range(9)]
    assert all(6 <= found[0] <= 7 and 2 <= found[1] <= 3 and 1 <= found[2] <= 2 for found in counts)
    assert sum(counts, Counter()) == {0: 60, 1: 20, 2: 10}


@given(first=PLACES, middle=PLACES, end=PLACES)
@settings(max_examples=20, deadline=None)
def test_draws_do_not_depend_on_how_the_stream_is_cut(first: int, middle: int, end: int) -> None:
    first, middle, end = sorted((first, middle, end))
    whole = mixture().draws(first, end)
    assert mixture().draws(first, middle) + mixture().draws(middle, end) == whole
    used = mixture()
    used.draws(0, end)
    assert used.draws(first, end) == whole


@pytest.mark.parametrize("epoch_samples", [None, 90, 33])
def test_every_sample_comes_once_before_any_comes_again(epoch_samples: int | None) -> None:
    seen: dict[int, list[int]] = {0: [], 1: [], 2: []}
    for draw in mixture(epoch_samples=epoch_samples).draws(0, 2_000):
        part = PARTS[draw.source]
        assert draw.times_seen == len(seen[draw.source]) // part.size
        seen[draw.source].append(draw.index)
    for source, indices in seen.items():
        size = PARTS[source].size
        for first in range(0, len(indices) - size + 1, size):
            assert sorted(indices[first : first + size]) == list(range(size))


def test_each_pass_and_each_seed_has_an_order_of_its_own() -> None:
    stream = Mixture([Part(source=0, size=40, weight=1)], seed=1)
    other = Mixture([Part(source=0, size=40, weight=1)], seed=2)
    orders = [[draw.index for draw in each.draws(*span)] for each in (stream, other) for span in ((0, 40), (40, 80))]
    assert len({tuple(order) for order in orders}) == 4


def test_sources_are_mixed_all_through_an_epoch() -> None:
    draws = mixture(epoch_samples=900).draws(0, 900)
    for first in range(0, 900, 100):
        assert 50 <= sum(draw.source == 0 for draw in draws[first : first + 100]) <= 84  # 67 +- 3.6 sigma


def test_a_place_far_out_in_a_huge_stream_is_found_at_once() -> None:
    parts = [Part(source=0, size=2_000_000_000, weight=2e9), Part(source=1, size=30, weight=1e8)]
    draws = Mixture(parts, seed=0).draws(70_000_000_001, 70_000_000_101)
    assert {draw.times_seen for draw in draws if draw.source == 0} <= {33, 34}
    assert len({draw.index for draw in draws if draw.source == 0}) >= 80


def test_without_weights_an_epoch_is_every_sample_once() -> None:
    stream = of_config([Pairs("a", 5), Pairs("b", 8)], [SourceConfig(path="a"), SourceConfig(path="b")])
    draws = stream.draws(0, stream.epoch_samples)
    found = sorted((draw.source, draw.index) for draw in draws)
    assert found == [(0, i) for i in range(5)] + [(1, i) for i in range(8)]


def test_balanced_classes_come_equally_often() -> None:
    classes = (("cat",), ("cat",), ("cat",), ("dog", "animal"))
    stream = of_config([Pairs("a", 40, classes)], [SourceConfig(path="a", balance_classes=True)])
    counts = Counter(draw.index % 4 == 3 for draw in stream.draws(0, stream.epoch_samples))
    assert counts == {True: 20, False: 20}


def test_a_source_of_weight_0_is_never_drawn() -> None:
    configs = [SourceConfig(path="a", weight=0), SourceConfig(path="b", weight=1)]
    stream = of_config([Pairs("a", 5), Pairs("b", 8)], configs)
    assert {draw.source for draw in stream.draws(0, 100)} == {1}


def test_a_mixture_of_nothing_is_refused() -> None:
    with pytest.raises(DataError, match="All weights of the mixture are 0"):
        of_config([Pairs("a", 5)], [SourceConfig(path="a", weight=0)])


def test_balancing_what_has_no_classes_is_refused() -> None:
    with pytest.raises(DataError, match="a: 0000 has no class name, which balance_classes needs"):
        of_config([Pairs("a", 5)], [SourceConfig(path="a", balance_classes=True)])


@given(weights=st.lists(st.integers(1, 50), min_size=1, max_size=6), total=st.integers(0, 400))
@settings(max_examples=100, deadline=None)
def test_shares_add_up_never_fall_and_repeat_exactly(weights: list[int], total: int) -> None:
    counts, next_counts = shares(weights, total), shares(weights, total + 1)
    assert sum(counts) == total
    assert sorted(after - before for before, after in zip(counts, next_counts, strict=True)) == [0] * (
        len(weights) - 1
    ) + [1]
    assert shares(weights, total + sum(weights)) == [a + b for a, b in zip(counts, weights, strict=True)]


def test_shares_are_those_of_sainte_lague() -> None:
    assert shares([53, 24, 23], 7) == [3, 2, 2]  # quotients 53, 24, 23, 17.7, 10.6, 8, 7.7


@given(size=st.integers(1, 3_000), seed=st.integers(-(2**63), 2**63 - 1))
@settings(max_examples=50, deadline=None)
def test_an_order_holds_every_number_once(size: int, seed: int) -> None:
    assert sorted(permute(np.arange(size), size, seed).tolist()) == list(range(size))


def test_all_orders_are_equally_likely() -> None:
    seeds = np.repeat(np.arange(12_000), 4)
    orders = permute(np.tile(np.arange(4), 12_000), 4, seeds).reshape(-1, 4)
    counts = Counter(map(tuple, orders.tolist()))
    assert set(counts) == set(permutations(range(4)))
    assert all(abs(count - 500) < 5 * 500**0.5 for count in counts.values())


def test_neighbours_are_torn_apart() -> None:
    order = permute(np.arange(1_000), 1_000, 3)
    assert abs(np.corrcoef(order[:-1], order[1:])[0, 1]) < 0.12  # 4 sigma
