"""Forms, multipart/form-data, to their fields as JSON would have them and the files beside these."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping
from typing import Any, Final

from fastapi import Request
from pydantic import TypeAdapter, ValidationError
from pydantic_core import from_json
from python_multipart.multipart import parse_options_header
from starlette.datastructures import FormData, UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser

from diptych.serve.faults import fault
from diptych.serve.guards.body import find_excess
from diptych.serve.problems import Problem
from diptych.serve.schemas import Schema, alternatives
from diptych.serve.state import server_of

FILES: Final = "image"
"""What file parts are called."""
_FROM_TEXT: Final[dict[str, TypeAdapter[Any]]] = {
    "integer": TypeAdapter(int),
    "number": TypeAdapter(float),
    "boolean": TypeAdapter(bool),
}
_NESTED: Final = ("{", "[")  # how JSON begins that a field of a form may hold
_MOST_FIELDS: Final = 2_000
_SLICE_BYTES: Final = 1 << 16  # parsed at once: a hostile body keeps the loop for so long and no longer


class _InMemory(MultiPartParser):
    """Starlette's parser; it writes nothing to disk, and tells a form that ends from one that breaks off."""

    spool_max_size = 0  # never: the body is in memory already, and within its limit
    is_whole = False

    def on_end(self) -> None:
        """The last boundary was read."""
        self.is_whole = True


async def read_form(request: Request) -> tuple[dict[str, list[str]], list[bytes]]:
    """The texts of a form by name, and the files that were uploaded as `image`. A Problem for what is no form (422)."""
    limits = (await server_of(request)).config.limits
    _check_charset(request)
    body = await request.body()
    parser = _InMemory(
        request.headers,
        _slices(body),
        max_files=limits.images,
        max_fields=_MOST_FIELDS,
        max_part_size=len(body),
    )
    try:
        form = await parser.parse()
    except MultiPartException as error:
        raise _malformed(error.message) from error
    if not parser.is_whole:
        raise _malformed("It breaks off before its last boundary.")
    fields, uploads = await _taken_apart(form)
    nested = ",".join(text for texts in fields.values() for text in texts if text.lstrip()[:1] in _NESTED)
    if (excess := await find_excess(nested.encode(), limits.json_values)) is not None:
        raise excess
    return fields, uploads


def values_of(fields: Mapping[str, list[str]], schema: Schema, at_commas: Collection[str]) -> dict[str, Any]:
    """The fields of a form as the JSON would have them. A Problem for what cannot be read so (422)."""
    described = schema["properties"]
    return {
        name: _value(name, texts, described.get(name, {}), is_split=name in at_commas) for name, texts in fields.items()
    }


def _check_charset(request: Request) -> None:
    """A Problem for any but UTF-8: Python's own charsets may take hours for what they are given, or give no Unicode."""
    _, options = parse_options_header(request.headers["content-type"])
    charset = options.get(b"charset", b"utf-8").decode("latin-1").lower()
    if charset not in ("utf-8", "utf8"):
        raise _malformed(f"Its charset is {charset[:40]!r}: send UTF-8.")


async def _taken_apart(form: FormData) -> tuple[dict[str, list[str]], list[bytes]]:
    fields: dict[str, list[str]] = {}
    uploads: list[bytes] = []
    for name, part in form.multi_items():
        if isinstance(part, str):
            fields.setdefault(name, []).append(part)
        elif name == FILES:
            uploads.append(await _content(part))
        else:
            raise _malformed(f"A file is named {name[:40]!r}: name the parts of files {FILES!r}.")
    return fields, uploads


async def _content(upload: UploadFile) -> bytes:
    try:
        return await upload.read()
    finally:
        await upload.close()


async def _slices(body: bytes) -> AsyncGenerator[bytes, None]:
    for start in range(0, len(body), _SLICE_BYTES):
        yield body[start : start + _SLICE_BYTES]
        await asyncio.sleep(0)


def _value(name: str, texts: list[str], schema: Schema, *, is_split: bool) -> Any:  # noqa: ANN401 (any JSON)
    kinds = _by_kind(schema)
    if len(texts) == 1:
        kind = {"{": "object", "[": "array"}.get(texts[0].lstrip()[:1])
        if kind in kinds and kind is not None:
            return _nested(name, texts[0])
        if is_split and "," in texts[0]:
            return [part.strip() for part in texts[0].split(",", _MOST_FIELDS)]
    if "array" in kinds and (len(texts) > 1 or "string" not in kinds):
        has_objects = "object" in _by_kind(kinds["array"].get("items", {}))
        return [_nested(name, text) if has_objects and text.startswith("{") else text for text in texts]
    if len(texts) > 1:
        raise fault(name, "is given more than once")
    return _plain(texts[0], kinds)


def _plain(text: str, kinds: Collection[str | None]) -> Any:  # noqa: ANN401 (any JSON)
    """A number, true or false where the field takes these; the text itself where it is none."""
    for kind in _FROM_TEXT.keys() & kinds:
        try:
            return _FROM_TEXT[kind].validate_python(text)
        except ValidationError:
            pass
    return text


def _by_kind(schema: Schema) -> dict[str | None, Schema]:
    """What a value may be, by JSON's type."""
    return {each.get("type"): each for each in alternatives(schema)}


def _nested(name: str, text: str) -> Any:  # noqa: ANN401 (any JSON)
    try:
        return from_json(text, allow_inf_nan=False)
    except ValueError as error:
        raise fault(name, f"is no valid JSON: {error}") from None


def _malformed(message: str) -> Problem:
    return Problem(422, "malformed-form", "The form cannot be read", message)
