"""`GET /v1/models`, as OpenAI has it, and what else there is to know of the server."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path
from pydantic import BaseModel, Field

from diptych import __version__
from diptych.serve.state import Server, Shared

router = APIRouter(tags=["models"])


class Model(BaseModel):
    """OpenAI's description of a model, and what else there is to know of it."""

    id: str
    object: Literal["model"]
    created: int = Field(description="When the server loaded it, in seconds since 1970.")
    owned_by: str
    embed_dim: int = Field(description="Numbers of a vector.")
    image_size: list[int] = Field(description="Pixels that it sees of an image: height and width.")
    context_length: int = Field(description="Tokens that it reads of a text.")
    dtype: str
    fingerprint: str = Field(description="Of its weights: vectors of another fingerprint cannot be compared.")


class Models(BaseModel):
    """OpenAI's list."""

    object: Literal["list"]
    data: list[Model]


class ServerFacts(BaseModel):
    """What a server can do."""

    version: str
    model: Model
    has_library: bool = Field(description="Whether photos can be searched.")
    allows_url_fetch: bool = Field(description="Whether images are taken by address.")
    needs_login: bool
    limits: dict[str, int] = Field(description="The most of each thing in one request.")


@router.get("/v1/models", response_model=Models)
async def list_models(server: Shared) -> dict[str, Any]:
    """The one model that this server has."""
    return {"object": "list", "data": [_described(server)]}


@router.get("/v1/models/{model:path}", response_model=Model)
async def get_model(model: Annotated[str, Path(examples=["postcard"])], server: Shared) -> dict[str, Any]:
    """What is known of a model."""
    server.check_model(model)
    return _described(server)


@router.get("/v1/server", response_model=ServerFacts)
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
