"""Class names to class vectors, by open_clip's build_zero_shot_classifier with its defaults.

    python open_clip_classifier.py WEIGHTS

Requests: {"classes": how many of its ImageNet names, "save": where to write (K, E) float32 or null}.
"""

import hashlib
import sys
import time
from functools import cache
from typing import Any

import numpy as np
import open_clip

from serve import serve

MODEL = "ViT-B-32-quickgelu"


@cache
def parts() -> tuple[Any, Any]:
    model = open_clip.create_model(MODEL, pretrained=sys.argv[1]).eval()
    tokenizer = open_clip.get_tokenizer(MODEL)
    open_clip.build_zero_shot_classifier(
        model, tokenizer, open_clip.IMAGENET_CLASSNAMES[:1], open_clip.OPENAI_IMAGENET_TEMPLATES
    )
    return model, tokenizer


def measure(request: dict[str, Any]) -> dict[str, Any]:
    model, tokenizer = parts()
    names, templates = open_clip.IMAGENET_CLASSNAMES[: request["classes"]], open_clip.OPENAI_IMAGENET_TEMPLATES
    start = time.perf_counter()
    weights = open_clip.build_zero_shot_classifier(model, tokenizer, names, templates)
    seconds = time.perf_counter() - start
    if request["save"]:
        np.save(request["save"], weights.T.numpy())
    texts = [template(name) for name in names for template in templates]
    return {
        "seconds": seconds,
        "prompts": hashlib.sha256("\n".join(texts).encode()).hexdigest(),
        "tokens": len(texts) * tokenizer.context_length,
    }


if __name__ == "__main__":
    serve(measure)
