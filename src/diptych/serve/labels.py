"""Labels and templates as requests bring them: within limits, and never the name of a file."""

from typing import Annotated, Final

from pydantic import Field

from diptych.serve.checks import check_count, check_texts
from diptych.serve.config import Limits
from diptych.serve.problem_types import Slug
from diptych.serve.problems import Problem
from diptych.zeroshot import Prompts, resolve_templates, write_prompts

GivenLabels = Annotated[
    list[str] | dict[str, str | Annotated[list[str], Field(min_length=1)]],
    Field(
        description="Names, each once, or an object of names with a phrase or several that describe each. "
        "A form repeats the field, or has names with commas between."
    ),
]
GivenTemplates = Annotated[
    str | list[str],
    Field(description="The name of published ones such as imagenet-7, one with {} where the label goes, or several."),
]
_SHOWN: Final = 20
_SHOWN_CHARACTERS: Final = 60


def resolve_forms(given: str | list[str] | None, limits: Limits) -> tuple[str, ...] | None:
    """The templates themselves. A Problem for what is none."""
    if given is None:
        return None
    texts = [given] if isinstance(given, str) else given
    check_count("templates", len(texts), limits.prompts)
    check_texts("template", [[text] for text in texts], limits)
    try:
        return resolve_templates(given, may_read=False)
    except ValueError as error:
        raise _bad("bad-template", "A template cannot be used", f"templates: {error}") from error


def make_prompts(labels: GivenLabels, forms: tuple[str, ...] | None, limits: Limits) -> Prompts:
    """Each label with its sentences. A Problem for labels that are none, or more than one request may bring."""
    if not labels:
        raise _bad("no-labels", "There are no labels", "labels is empty: give one at least.")
    phrases = [[name, *_listed(labels[name])] for name in labels] if isinstance(labels, dict) else [[n] for n in labels]
    check_count("labels", len(phrases), limits.labels)
    sentences = sum(max(1, len(texts) - 1) for texts in phrases) * (1 if forms is None else len(forms))
    check_count("prompts (labels times templates)", sentences, limits.prompts)
    check_texts("label", phrases, limits)
    _check_for_repeats(list(labels))
    return write_prompts(labels, forms)


def _check_for_repeats(labels: list[str]) -> None:
    """A Problem that names those given more than once, which would share one label's probability."""
    first: dict[str, int] = {}
    items = [
        {"index": index, "detail": f"label {index}: {label[:_SHOWN_CHARACTERS]!r} is label {first[label]} already"}
        for index, label in enumerate(labels)
        if first.setdefault(label, index) != index
    ]
    if items:
        detail = f"{items[0]['detail']}: give each label once."
        raise Problem(422, "repeated-label", "A label is repeated", detail, items=items[:_SHOWN])


def _listed(phrases: str | list[str]) -> list[str]:
    return [phrases] if isinstance(phrases, str) else phrases


def _bad(slug: Slug, title: str, detail: str) -> Problem:
    return Problem(422, slug, title, detail)
