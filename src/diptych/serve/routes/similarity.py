"""`POST /v1/similarity`: the cosine of each image with each text."""

import numpy as np
import orjson
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from diptych.serve.bodies import both_bodies, read_request
from diptych.serve.checks import check_count, check_texts
from diptych.serve.image_inputs import RED_PIXEL, GivenImages, ItemError, check_images, encode_inputs
from diptych.serve.problems import Problem, invalid
from diptych.serve.state import Shared

router = APIRouter(tags=["similarity"])


class SimilarityRequest(BaseModel):
    """Images and texts, each to be compared with each."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"images": [RED_PIXEL], "texts": ["a red square", "two dogs in snow"]}]},
        extra="forbid",
    )
    images: GivenImages = []
    texts: list[str] = Field(description="As they are: no template is put around them.")


class FaultyImage(BaseModel):
    """An image that has no cosines, and why."""

    index: int
    error: ItemError


class SimilarityResponse(BaseModel):
    """A row of cosines for each image, null for one that cannot be read."""

    model: str
    cosines: list[list[float] | None]
    logit_scale: float = Field(description="What the model multiplies cosines by before a softmax.")
    errors: list[FaultyImage]


@router.post("/v1/similarity", response_model=SimilarityResponse, openapi_extra=both_bodies(SimilarityRequest))
async def compare(request: Request, server: Shared) -> Response:
    """The cosine of each image with each text. One that cannot be read has an error of its own."""
    body, uploads = await read_request(request, SimilarityRequest)
    images: list[str | bytes] = [*body.images, *uploads]
    check_images(images, server)
    check_count("texts", len(body.texts), server.config.limits.texts)
    check_texts("text", [[text] for text in body.texts], server.config.limits)
    if not body.texts:
        raise invalid("texts is empty: give one at least.")
    texts = await server.engine.encode_texts(body.texts)
    rows = await encode_inputs(images, server)
    faults = [{"index": index, "error": row.described()} for index, row in enumerate(rows) if isinstance(row, Problem)]
    content = {
        "model": server.model_id,
        "cosines": [None if isinstance(row, Problem) else np.ascontiguousarray(texts @ row) for row in rows],
        "logit_scale": server.engine.encoder.logit_scale,
        "errors": faults,
    }
    return Response(orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY), media_type="application/json")
