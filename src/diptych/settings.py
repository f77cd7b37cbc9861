"""Settings: plain data as JSON and TOML give it -> frozen dataclasses, checked key by key, and back again."""

import difflib
import types
import typing
from collections.abc import Iterable, Mapping
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def from_dict(cls: type[T], data: object, *, where: str) -> T:
    """Build the dataclass `cls`, and those nested in it, from plain data; `where` (a file name) begins each error.

    Fields may be of type bool, int, float (whole numbers are accepted), str, Path, Any, Literal, a dataclass, or a
    list, tuple, dict or union of these; "none" is None where no text may stand. Of a union of dataclasses, the one
    whose keys and Literal fields fit is built.
    Raises ValueError in one line with the dotted key: for a key unknown or missing, for a wrong type, and for whatever
    the dataclass itself refuses.
    """
    built = _build(cls, data, _Spot(where))
    assert isinstance(built, cls)
    return built


def to_dict(settings: object) -> dict[str, Any]:
    """The plain data (dicts, lists, strings, numbers, None) from which `from_dict` builds an equal dataclass."""
    if not is_dataclass(settings) or isinstance(settings, type):
        raise ValueError(f"to_dict takes a dataclass instance, got {settings!r}")
    return {field.name: _plain(getattr(settings, field.name)) for field in fields(settings) if field.init}


@dataclass(frozen=True)
class _Spot:
    """Where in the settings we are, for error messages."""

    where: str
    key: str = ""

    def at(self, name: object) -> "_Spot":
        return _Spot(self.where, f"{self.key}.{name}" if self.key else str(name))

    def error(self, problem: str) -> ValueError:
        return ValueError(f"{self.where}: {self.key} {problem}" if self.key else f"{self.where}: {problem}")


def _build(want: Any, value: object, spot: _Spot) -> Any:  # noqa: ANN401 (the type to build is data here)
    origin = get_origin(want)
    if want is Any:
        return value
    if is_dataclass(want):
        return _build_dataclass(typing.cast("type[Any]", want), value, spot)
    if origin in {Union, types.UnionType}:
        return _build_union(get_args(want), value, spot)
    if origin is Literal:
        # type as well as value: True == 1
        if any(value == choice and type(value) is type(choice) for choice in get_args(want)):
            return value
        raise _not_among(get_args(want), value, spot)
    if origin in {list, tuple}:
        return _build_sequence(origin, get_args(want), value, spot)
    if origin is dict:
        items = _expect(isinstance(value, Mapping), value, spot, "a table")
        return {
            _build(get_args(want)[0], key, spot): _build(get_args(want)[1], items[key], spot.at(key)) for key in items
        }
    return _build_scalar(want, value, spot)


def _build_dataclass(cls: type[Any], value: object, spot: _Spot) -> Any:  # noqa: ANN401
    data = _expect(isinstance(value, Mapping), value, spot, "a table of settings")
    known = {field.name: field for field in fields(cls) if field.init}
    top = _Spot(spot.where)
    for key in data:
        if key not in known:
            nearest = _nearest(spot.at(key).key, [spot.at(name).key for name in known]) or "."
            raise top.error(f"unknown key {spot.at(key).key!r}{nearest} Known keys: {', '.join(known)}.")
    missing = [name for name, field in known.items() if _is_required(field) and name not in data]
    if missing:
        raise top.error(f"missing {', '.join(repr(spot.at(name).key) for name in missing)}")
    hints = get_type_hints(cls)
    built = {key: _build(hints[key], data[key], spot.at(key)) for key in data}
    try:
        return cls(**built)
    except ValueError as error:  # the class's own check of its values
        raise spot.error(f"is not valid: {error}" if spot.key else str(error)) from error


def _build_union(members: tuple[Any, ...], value: object, spot: _Spot) -> Any:  # noqa: ANN401
    if type(None) in members and (value is None or (value == "none" and str not in members)):
        return None  # TOML has no null
    members = tuple(member for member in members if member is not type(None))
    if isinstance(value, Mapping) and (candidates := [member for member in members if is_dataclass(member)]):
        return _build(_best_fit(candidates, value, spot), value, spot)
    problems = []
    # An exact type first: for `float | int` and the value 3, int.
    for member in sorted(members, key=lambda member: member is not type(value)):
        try:
            return _build(member, value, spot)
        except ValueError as error:
            problems.append(error)
    if len(problems) == 1:
        raise problems[0]
    raise spot.error(f"must be {' or '.join(dict.fromkeys(map(_describe, members)))}, got {_short(value)}")


def _best_fit(candidates: list[Any], data: Mapping[Any, Any], spot: _Spot) -> Any:  # noqa: ANN401
    """The dataclass whose Literal fields agree with the data; of several, the one that knows most and lacks least."""
    for key, value in data.items():
        choices = [get_args(hint) for cls in candidates if get_origin(hint := get_type_hints(cls).get(key)) is Literal]
        if len(choices) == len(candidates):
            candidates = [cls for cls, own in zip(candidates, choices, strict=True) if value in own]
        if not candidates:
            raise _not_among(tuple(choice for own in choices for choice in own), value, spot.at(key))
    return max(candidates, key=lambda cls: _fit(cls, data))


def _fit(cls: Any, data: Mapping[Any, Any]) -> int:  # noqa: ANN401
    known = {field.name: field for field in fields(cls) if field.init}
    missing = sum(_is_required(field) and name not in data for name, field in known.items())
    return sum(key in known for key in data) - missing


def _build_sequence(origin: type[Any], members: tuple[Any, ...], value: object, spot: _Spot) -> Any:  # noqa: ANN401
    items = _expect(isinstance(value, list | tuple), value, spot, "a list")
    if origin is tuple and members[-1] is not Ellipsis:
        if len(items) != len(members):
            raise spot.error(f"must be a list of {len(members)}, got {len(items)}: {_short(value)}")
    else:
        members = (members[0],) * len(items)
    pairs = zip(members, items, strict=True)
    return origin(_build(member, item, spot.at(index)) for index, (member, item) in enumerate(pairs))


def _build_scalar(want: Any, value: object, spot: _Spot) -> Any:  # noqa: ANN401
    if want is float and type(value) is int:
        return float(value)
    if want is Path and isinstance(value, str):
        return Path(value)
    # `type is`, not isinstance: True is an int to isinstance.
    return _expect(type(value) is want or (want is Path and isinstance(value, Path)), value, spot, _describe(want))


def _expect(is_met: bool, value: Any, spot: _Spot, what: str) -> Any:  # noqa: ANN401
    if not is_met:
        raise spot.error(f"must be {what}, got {_short(value)}")
    return value


def _plain(value: Any) -> Any:  # noqa: ANN401
    if is_dataclass(value):
        return to_dict(value)
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value


def _not_among(choices: tuple[object, ...], value: object, spot: _Spot) -> ValueError:
    listed = " or ".join(filter(None, [", ".join(map(repr, choices[:-1])), repr(choices[-1])]))
    return spot.error(f"must be {listed}, got {_short(value)}{_nearest(value, choices)}")


def _short(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 80 else f"{text[:77]}..."


def _is_required(field: Field[Any]) -> bool:
    return field.default is MISSING and field.default_factory is MISSING


def _nearest(name: object, known: Iterable[object]) -> str:
    matches = difflib.get_close_matches(str(name), [str(other) for other in known], n=1)
    return f"; did you mean {matches[0]!r}?" if matches else ""


_NAMES: dict[object, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a number",
    str: "a string",
    Path: "a path (a string)",
    list: "a list",
    tuple: "a list",
    dict: "a table",
}


def _describe(want: Any) -> str:  # noqa: ANN401
    if get_origin(want) is Literal:
        return " or ".join(map(repr, get_args(want)))
    if is_dataclass(want):
        return "a table of settings"
    return _NAMES.get(get_origin(want) or want) or str(want)
