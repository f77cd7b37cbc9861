"""docs/configuration.md has every key of a config with its default, and no other."""

import json
import re
import types
import typing
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from typing import Any, get_args, get_origin, get_type_hints

from diptych.model.config import CLIPConfig
from diptych.train.config import RunConfig

PAGE = Path(__file__).parents[2] / "docs" / "configuration.md"
ROW = re.compile(r"^\| `([\w.]+)` \| (.*?) \| .* ?\|$", re.MULTILINE)


def test_every_key_is_listed_with_its_default() -> None:
    assert dict(ROW.findall(PAGE.read_text())) == dict(keys(RunConfig))


def keys(cls: type[Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    hints = get_type_hints(cls)
    for field in fields(cls):
        name = prefix + field.name
        inner = next((part for part in parts(hints[field.name]) if is_dataclass(part)), None)
        if inner is None or inner is CLIPConfig or name == "evaluate.source":
            yield name, shown(field.default)
        else:
            yield from keys(typing.cast("type[Any]", inner), f"{name}.")


def parts(hint: Any) -> Iterator[Any]:  # noqa: ANN401 (a type)
    """A type, or those that a union, list or tuple is made of."""
    yield hint
    if get_origin(hint) in {typing.Union, types.UnionType, tuple, list}:
        for part in get_args(hint):
            yield from parts(part)


def shown(default: object) -> str:
    if default is MISSING:
        return "required"
    if default is None:
        return "none"
    if isinstance(default, float) and not round(default, 4).is_integer():
        return str(round(default, 4))
    return json.dumps(default)
