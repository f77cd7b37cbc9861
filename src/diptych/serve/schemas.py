"""The JSON schema of what a request may hold, and how it is said in words."""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from pydantic import BaseModel, BeforeValidator

Schema = dict[str, Any]
_ONE: Final = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
    "object": "an object",
    "null": "null",
}
_MANY: Final = {
    "string": "texts",
    "integer": "whole numbers",
    "number": "numbers",
    "boolean": "trues and falses",
    "array": "lists",
    "object": "objects",
    "null": "nulls",
}


def _as_whole(value: object) -> object:
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE: Final = BeforeValidator(_as_whole)
"""Beside an int: JSON has one kind of number, in which 3.0 is whole, and pydantic's strict mode has two."""


@lru_cache(64)
def schema_of(model: type[BaseModel]) -> Schema:
    """The JSON schema of a model, with what it refers to written out in place: none of ours refers to itself."""
    schema = model.model_json_schema()
    definitions = schema.pop("$defs", {})

    def written_out(node: Any) -> Any:  # noqa: ANN401 (any JSON)
        if isinstance(node, list):
            return [written_out(each) for each in node]
        if not isinstance(node, dict):
            return node
        referred = definitions[node["$ref"].rpartition("/")[2]] if "$ref" in node else {}
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return {key: written_out(value) for key, value in {**referred, **rest}.items()}

    return written_out(schema)


def alternatives(schema: Schema) -> list[Schema]:
    """The schemas of which a value must fit one."""
    return [each for inner in schema["anyOf"] for each in alternatives(inner)] if "anyOf" in schema else [schema]


def in_words(schema: Schema, *, many: bool = False) -> str:
    """What a value must be: a text, a list of texts or objects with image ... Null goes without saying."""
    kinds = [each for each in alternatives(schema) if each.get("type") != "null"]
    return listed(list(dict.fromkeys(_said(each, many=many) for each in kinds)))


def listed(words: Sequence[str]) -> str:
    """a, b or c."""
    return " or ".join([", ".join(words[:-1]), words[-1]] if len(words) > 1 else words)


def _said(schema: Schema, *, many: bool) -> str:
    values = schema.get("enum", [schema["const"]] if "const" in schema else ())
    if values:
        return listed([repr(value) for value in values])
    kind = schema.get("type", "")
    word = (_MANY if many else _ONE).get(kind, "anything")
    if kind == "array" and "items" in schema:
        return f"{word} of {in_words(schema['items'], many=True)}"
    if kind == "object" and "properties" in schema:
        return f"{word} with {' and '.join(schema['required'])}" if "required" in schema else f"{word} of fields"
    return word
