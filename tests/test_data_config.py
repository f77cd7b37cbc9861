"""What a [data] table may not say, each refused in one line with its key."""

from typing import Any

import pytest

from diptych.data.config import DataConfig
from diptych.settings import from_dict

ONE = {"path": "a.csv"}


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"sources": []}, r"sources must hold at least one source"),
        ({"sources": [{**ONE, "wieght": 1}]}, r"wieght.*weight"),
        ({"sources": [{**ONE, "weight": -1}]}, r"weight must be 0 or more, got -1"),
        ({"sources": [{**ONE, "weight": float("inf")}]}, r"weight must be 0 or more, got inf"),
        ({"sources": [{**ONE, "weight": 1}, ONE]}, r"give a weight to every source or to none: without one it is the"),
        ({"sources": [{**ONE, "templates": []}]}, r"templates must hold at least one prompt"),
        ({"sources": [{**ONE, "templates": ["a photo"]}]}, r"each of the templates needs {} where .*, got 'a photo'"),
        ({"sources": [ONE], "epoch_samples": 0}, r"epoch_samples must be 1 or more, got 0"),
        ({"sources": [ONE], "workers": -1}, r"workers must be from 0 to 256, got -1"),
        ({"sources": [ONE], "workers": 2000}, r"workers must be from 0 to 256, got 2000"),
        ({"sources": [ONE], "bad_sample_limit": 2}, r"bad_sample_limit must be from 0 to 1, got 2"),
        (
            {"sources": [ONE], "augment": {"min_scale": 0}},
            r"min_scale <= max_scale <= 1 must hold, got \(0.0, 1.0\)",
        ),
        ({"sources": [ONE], "augment": {"max_scale": 0.5}}, r"0 < min_scale <= max_scale <= 1 must hold"),
        ({"sources": [ONE], "augment": {"min_ratio": 2}}, r"0 < min_ratio <= max_ratio must hold, got \(2.0, 1.33"),
        ({"sources": [ONE], "augment": {"erase": 1.5}}, r"erase must be from 0 to 1, got 1.5"),
        ({"sources": [ONE], "augment": {"colour_jitter": float("nan")}}, r"colour_jitter must be from 0 to 1, got nan"),
    ],
)
def test_what_makes_no_sense_is_refused(table: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        from_dict(DataConfig, table, where="run.toml")


def test_a_source_may_be_switched_off_beside_others_without_weights() -> None:
    config = from_dict(DataConfig, {"sources": [{**ONE, "weight": 0}, {**ONE, "name": "b"}]}, where="run.toml")
    assert config.sources[0].weight == 0
