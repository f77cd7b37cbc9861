"""Whether the server lives, whether it can work, and what it has counted."""

import asyncio
import io
import time
from functools import lru_cache
from typing import Any, Literal

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel, Field
from starlette.responses import Response

from diptych.serve import logs
from diptych.serve.problems import Problem
from diptych.serve.state import Shared

router = APIRouter(tags=["health"])
PATIENCE_SECONDS = 20.0


class Alive(BaseModel):
    """The process answers."""

    status: Literal["alive"]


class Ready(BaseModel):
    """The model works."""

    status: Literal["ready"]
    model: str
    ms: float = Field(description="How long it took for a picture and a text.")


@router.get("/healthz", response_model=Alive)
async def is_alive() -> dict[str, str]:
    """The process answers."""
    return {"status": "alive"}


@router.get("/readyz", response_model=Ready)
async def is_ready(server: Shared) -> dict[str, Any]:
    """The model has just encoded a picture and a text, neither from a cache."""
    if server.is_stopping:
        raise _not_ready("It was told to stop, and takes nothing new.")
    started = time.perf_counter()
    patience = asyncio.timeout(PATIENCE_SECONDS)
    try:
        async with patience:
            await server.engine.check(_grey_picture())
    except Exception as error:
        if patience.expired():
            raise _not_ready(f"The model did not answer within {PATIENCE_SECONDS:g} s.") from error
        logs.write("error", source="readyz", detail="The inference failed.", **logs.describe(error))
        raise _not_ready("The model failed at a picture and a text: the server's log says where.") from error
    return {"status": "ready", "model": server.model_id, "ms": round(1000 * (time.perf_counter() - started), 1)}


@router.get(
    "/metrics", response_class=Response, responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}}
)
async def metrics(server: Shared) -> Response:
    """Counters in Prometheus' text format."""
    for gate in (server.engine.image_gate, server.engine.text_gate):
        server.metrics.note_waiting(gate.kind, gate.inside)
    return Response(server.metrics.text(), media_type=CONTENT_TYPE_LATEST)


def _not_ready(detail: str) -> Problem:
    return Problem(503, "not-ready", "The server is not ready", detail)


@lru_cache(1)
def _grey_picture() -> bytes:
    from PIL import Image

    png = io.BytesIO()
    Image.new("RGB", (32, 32), (127, 127, 127)).save(png, "PNG")
    return png.getvalue()
