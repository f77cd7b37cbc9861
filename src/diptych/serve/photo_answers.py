"""What OpenAPI says of a photo's small picture and of its file: types, parts, and what a browser has already."""

from typing import Any, Final

_BYTES: Final = {"schema": {"type": "string", "format": "binary"}}
_FILE: Final = dict.fromkeys(("image/*", "video/*", "application/octet-stream"), _BYTES)


def _header(name: str, description: str, *examples: str) -> dict[str, Any]:
    schema = {"type": "string", "examples": list(examples)}
    return {"name": name, "in": "header", "description": description, "schema": schema}


def _headers(**described: str) -> dict[str, Any]:
    return {
        name.replace("_", "-"): {"description": text, "schema": {"type": "string"}} for name, text in described.items()
    }


_KEPT: Final = _headers(ETag="Its version, for If-None-Match.", Cache_Control="How long it may be kept, and by whom.")
_UNCHANGED: Final = {"description": "It is what If-None-Match names", "headers": _KEPT}
_IF_NONE_MATCH: Final = _header("If-None-Match", "The ETag of what is there already.", '"5c1f"')

THUMBNAIL_PARAMETERS: Final = {"parameters": [_IF_NONE_MATCH]}
THUMBNAIL: Final[dict[int | str, dict[str, Any]]] = {
    200: {"description": "The picture", "headers": _KEPT, "content": {"image/jpeg": _BYTES}},
    304: _UNCHANGED,
}
ORIGINAL_PARAMETERS: Final = {
    "parameters": [
        _IF_NONE_MATCH,
        _header("Range", "The parts that are asked for.", "bytes=0-999", "bytes=-500"),
        _header(
            "If-Range", "The ETag, or the date, of the file that the parts are of; of another all is sent.", '"5c1f"'
        ),
    ]
}
ORIGINAL: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "The file",
        "headers": {**_KEPT, **_headers(Accept_Ranges="Bytes.", Content_Disposition="Shown or saved, and its name.")},
        "content": _FILE,
    },
    206: {
        "description": "The parts that Range names: one by itself, several as a multipart",
        "headers": _KEPT,
        "content": {**_FILE, "multipart/byteranges": _BYTES},
    },
    304: _UNCHANGED,
    416: {
        "description": "The file has no such bytes",
        "headers": _headers(Content_Range="How many it has."),
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    },
}
