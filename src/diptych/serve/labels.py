"""Labels and templates as requests bring them: within limits, and never the name of a file."""

from collections.abc import Sequence
from typing import Annotated, Final

from pydantic import Field

from diptych.serve.config import Limits
from diptych.serve.problems import Problem
from diptych.zeroshot import Prompts, resolve_templates, write_prompts

GivenLabels = Annotated[
    list[str] | dict[str, str | list[str]],
    Field(description="Names, or an object of names with a phrase or several that describe each."),
]
GivenTemplates = Annotated[
    str | list[str],
    Field(description="The name of published ones such as imagenet-7, one with {} where the label goes, or several."),
]
_SHOWN: Final = 20


def resolve_forms(given: str | list[str] | None, limits: Limits) -> tuple[str, ...] | None:
    """The templates themselves. A Problem for what is none."""
    if given is None:
        return None
    texts = [given] if isinstance(given, str) else given
    _check_count("templates", len(texts), limits.prompts)
    check_each("template", [[text] for text in texts], limits.text_characters)
    try:
        return resolve_templates(given, may_read=False)
    except ValueError as error:
        raise _bad("bad-template", "A template cannot be used", f"templates: {error}") from error


def make_prompts(labels: GivenLabels, forms: tuple[str, ...] | None, limits: Limits) -> Prompts:
    """Each label with its sentences. A Problem for labels that are none, or more than one request may bring."""
    if not labels:
        raise _bad("no-labels", "There are no labels", "labels is empty: give one at least.")
    phrases = [[name, *_listed(labels[name])] for name in labels] if isinstance(labels, dict) else [[n] for n in labels]
    _check_count("labels", len(phrases), limits.labels)
    sentences = sum(max(1, len(texts) - 1) for texts in phrases) * (1 if forms is None else len(forms))
    _check_count("prompts (labels times templates)", sentences, limits.prompts)
    check_each("label", phrases, limits.text_characters)
    return write_prompts(labels, forms)


def check_each(thing: str, things: Sequence[Sequence[str]], most: int) -> None:
    """A Problem that names those of which a text cannot be used; one has a text or several."""
    items = [
        {"index": index, "detail": f"{thing} {index}: {fault}"}
        for index, texts in enumerate(things)
        if (fault := _fault(texts, most))
    ]
    if items:
        detail = f"{len(items)} of {len(things)} {thing}s cannot be used, the first of them: {items[0]['detail']}."
        raise Problem(422, "bad-text", "A text cannot be used", detail, items=items[:_SHOWN])


def fault_of(text: str, most: int) -> str | None:
    """Why a text cannot be used."""
    if not text.strip():
        return "empty"
    if len(text) > most:
        return f"{len(text):,} characters, {most:,} at most"
    # Half of a surrogate pair, which JSON can write: nothing that holds it could be answered or kept.
    return None if text.isascii() or _is_unicode(text) else "not Unicode"


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _fault(texts: Sequence[str], most: int) -> str | None:
    return next((fault for text in texts if (fault := fault_of(text, most))), None) if texts else "empty"


def _check_count(things: str, count: int, most: int) -> None:
    if count > most:
        raise _bad("too-many-items", "Too many items", f"There are {count:,} {things}, {most:,} at most: send fewer.")


def _listed(phrases: str | list[str]) -> list[str]:
    return [phrases] if isinstance(phrases, str) else phrases or [""]


def _bad(slug: str, title: str, detail: str) -> Problem:
    return Problem(422, slug, title, detail)
