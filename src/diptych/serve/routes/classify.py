"""`POST /v1/classify`: images and labels to probabilities, image by image."""

from typing import Annotated, Any

import numpy as np
import orjson
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field, JsonValue
from starlette.responses import Response

from diptych.calibration import NONE_THRESHOLD, none_of_these
from diptych.encode.encoder import Features
from diptych.serve.bodies import both_bodies, read_request
from diptych.serve.image_inputs import RED_PIXEL, GivenImages, ItemError, check_images, encode_inputs
from diptych.serve.labels import GivenLabels, GivenTemplates, make_prompts, resolve_forms
from diptych.serve.problems import Problem, invalid
from diptych.serve.schemas import WHOLE
from diptych.serve.state import Server, Shared
from diptych.serve.stored_sets import find_stored
from diptych.zeroshot import Label, ZeroShotClassifier

router = APIRouter(tags=["classify"])
_EXAMPLES: list[JsonValue] = [
    {"images": [RED_PIXEL], "labels": ["a dog", "a cat", "something red"]},
    {"images": [RED_PIXEL], "labels": {"pet": ["a dog", "a cat"], "colour": "something red"}, "multi": True},
    {"images": [RED_PIXEL], "label_set": "pets"},
]


class ClassifyRequest(BaseModel):
    """Images, and labels to rank for each."""

    model_config = ConfigDict(json_schema_extra={"examples": _EXAMPLES}, extra="forbid", allow_inf_nan=False)
    images: GivenImages = []
    labels: GivenLabels | None = None
    templates: GivenTemplates | None = None
    label_set: str | None = Field(None, description="A label set's name, in place of labels and templates.")
    top: Annotated[int, Field(ge=1), WHOLE] = Field(5, description="The most labels to show for an image.")
    multi: bool = Field(False, description="Hold each label by itself: any number of them may fit.")
    threshold: float | None = Field(None, ge=0, le=1, description="With multi: the least probability; 0.5 by default.")


class RankedLabel(BaseModel):
    """A label; its probability is relative to the others offered, or with `multi` its own."""

    name: str
    probability: float
    cosine: float


class Classified(BaseModel):
    """The labels of one image, best first, or its error."""

    index: int
    labels: list[RankedLabel] | None = None
    none_of_these: float | None = Field(None, description="The probability that none of the labels holds.")
    fits: bool | None = Field(None, description="Whether one of the labels is likely to hold.")
    error: ItemError | None = None


class ClassifyResponse(BaseModel):
    """A result for each image, in order."""

    model: str
    results: list[Classified]


@router.post("/v1/classify", response_model=ClassifyResponse, openapi_extra=both_bodies(ClassifyRequest))
async def classify(request: Request, server: Shared) -> Response:
    """Rank labels for each image. One that cannot be read has an error of its own; the others have their labels."""
    body, uploads = await read_request(request, ClassifyRequest, at_commas=("labels",))
    if body.threshold is not None and not body.multi:
        raise invalid("threshold goes with multi, which holds each label by itself: give both or neither.")
    images: list[str | bytes] = [*body.images, *uploads]
    check_images(images, server)
    classifier = await _classifier(body, server)
    background = await server.classifiers.background(classifier)
    if body.multi and background is None:
        raise invalid(
            "multi holds each label against everyday ones, and none can be had: offer fewer labels or templates."
        )
    rows = await encode_inputs(images, server)
    readable = [row for row in rows if not isinstance(row, Problem)]
    ranked = iter(_ranked(classifier, np.stack(readable), background, body) if readable else ())
    results = [
        {"index": index, **({"error": row.described()} if isinstance(row, Problem) else next(ranked))}
        for index, row in enumerate(rows)
    ]
    return Response(orjson.dumps({"model": server.model_id, "results": results}), media_type="application/json")


async def _classifier(body: ClassifyRequest, server: Server) -> ZeroShotClassifier:
    """That of the request's labels, or of the stored set that it names."""
    if body.label_set is None:
        if body.labels is None:
            raise invalid("there are no labels: give labels, or label_set with the name of a stored set.")
        forms = resolve_forms(body.templates, server.config.limits)
        prompts = make_prompts(body.labels, forms, server.config.limits)
        return await server.classifiers.build(forms, prompts)
    if body.labels is not None or body.templates is not None:
        raise invalid("label_set brings labels and templates of its own: give it alone, or leave it out.")
    return await find_stored(body.label_set, server)


def _ranked(
    classifier: ZeroShotClassifier, features: Features, background: Features | None, body: ClassifyRequest
) -> list[dict[str, Any]]:
    if body.multi:
        assert background is not None
        threshold = 0.5 if body.threshold is None else body.threshold
        each = classifier.rank_each(features, threshold=threshold, background=background)
        return [_described(labels[: body.top], None) for labels in each]
    ranked = classifier.rank(features, top=body.top)
    if background is None:
        return [_described(labels, None) for labels in ranked]
    best = np.array([labels[0].cosine for labels in ranked], np.float32)
    chances = none_of_these(best, features @ background.T).tolist()
    return [_described(labels, chance) for labels, chance in zip(ranked, chances, strict=True)]


def _described(labels: list[Label], none: float | None) -> dict[str, Any]:
    shown = [{"name": each.name, "probability": each.probability, "cosine": each.cosine} for each in labels]
    return {"labels": shown, "none_of_these": none, "fits": None if none is None else none < NONE_THRESHOLD}
