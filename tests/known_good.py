"""Good requests, to learn whether a server still answers them as it did before."""

import base64
from dataclasses import dataclass
from typing import Self

import httpx
import numpy as np
from numpy.typing import NDArray

from serve_command import ServeCommand
from served_holiday import PHOTOGRAPHS

# A row that is computed in other company differs by the rounding of sums.
_ROUNDING = 1e-5


@dataclass(frozen=True, kw_only=True)
class GoodAnswers:
    """The first label of a cat's photograph, the photo that a search for a cat finds, and two embeddings."""

    label: str
    found: str
    text_features: NDArray[np.float32]
    image_features: NDArray[np.float32]

    @classmethod
    def of(cls, server: ServeCommand) -> Self:
        """Those of a server; httpx.HTTPError where it refuses one or does not answer."""
        cat = PHOTOGRAPHS[0].read_bytes()
        item = {"image": base64.b64encode(cat).decode()}
        with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
            labelled = client.post("/v1/classify", files={"image": cat}, data={"labels": ["dog", "cat"]})
            searched = client.post("/v1/search", json={"query": "a cat"})
            embedded = client.post("/v1/embeddings", json={"input": ["a cat", item]})
        for answer in (labelled, searched, embedded):
            answer.raise_for_status()
        text, image = (np.asarray(each["embedding"], np.float32) for each in embedded.json()["data"])
        return cls(
            label=labelled.json()["results"][0]["labels"][0]["name"],
            found=searched.json()["hits"][0]["name"],
            text_features=text,
            image_features=image,
        )

    def differences(self, before: Self) -> list[str]:
        """What is not as it was before, in words."""
        names = [(self.label, before.label, "label"), (self.found, before.found, "photo found")]
        rows = [
            (self.text_features, before.text_features, "a text's embedding"),
            (self.image_features, before.image_features, "an image's embedding"),
        ]
        return [f"the {what} is {now}, and was {then}" for now, then, what in names if now != then] + [
            f"{what} is off by {abs(now - then).max():.2g}"
            for now, then, what in rows
            if not np.allclose(now, then, atol=_ROUNDING)
        ]
