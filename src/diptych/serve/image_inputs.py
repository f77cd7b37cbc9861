"""Images as requests bring them, to the bytes of files: data URIs, base64, addresses where these are allowed."""

import base64
import binascii
from collections.abc import Sequence

from diptych.encode.encoder import Features
from diptych.serve.problems import Problem, as_problem
from diptych.serve.state import Server


async def encode_inputs(values: Sequence[str | bytes], server: Server) -> list[Features | Problem]:
    """Of each image its (E,) unit vector, or what is wrong with it; bytes are those of an upload."""
    read = [value if isinstance(value, bytes) else _decode(value) for value in values]
    encoded = iter(await server.engine.encode_images([each for each in read if isinstance(each, bytes)]))
    rows = [next(encoded) if isinstance(each, bytes) else each for each in read]
    return [as_problem(row) if isinstance(row, Exception) else row for row in rows]


def _decode(value: str) -> bytes | Problem:
    if value.startswith("data:"):
        value = value.partition(",")[2]
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError) as error:
        return Problem(422, "image-unreadable", "The image cannot be read", f"Its base64 is broken ({error}).")
