"""The web page and its files."""

from pathlib import Path
from typing import Any, Final

from fastapi import APIRouter
from starlette.responses import FileResponse, Response
from starlette.routing import Mount
from starlette.staticfiles import StaticFiles

router = APIRouter(include_in_schema=False)
WEB: Final = Path(__file__).parents[1] / "web"
_FRESH: Final = {"Cache-Control": "no-cache"}  # asked for each time, and sent again only when it has changed


class _WebFiles(StaticFiles):
    def file_response(self, *arguments: Any, **named: Any) -> Response:  # noqa: ANN401 (Starlette's own)
        response = super().file_response(*arguments, **named)
        response.headers.update(_FRESH)
        return response


files: Final = Mount("/web", _WebFiles(directory=WEB), name="web")


@router.get("/")
async def page() -> FileResponse:
    """The page."""
    return FileResponse(WEB / "index.html", headers=_FRESH)
