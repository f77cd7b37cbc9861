"""How many things a request may bring, and what its texts may be: one rule and one wording for all routes."""

from collections.abc import Sequence
from typing import Final

from diptych.serve.config import Limits
from diptych.serve.problems import Problem

_SHOWN: Final = 20


def check_count(things: str, count: int, most: int) -> None:
    """A Problem for more things than one request may bring."""
    if count > most:
        detail = f"There are {count:,} {things}, {most:,} at most: send fewer at once."
        raise Problem(422, "too-many-items", "Too many items", detail)


def check_texts(
    thing: str, given: Sequence[Sequence[str]], limits: Limits, places: Sequence[int] | None = None
) -> None:
    """A Problem that names those of which a text cannot be used; one has a text or several.

    They are called by `places`, by default their own in `given`, from 0.
    """
    most = limits.text_characters
    items = [
        {"index": place, "detail": f"{thing} {place}: {fault}"}
        for place, texts in zip(range(len(given)) if places is None else places, given, strict=True)
        if (fault := _fault(texts, most))
    ]
    if items:
        detail = (
            f"{len(items)} of {len(given)} {thing}s cannot be used, the first of them: {items[0]['detail']}. "
            f"Write 1 to {most:,} Unicode characters."
        )
        raise Problem(422, "bad-text", "A text cannot be used", detail, items=items[:_SHOWN])


def _fault(texts: Sequence[str], most: int) -> str | None:
    return next((fault for text in texts if (fault := _fault_of(text, most))), None)


def _fault_of(text: str, most: int) -> str | None:
    if not text.strip():
        return "empty"
    return f"{len(text):,} characters, {most:,} at most" if len(text) > most else None
