"""Images as requests bring them, to vectors: uploads, data URIs, base64, and addresses where these are allowed."""

import asyncio
import base64
import binascii
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Annotated, Final

from pydantic import BaseModel, Field

from diptych.encode.encoder import Features
from diptych.errors import ImageError
from diptych.serve.checks import check_count
from diptych.serve.problems import Problem
from diptych.serve.state import Server

GivenImages = Annotated[
    list[str],
    Field(description="Data URIs, base64, or http(s) addresses where the server allows these; uploads come after."),
]
RED_PIXEL: Final = "data:image/gif;base64,R0lGODdhAQABAIEAAP8AAAAAAAAAAAAAACwAAAAAAQABAAAIBAABBAQAOw=="
"""A picture for examples."""
_PIECE_CHARACTERS: Final = 1 << 18  # a multiple of four
_LARGE_CHARACTERS: Final = 1_000_000
_MEDIA_TYPE: Final = re.compile(r"image/[\w.+-]+(;[\w.+-]+=[\w.+-]*)*;base64", re.ASCII | re.IGNORECASE)


class ItemError(BaseModel):
    """Why there is nothing for an image: problem details (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


async def encode_inputs(
    values: Sequence[str | bytes], server: Server, places: Sequence[int] | None = None
) -> list[Features | Problem]:
    """Of each image its (E,) unit vector, or what is wrong with it; bytes are those of an upload.

    Problems call the images by `places`, by default their own in `values`, from 0.
    """
    async with read_inputs(values, server) as contents:
        encoded = iter(await server.engine.encode_images([each for each in contents if isinstance(each, bytes)]))
        rows = [next(encoded) if isinstance(each, bytes) else each for each in contents]
    names = range(len(values)) if places is None else places
    return [_named(row, place) for row, place in zip(rows, names, strict=True)]


async def encode_all(
    values: Sequence[str | bytes], server: Server, places: Sequence[int] | None = None
) -> list[Features]:
    """Of each image its (E,) unit vector, as `encode_inputs` has them; a Problem that names all that cannot be read."""
    if not values:
        return []
    names = range(len(values)) if places is None else places
    rows = await encode_inputs(values, server, names)
    items = [
        {"index": place, "detail": row.detail}
        for place, row in zip(names, rows, strict=True)
        if isinstance(row, Problem)
    ]
    if items:
        detail = f"{len(items)} of {len(rows)} images cannot be read: leave out those that items names."
        raise Problem(422, "image-unreadable", "An image cannot be read", detail, items=items)
    return [row for row in rows if not isinstance(row, Problem)]


def check_images(values: Sequence[str | bytes], server: Server) -> None:
    """A Problem for no images, or more than one request may bring."""
    if not values:
        detail = "There are no images: give images, or upload files named image."
        raise Problem(422, "no-images", "There are no images", detail)
    check_count("images", len(values), server.config.limits.images)


@asynccontextmanager
async def read_inputs(values: Sequence[str | bytes], server: Server) -> AsyncIterator[list[bytes | Problem]]:
    """The bytes of each image's file, or why it has none."""
    urls = [value for value in values if isinstance(value, str) and _is_address(value)]
    is_allowed = server.config.allow_url_fetch
    async with server.fetching.fetched(urls if is_allowed else ()) as fetched:
        following = iter(fetched if is_allowed else [_not_allowed() for _ in urls])
        yield [next(following) if _is_address(value) else await _content(value) for value in values]


def _is_address(value: str | bytes) -> bool:
    return isinstance(value, str) and value[:8].lower().startswith(("http://", "https://"))


async def _content(value: str | bytes) -> bytes | Problem:
    if isinstance(value, bytes):
        return value
    is_uri = value[:5].lower() == "data:"
    head, comma, text = value[5:].partition(",") if is_uri else ("", "", value)
    if is_uri and not (comma and _MEDIA_TYPE.fullmatch(head[:200])):
        return _unreadable("its data URI does not begin with data:image/TYPE;base64, such as data:image/png;base64,")
    try:
        return await asyncio.to_thread(_decode, text) if len(text) > _LARGE_CHARACTERS else _decode(text)
    except (binascii.Error, ValueError) as error:  # letters beyond ASCII are the latter
        kind = "its base64 is broken" if is_uri else "neither a data URI, nor base64, nor an http(s) address"
        return _unreadable(f"{kind} ({str(error)[:100]})")


def _decode(text: str) -> bytes:
    """Base64 to bytes, in pieces: a call into C keeps every thread waiting, the loop's too."""
    pieces = [text[start : start + _PIECE_CHARACTERS] for start in range(0, len(text), _PIECE_CHARACTERS)]
    if any(piece.endswith("=") for piece in pieces[:-1]):
        raise binascii.Error("Excess data after padding")
    return b"".join([base64.b64decode(piece, validate=True) for piece in pieces])


def _named(row: Features | ImageError | Problem, place: int) -> Features | Problem:
    if isinstance(row, ImageError):
        row = _unreadable(str(row).removeprefix("the given bytes: "))
    if isinstance(row, Problem):
        return Problem(row.status, row.slug, row.title, f"image {place}: {row.detail}")
    return row


def _unreadable(detail: str) -> Problem:
    return Problem(422, "image-unreadable", "The image cannot be read", detail)


def _not_allowed() -> Problem:
    return Problem(
        422,
        "addresses-not-fetched",
        "Addresses are not fetched",
        "this server fetches no addresses: send the picture itself, as a data URI, in base64 or as an upload.",
    )
