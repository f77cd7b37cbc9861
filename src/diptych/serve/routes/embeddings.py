"""`POST /v1/embeddings`, as OpenAI has it; images too."""

import base64
import re
from typing import Annotated, Final, Literal

import orjson
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, field_validator
from starlette.responses import Response

from diptych.encode.encoder import Features
from diptych.serve.bodies import json_body, read_json
from diptych.serve.checks import check_count, check_texts
from diptych.serve.faults import fault
from diptych.serve.image_inputs import encode_all
from diptych.serve.problems import Problem, invalid
from diptych.serve.schemas import WHOLE
from diptych.serve.state import Server, Shared

router = APIRouter(tags=["embeddings"])
# Those of other types are meant as images too, and refused: as texts they would have vectors that say nothing.
_DATA_URI: Final = re.compile(r"data:(image/|[^,\s]{0,200};base64,)", re.ASCII | re.IGNORECASE)


class ImageItem(BaseModel):
    """A picture to embed."""

    model_config = ConfigDict(extra="forbid")
    image: str = Field(description="A data URI, base64, or an http(s) address where the server allows these.")


class TextItem(BaseModel):
    """A text to embed."""

    model_config = ConfigDict(extra="forbid")
    text: str


class EmbeddingsRequest(BaseModel):
    """OpenAI's request; `input` may hold images."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"input": ["two dogs in snow", "a red bicycle"]}]}, extra="forbid"
    )
    input: str | list[str | ImageItem | TextItem] = Field(
        description="A text, or several; one that begins as a data URI in base64 does is a picture."
    )
    model: str | None = Field(None, description="The model's id as /v1/models has it; the server has one.")
    encoding_format: Literal["float", "base64"] = "float"
    dimensions: Annotated[int, WHOLE] | None = Field(None, description="The model's own width; no other can be had.")
    user: str | None = Field(None, description="Not used.")
    truncate: bool = Field(False, description="Cut texts that are too long, which are refused otherwise.")

    @field_validator("input", mode="before")
    @classmethod
    def _holds_no_token_ids(cls, given: object) -> object:
        """Refuse what OpenAI takes and LangChain sends unless it is told otherwise."""
        first = given[0] if isinstance(given, list) and given else None
        if type(first[0] if isinstance(first, list) and first else first) is int:
            raise fault(
                "input",
                "holds token ids, and this server takes texts: "
                "in LangChain's OpenAIEmbeddings set check_embedding_ctx_length=False",
            )
        return given


class Embedding(BaseModel):
    """One vector of unit length: numbers, or their little-endian float32 bytes in base64."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str


class Usage(BaseModel):
    """Tokens of the texts; images count none."""

    prompt_tokens: int
    total_tokens: int


class EmbeddingsResponse(BaseModel):
    """OpenAI's response."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    usage: Usage


@router.post("/v1/embeddings", response_model=EmbeddingsResponse, openapi_extra=json_body(EmbeddingsRequest))
async def create_embeddings(request: Request, server: Shared) -> Response:
    """Vectors of unit length for texts and images, in order: all, or an error that names each at fault."""
    body = await read_json(request, EmbeddingsRequest)
    server.check_model(body.model)
    _check_dimensions(body.dimensions, server)
    items = _items(body, server)
    texts = [item for is_image, item in items if not is_image]
    places = [index for index, (is_image, _) in enumerate(items) if is_image]
    of_texts = iter(await server.engine.encode_texts(texts, truncate=body.truncate) if texts else ())
    of_images = iter(await encode_all([items[place][1] for place in places], server, places))
    rows = [next(of_images if is_image else of_texts) for is_image, _ in items]
    tokens = await server.engine.count_tokens(texts)
    written = _base64 if body.encoding_format == "base64" else _numbers
    content = {
        "object": "list",
        "data": [{"object": "embedding", "index": i, "embedding": written(row)} for i, row in enumerate(rows)],
        "model": server.model_id,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens},
    }
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")


def _items(body: EmbeddingsRequest, server: Server) -> list[tuple[bool, str]]:
    """Whether each item is an image, and what it says."""
    given = [body.input] if isinstance(body.input, str) else body.input
    items = []
    for item in given:
        match item:
            case str():
                items.append((_DATA_URI.match(item) is not None, item))
            case ImageItem():
                items.append((True, item.image))
            case TextItem():
                items.append((False, item.text))
    limits, places = server.config.limits, [index for index, (is_image, _) in enumerate(items) if not is_image]
    check_count("texts", len(places), limits.texts)
    check_count("images", len(items) - len(places), limits.images)
    check_texts("text", [[items[place][1]] for place in places], limits, places)
    if not items:
        raise invalid("input is empty: give a text or an image.")
    return items


def _check_dimensions(dimensions: int | None, server: Server) -> None:
    width = server.engine.encoder.embed_dim
    if dimensions not in (None, width):
        raise Problem(
            422,
            "dimensions",
            "The model has another width",
            f"dimensions is {dimensions}, and this model's vectors have {width} numbers, which cannot be cut short "
            "without loss: leave dimensions out.",
        )


def _numbers(row: Features) -> Features:
    return row


def _base64(row: Features) -> str:
    return base64.b64encode(row.astype("<f4").tobytes()).decode()
