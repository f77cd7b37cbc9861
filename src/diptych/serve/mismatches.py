"""Where a request does not fit its schema, in the words of the API.

Pydantic is the judge of that; its errors name branches of unions and classes, and one wrong value of a list is an error
for each branch.
"""

import math
from collections.abc import Iterator
from difflib import get_close_matches
from itertools import islice
from typing import Any, Final, NamedTuple, TypeGuard

from diptych.serve.schemas import Schema, alternatives, in_words

_SHOWN_CHARACTERS: Final = 40
_NAME_CHARACTERS: Final = 100


class Mismatch(NamedTuple):
    """A field at fault, as a JSON pointer, and what is wrong with it."""

    field: str
    detail: str


def find_mismatches(value: object, schema: Schema, most: int) -> list[Mismatch]:
    """The first of what does not fit; values of any length are told by their kind alone."""
    return list(islice(_mismatches(value, schema, ""), most))


def _mismatches(value: object, schema: Schema, place: str) -> Iterator[Mismatch]:
    fitting = [each for each in alternatives(schema) if _is_of_kind(value, each)]
    if not fitting:
        yield Mismatch(place, f"{_called(place)} must be {in_words(schema)}, got {shown(value)}")
        return
    found = sorted((list(islice(_within(value, each, place), 20)) for each in fitting), key=len)
    if isinstance(value, dict) and len(found) > 1 and 0 < len(found[0]) == len(found[1]):  # none is nearer
        names = " and ".join(name[:_NAME_CHARACTERS] for name in islice(value, 3)) or "no fields"
        yield Mismatch(place, f"{_called(place)} must be {in_words(schema)}, got an object with {names}")
        return
    yield from found[0]


def _within(value: object, schema: Schema, place: str) -> Iterator[Mismatch]:
    """What is wrong with a value of the right kind."""
    if isinstance(value, dict):
        yield from _in_object(value, schema, place)
    elif isinstance(value, list):
        yield from _sized(len(value), schema, place, "Items", "items")
        for index, each in enumerate(value):
            yield from _mismatches(each, schema.get("items", {}), f"{place}/{index}")
    elif schema.get("type") == "string" and isinstance(value, str):
        yield from _sized(len(value), schema, place, "Length", "characters")
    elif schema.get("type") in ("integer", "number") and isinstance(value, (int, float)):
        yield from _in_range(value, schema, place)


def _in_object(value: dict[str, Any], schema: Schema, place: str) -> Iterator[Mismatch]:
    known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    for name, inner in value.items():
        if name not in known and others is False:
            yield Mismatch(_inside(place, name), _no_field(name, known, value, place))
        else:
            yield from _mismatches(inner, known.get(name, others), _inside(place, name))
    for name in schema.get("required", ()):
        if name not in value:
            field = _inside(place, name)
            yield Mismatch(field, f"{_called(field)} is needed: give {in_words(known[name])}")


def _no_field(name: str, known: dict[str, Schema], value: dict[str, Any], place: str) -> str:
    free = [each for each in known if each not in value]
    near = get_close_matches(name[:_NAME_CHARACTERS], free, 1)
    hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(known)}"
    return f"There is no field {_called(_inside(place, name))}: {hint}"


def _sized(size: int, schema: Schema, place: str, limit: str, things: str) -> Iterator[Mismatch]:
    least, most = schema.get(f"min{limit}", 0), schema.get(f"max{limit}", math.inf)
    if size < least:
        unit = things.removesuffix("s") if least == 1 else things
        yield Mismatch(place, f"{_called(place)} must have {least:,} {unit} at least, got {size:,}")
    if size > most:
        yield Mismatch(place, f"{_called(place)} must have {most:,} {things} at most, got {size:,}")


def _in_range(number: float, schema: Schema, place: str) -> Iterator[Mismatch]:
    if schema["type"] == "number" and not _is_finite(number):
        yield Mismatch(place, f"{_called(place)} must be a finite number, got {shown(number)}")
        return
    bounds = [
        (number >= schema.get("minimum", -math.inf), "at least", "minimum"),
        (number > schema.get("exclusiveMinimum", -math.inf), "above", "exclusiveMinimum"),
        (number <= schema.get("maximum", math.inf), "at most", "maximum"),
    ]
    for holds, words, name in bounds:
        if not holds and name in schema:
            yield Mismatch(place, f"{_called(place)} must be {words} {schema[name]:,}, got {shown(number)}")
            return


def _is_of_kind(value: object, schema: Schema) -> bool:
    """Whether the value is of that type of JSON."""
    if "enum" in schema or "const" in schema:
        return value in schema.get("enum", (schema.get("const"),))
    match schema.get("type"):
        case "string":
            return isinstance(value, str)
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case "boolean":
            return isinstance(value, bool)
        case "null":
            return value is None
        case "integer":
            return _is_number(value) and (isinstance(value, int) or value.is_integer())
        case "number":
            return _is_number(value)
    return True


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:  # JSON's whole numbers may be larger than any float
        return False


def shown(value: object) -> str:
    """A value, if it is short; else of which kind it is."""
    match value:
        case None | bool():
            return {None: "null", True: "true", False: "false"}[value]
        case str():
            return repr(value) if len(value) <= _SHOWN_CHARACTERS else f"a text of {len(value):,} characters"
        case int() | float():
            return "a larger number" if abs(value) >= 1e15 else str(value)
        case list():
            return f"a list of {len(value):,}" if value else "an empty list"
    return "an object"


def _inside(place: str, name: str) -> str:
    return f"{place}/{name[:_NAME_CHARACTERS]}"


def _called(place: str) -> str:
    return place.removeprefix("/") or "The body"
