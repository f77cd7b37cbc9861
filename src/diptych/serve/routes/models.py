"""`GET /v1/models`, as OpenAI has it, and what else there is to know of the server."""

from typing import Any

from fastapi import APIRouter

from diptych import __version__
from diptych.serve.state import Server, Shared

router = APIRouter(tags=["models"])


@router.get("/v1/models")
async def list_models(server: Shared) -> dict[str, Any]:
    """The one model that this server has."""
    return {"object": "list", "data": [_described(server)]}


@router.get("/v1/models/{model:path}")
async def get_model(model: str, server: Shared) -> dict[str, Any]:
    """What is known of a model."""
    server.check_model(model)
    return _described(server)


@router.get("/v1/server")
async def describe_server(server: Shared) -> dict[str, Any]:
    """What this server can do, and how much it takes."""
    limits = server.config.limits
    names = ("body_bytes", "images", "texts", "labels", "text_characters", "pixels")
    return {
        "version": __version__,
        "model": _described(server),
        "has_library": server.has_library,
        "allows_url_fetch": server.config.allow_url_fetch,
        "needs_login": bool(server.config.api_keys),
        "limits": {name: getattr(limits, name) for name in names},
    }


def _described(server: Server) -> dict[str, Any]:
    encoder = server.engine.encoder
    return {
        "id": server.model_id,
        "object": "model",
        "created": int(server.started),
        "owned_by": "diptych",
        "embed_dim": encoder.embed_dim,
        "image_size": list(encoder.preprocess.size),
        "context_length": encoder.config.text.context_length,
        "dtype": encoder.dtype,
        "fingerprint": encoder.fingerprint,
    }
