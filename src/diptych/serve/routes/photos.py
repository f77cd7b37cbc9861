"""`/v1/photos/{id}`: what is known of a photo, a small picture of it, and its file."""

import hashlib
from collections.abc import Sequence
from enum import IntEnum
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request
from fastapi import Path as InPath
from pydantic import Field
from starlette.responses import FileResponse, Response
from starlette.types import Message, Receive, Scope, Send

from diptych.library.library import PhotoLibrary
from diptych.library.photo_details import PhotoDetails
from diptych.serve.hits import PhotoFacts
from diptych.serve.photo_answers import ORIGINAL, ORIGINAL_PARAMETERS, THUMBNAIL, THUMBNAIL_PARAMETERS
from diptych.serve.photo_files import PhotoFile, open_photo
from diptych.serve.photo_thumbnails import make_thumbnail
from diptych.serve.problems import Problem
from diptych.serve.root_names import RootNames, as_text
from diptych.serve.state import Server, Shared

router = APIRouter(prefix="/v1/photos", tags=["photos"])
Id = Annotated[int, InPath(ge=1, le=2**63 - 1, description="The photo's number.", examples=[17])]

# A photo keeps its number when its file changes: what is kept is shown at once and asked for again soon.
_CACHED: Final = "private, max-age=300, stale-while-revalidate=604800"
_SAME_MOMENT: Final = 0.001  # seconds
# Those that browsers show and that can run nothing; all others are for saving.
_TYPES: Final = {
    **{"JPEG": "image/jpeg", "MPO": "image/jpeg", "PNG": "image/png", "WEBP": "image/webp", "GIF": "image/gif"},
    **{"AVIF": "image/avif", "HEIF": "image/heif", "TIFF": "image/tiff", "BMP": "image/bmp"},
    **{"MP4": "video/mp4", "M4V": "video/mp4", "MOV": "video/quicktime", "WEBM": "video/webm"},
}


class Side(IntEnum):
    """Pixels of the longer side."""

    GRID = 256
    LARGE_GRID = 512
    SCREEN = 1_024
    LARGE_SCREEN = 2_048


class Photo(PhotoFacts):
    """All that is known of a photo."""

    camera: str | None
    format: str = Field(description="As Pillow names it: JPEG, HEIF ...", examples=["JPEG"])
    seconds: float | None = Field(description="How long a video is.")
    moments: list[float] = Field(description="The seconds of a video that were looked at.")
    size: int = Field(description="Bytes of the file.")
    latitude: float | None
    longitude: float | None


@router.get("/{id}")
async def get_photo(id: Id, server: Shared) -> Photo:
    """What is known of a photo."""
    photo, names = await _found(id, server)
    root, name = names.place(photo.source)
    same = ("id", "width", "height", "taken_at", "text", "fields", "camera", "format", "seconds", "size")
    facts: dict[str, Any] = {fact: getattr(photo, fact) for fact in (*same, "latitude", "longitude")}
    return Photo(name=name, root=root, moments=list(photo.moments), **facts)


@router.get("/{id}/thumbnail", response_class=Response, responses=THUMBNAIL, openapi_extra=THUMBNAIL_PARAMETERS)
async def get_thumbnail(
    request: Request,
    id: Id,
    server: Shared,
    side: Side = Side.GRID,
    second: Annotated[float | None, Query(allow_inf_nan=False, description="Of a video, one of its moments.")] = None,
) -> Response:
    """A small picture: upright, sRGB, without metadata. Of a video its frame at `second`, else its first."""
    photo, names = await _found(id, server)
    moment = None if second is None else _moment(second, photo.moments)
    jpeg = await make_thumbnail(server, photo, names, side=side, second=moment)
    headers = {"ETag": f'"{hashlib.sha256(jpeg).hexdigest()[:32]}"', "Cache-Control": _CACHED}
    if _has(request, headers["ETag"]):
        return Response(status_code=304, headers=headers)
    return Response(jpeg, headers=headers, media_type="image/jpeg")


@router.get("/{id}/original", response_class=Response, responses=ORIGINAL, openapi_extra=ORIGINAL_PARAMETERS)
async def get_original(request: Request, id: Id, server: Shared) -> Response:
    """The file itself, or the part of it that the header Range names."""
    photo, names = await _found(id, server)
    if not photo.source.is_file:
        detail = "This photo's picture is not in a file of its own: only small pictures of it can be had (thumbnail)."
        raise Problem(404, "no-original", "There is no file", detail)
    open_it = partial(open_photo, photo.source.path, names.folders_of(photo))
    return _Original(await server.need_library().run_beside(open_it), photo)


class _Original(FileResponse):
    """A file that was opened already, so that nothing else can be put in its place."""

    def __init__(self, file: PhotoFile, photo: PhotoDetails) -> None:
        self._file = file
        is_shown = photo.format in _TYPES
        super().__init__(
            file.path,
            stat_result=file.status,
            media_type=_TYPES.get(photo.format, "application/octet-stream"),
            filename=as_text(Path(photo.source).name),
            content_disposition_type="inline" if is_shown else "attachment",
            headers={"Cache-Control": _CACHED, "Content-Security-Policy": "sandbox; default-src 'none'"},
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, unless whoever asks has it."""
        try:
            if _has(Request(scope), self.headers["etag"]):
                kept = {name: self.headers[name] for name in ("etag", "cache-control")}
                await Response(status_code=304, headers=kept)(scope, receive, send)
            else:
                await self._send_part(scope, receive, send)
        finally:
            self._file.file.close()

    async def _send_part(self, scope: Scope, receive: Receive, send: Send) -> None:
        """What the header Range names, or all where it names nothing that can be understood (RFC 9110, 14.2)."""
        refused: int | None = None

        async def send_unless_refused(message: Message) -> None:
            nonlocal refused
            if message["type"] == "http.response.start" and message["status"] in (400, 416):
                refused = message["status"]
            if refused is None:
                await send(message)

        await super().__call__(scope, receive, send_unless_refused)
        if refused == 416:
            size = self._file.status.st_size
            detail = f"The file has {size:,} bytes, and Range asks for others: ask for some of these."
            there = {"Content-Range": f"bytes */{size}"}
            await Problem(416, "no-such-range", "No such range", detail, headers=there).response()(scope, receive, send)
        elif refused:
            headers = [(name, value) for name, value in scope["headers"] if name != b"range"]
            await super().__call__({**scope, "headers": headers}, receive, send)


async def _found(id: int, server: Server) -> tuple[PhotoDetails, RootNames]:
    def look_up(library: PhotoLibrary) -> tuple[PhotoDetails, RootNames]:
        return library.photo(id), RootNames(server.config.roots, library.roots())

    return await server.need_library().run(look_up)


def _moment(second: float, moments: Sequence[float]) -> float:
    """The moment of a video that was looked at. A Problem for any other: each would be made and kept."""
    nearest = min(moments, key=lambda moment: abs(moment - second), default=None)
    if nearest is None or abs(nearest - second) > _SAME_MOMENT:
        detail = "No frame of this second was looked at: /v1/photos/ID lists the moments of a video."
        raise Problem(404, "no-such-moment", "No such moment", detail)
    return nearest


def _has(request: Request, etag: str) -> bool:
    """Whether a browser has what it asks for already."""
    return etag in [each.strip().removeprefix("W/") for each in request.headers.get("if-none-match", "").split(",")]
