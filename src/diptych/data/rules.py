"""Which pairs a filter keeps: rules on captions, pictures and their similarity."""

import re
from dataclasses import dataclass
from typing import Literal

Reason = Literal[
    "unusable",
    "in a validation set",
    "too small",
    "too elongated",
    "too few words",
    "too many words",
    "pattern missing",
    "pattern found",
    "caption of too many images",
    "image twice",
    "too little similarity",
]


@dataclass(frozen=True, kw_only=True)
class Rules:
    """A rule that is None drops nothing. Sizes are in pixels, `max_aspect` is the longest side over the shortest.

    Caption rules take captions away; a pair goes when it has no text left. A caption that more than
    `max_images_per_caption` pairs have is taken from all of them (as Jia et al. 2021, ALIGN, did with 10).
    `min_similarity` is a cosine; `keep_share` keeps that share of what all other rules leave, the most similar (Gadre
    et al. 2023, DataComp).
    """

    min_words: int | None = None
    max_words: int | None = None
    require_pattern: str | None = None
    drop_pattern: str | None = None
    max_images_per_caption: int | None = None
    min_side: int | None = None
    max_aspect: float | None = None
    keep_duplicates: bool = False
    min_similarity: float | None = None
    keep_share: float | None = None

    def __post_init__(self) -> None:
        for name, least in (("min_words", 0), ("max_words", 1), ("max_images_per_caption", 1), ("min_side", 1)):
            value = getattr(self, name)
            if value is not None and value < least:
                raise ValueError(f"{name} must be {least} or more, got {value}")
        if self.min_words is not None and self.max_words is not None and self.min_words > self.max_words:
            raise ValueError(f"min_words ({self.min_words}) is more than max_words ({self.max_words})")
        if self.max_aspect is not None and not self.max_aspect >= 1:
            raise ValueError(f"max_aspect is the longest side over the shortest, 1 or more, got {self.max_aspect}")
        if self.min_similarity is not None and not -1 <= self.min_similarity <= 1:
            raise ValueError(f"min_similarity is a cosine, from -1 to 1, got {self.min_similarity}")
        if self.keep_share is not None and not 0 < self.keep_share <= 1:
            raise ValueError(f"keep_share must be above 0 and at most 1, got {self.keep_share}")
        if self.min_similarity is not None and self.keep_share is not None:
            raise ValueError("give one of min_similarity and keep_share, got both")
        for name in ("require_pattern", "drop_pattern"):
            try:
                re.compile(getattr(self, name) or "")
            except re.error as error:
                raise ValueError(f"{name} {getattr(self, name)!r} is not a regular expression: {error}") from error

    @property
    def needs_similarity(self) -> bool:
        """Whether a model has to look at the pairs."""
        return self.min_similarity is not None or self.keep_share is not None

    def against_image(self, size: tuple[int, int]) -> tuple[Reason, str] | None:
        """Why a picture of this width and height is dropped, and what it is; None if it is not."""
        shown = f"{size[0]} x {size[1]} pixels"
        if self.min_side is not None and min(size) < self.min_side:
            return "too small", shown
        if self.max_aspect is not None and max(size) > self.max_aspect * min(size):
            return "too elongated", shown
        return None

    def against_caption(self, caption: str, images: int) -> Reason | None:
        """Why a caption that so many `images` have is taken away; None if it is not. An empty one always is."""
        words = len(caption.split())
        if words < max(1, self.min_words or 0):
            return "too few words"
        if self.max_words is not None and words > self.max_words:
            return "too many words"
        if self.require_pattern is not None and not re.search(self.require_pattern, caption):
            return "pattern missing"
        if self.drop_pattern is not None and re.search(self.drop_pattern, caption):
            return "pattern found"
        if self.max_images_per_caption is not None and images > self.max_images_per_caption:
            return "caption of too many images"
        return None
