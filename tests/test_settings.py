import json
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from diptych.settings import from_dict, to_dict


@dataclass(frozen=True, kw_only=True)
class ViT:
    image_size: tuple[int, int]
    patch_size: int
    mlp_ratio: float = 4.0


@dataclass(frozen=True, kw_only=True)
class ResNet:
    image_size: tuple[int, int]
    layers: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Adam:
    kind: Literal["adam"] = "adam"
    lr: float = 1e-3


@dataclass(frozen=True, kw_only=True)
class Sgd:
    kind: Literal["sgd"] = "sgd"
    lr: float = 0.1


@dataclass(frozen=True, kw_only=True)
class Run:
    vision: ViT | ResNet
    name: str = "run"
    activation: Literal["gelu", "quick_gelu"] = "gelu"
    warm_up_steps: int = 2000
    is_frozen: bool = False
    end_token: int | None = None
    precision: Literal["auto"] | float = "auto"
    optimiser: Adam | Sgd = field(default_factory=Adam)
    shards: list[Path] = field(default_factory=list)
    extra: dict[str, float] = field(default_factory=dict)
    anything: Any = None
    derived: int = field(init=False, default=7)

    def __post_init__(self) -> None:
        if self.warm_up_steps < 0:
            raise ValueError(f"warm_up_steps must not be negative, got {self.warm_up_steps}")


VIT = {"image_size": [224, 224], "patch_size": 32}


def test_nested_toml_becomes_dataclasses() -> None:
    text = """
    name = "first"
    activation = "quick_gelu"
    shards = ["a.tar", "b.tar"]
    precision = 32
    extra = { decay = 1, beta = 0.98 }
    anything = [1, "two"]
    [vision]
    image_size = [224, 288]
    layers = [3, 4, 6, 3]
    [optimiser]
    kind = "sgd"
    """
    run = from_dict(Run, tomllib.loads(text), where="run.toml")
    assert run == Run(
        vision=ResNet(image_size=(224, 288), layers=(3, 4, 6, 3)),
        name="first",
        activation="quick_gelu",
        precision=32.0,
        optimiser=Sgd(),
        shards=[Path("a.tar"), Path("b.tar")],
        extra={"decay": 1.0, "beta": 0.98},
        anything=[1, "two"],
    )
    assert type(run.precision) is float
    assert type(run.extra["decay"]) is float


def test_a_union_of_dataclasses_goes_by_keys_then_by_literal_fields() -> None:
    assert isinstance(from_dict(Run, {"vision": VIT}, where="x").vision, ViT)
    chosen = from_dict(Run, {"vision": VIT, "optimiser": {"kind": "sgd", "lr": 1}}, where="x").optimiser
    assert chosen == Sgd(lr=1.0)
    assert from_dict(Run, {"vision": VIT, "optimiser": {"lr": 1}}, where="x").optimiser == Adam(lr=1.0)


@given(
    run=st.builds(
        Run,
        vision=st.one_of(
            st.builds(ViT, image_size=st.tuples(st.integers(), st.integers()), patch_size=st.integers()),
            st.builds(ResNet, image_size=st.tuples(st.integers(), st.integers()), layers=st.tuples(st.integers())),
        ),
        name=st.text(),
        warm_up_steps=st.integers(0),
        end_token=st.none() | st.integers(),
        precision=st.just("auto") | st.floats(allow_nan=False),
        optimiser=st.builds(Adam, lr=st.floats(allow_nan=False)) | st.builds(Sgd),
        shards=st.lists(st.just(Path("a") / "b")),
        extra=st.dictionaries(st.text(), st.floats(allow_nan=False)),
    )
)
def test_settings_survive_the_way_to_json_and_back(run: Run) -> None:
    plain = json.loads(json.dumps(to_dict(run)))
    assert "derived" not in plain
    assert from_dict(Run, plain, where="x") == run


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ([], "run.toml: must be a table of settings, got []"),
        ({}, "run.toml: missing 'vision'"),
        ({"vision": {"patch_size": 32}}, "run.toml: missing 'vision.image_size'"),
        ({"vision": VIT, "nam": "x"}, "run.toml: unknown key 'nam'; did you mean 'name'? Known keys: vision, name, "),
        ({"vision": VIT, "derived": 1}, "run.toml: unknown key 'derived'. Known keys: vision, name, "),
        (
            {"vision": VIT | {"patchsize": 3}},
            "run.toml: unknown key 'vision.patchsize'; did you mean 'vision.patch_size'? "
            "Known keys: image_size, patch_size, mlp_ratio.",
        ),
        ({"vision": VIT | {"patch_size": "32"}}, "run.toml: vision.patch_size must be a whole number, got '32'"),
        ({"vision": VIT | {"patch_size": 32.0}}, "run.toml: vision.patch_size must be a whole number, got 32.0"),
        ({"vision": VIT | {"patch_size": True}}, "run.toml: vision.patch_size must be a whole number, got True"),
        ({"vision": VIT | {"mlp_ratio": "4"}}, "run.toml: vision.mlp_ratio must be a number, got '4'"),
        ({"vision": VIT | {"image_size": 224}}, "run.toml: vision.image_size must be a list, got 224"),
        ({"vision": VIT | {"image_size": [1]}}, "run.toml: vision.image_size must be a list of 2, got 1: [1]"),
        ({"vision": VIT | {"image_size": [1, "2"]}}, "run.toml: vision.image_size.1 must be a whole number, got '2'"),
        ({"vision": None}, "run.toml: vision must be a table of settings, got None"),
        ({"vision": VIT, "name": 3}, "run.toml: name must be a string, got 3"),
        ({"vision": VIT, "is_frozen": 1}, "run.toml: is_frozen must be true or false, got 1"),
        ({"vision": VIT, "end_token": "x"}, "run.toml: end_token must be a whole number, got 'x'"),
        ({"vision": VIT, "precision": "fp32"}, "run.toml: precision must be 'auto' or a number, got 'fp32'"),
        (
            {"vision": VIT, "activation": "quickgelu"},
            "run.toml: activation must be 'gelu' or 'quick_gelu', got 'quickgelu'; did you mean 'quick_gelu'?",
        ),
        ({"vision": VIT, "shards": "a.tar"}, "run.toml: shards must be a list, got 'a.tar'"),
        ({"vision": VIT, "name": list(range(99))}, "run.toml: name must be a string, got [0, 1, 2, "),
        ({"vision": VIT, "shards": [3]}, "run.toml: shards.0 must be a path (a string), got 3"),
        ({"vision": VIT, "extra": [1]}, "run.toml: extra must be a table, got [1]"),
        ({"vision": VIT, "extra": {"decay": "x"}}, "run.toml: extra.decay must be a number, got 'x'"),
        (
            {"vision": VIT, "optimiser": {"kind": "lion"}},
            "run.toml: optimiser.kind must be 'adam' or 'sgd', got 'lion'",
        ),
        ({"vision": VIT, "warm_up_steps": -1}, "run.toml: warm_up_steps must not be negative, got -1"),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line_with_its_key(data: object, message: str) -> None:
    with pytest.raises(ValueError) as caught:
        from_dict(Run, data, where="run.toml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)
    assert len(str(caught.value)) < 300


def test_a_check_of_a_nested_class_is_told_with_its_key() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Part:
        size: int

        def __post_init__(self) -> None:
            if self.size < 1:
                raise ValueError(f"size must be at least 1, got {self.size}")

    @dataclass(frozen=True, kw_only=True)
    class Whole:
        part: Part

    with pytest.raises(ValueError, match=r"^c.json: part is not valid: size must be at least 1, got 0$"):
        from_dict(Whole, {"part": {"size": 0}}, where="c.json")


def test_only_dataclass_instances_become_plain() -> None:
    with pytest.raises(ValueError, match="takes a dataclass instance"):
        to_dict({"a": 1})
    with pytest.raises(ValueError, match="takes a dataclass instance"):
        to_dict(ViT)


def test_none_can_be_written_where_no_text_may_stand() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Save:
        every_steps: int | None = 1_000
        name: str | None = None

    assert from_dict(Save, {"every_steps": "none", "name": "none"}, where="f") == Save(every_steps=None, name="none")
    with pytest.raises(ValueError, match="every_steps must be a whole number, got 'nothing'"):
        from_dict(Save, {"every_steps": "nothing"}, where="f")
