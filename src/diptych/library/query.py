"""The language of queries: `two dogs in snow`, `dog + 0.5:snow - "black + white"`, `img:beach.jpg + sunset`.

    query  = ["- "] term {(" + " | " - ") term}
    term   = [weight ":"] (words | "img:" path | "photo:" number)
    weight = a number above 0, such as 2 or 0.5

Words and paths are taken as they stand: hyphens, apostrophes and a + or - without spaces around mean themselves. In
double quotes everything does, but for \\" and \\\\.
"""

import re
from dataclasses import dataclass
from typing import Final, TypeAlias

from diptych.encode.encoder import Features

MOST_TERMS: Final = 32
LEAST_WEIGHT: Final = 0.001
MOST_WEIGHT: Final = 1_000.0
_JOINT: Final = re.compile(r"(?:^|\s+)([+-])(?=\s|$)")
_WEIGHT: Final = re.compile(r"(\d+(?:\.\d*)?|\.\d+):")
_QUOTED: Final = re.compile(r'"((?:[^"\\]|\\.)*)"')


class QueryError(ValueError):
    """A query that does not say what is looked for; its text is one line on what is wrong and how to write it."""


@dataclass(frozen=True)
class Words:
    """A text that is encoded as it stands."""

    text: str


@dataclass(frozen=True)
class Picture:
    """An image file, which need not be in the library. Never from a request: a path there would be read."""

    path: str


@dataclass(frozen=True)
class Photo:
    """A photo of the library."""

    id: int


@dataclass(frozen=True, eq=False)
class Vector:
    """What is encoded already: (E,) float32 of unit length."""

    features: Features


Content: TypeAlias = Words | Picture | Photo | Vector


@dataclass(frozen=True)
class Term:
    """`weight` is negative for what is not wanted, and never 0."""

    content: Content
    weight: float = 1.0

    def __post_init__(self) -> None:
        if not (LEAST_WEIGHT <= abs(self.weight) <= MOST_WEIGHT):
            raise QueryError(f"A weight is from {LEAST_WEIGHT:g} to {MOST_WEIGHT:,.0f}, got {abs(self.weight):g}.")


def parse_query(text: str) -> tuple[Term, ...]:
    """The terms of a query, at least one. Raises QueryError."""
    rest = text.strip()
    if not rest:
        raise QueryError('The query is empty: write what to find, for example "two dogs in snow".')
    sign = 1.0
    if re.match(r"-(\s|$)", rest):
        sign, rest = -1.0, rest[1:]
    terms = []
    while True:
        body, joint, rest = _split(rest)
        terms.append(_term(body, sign))
        if joint is None:
            break
        sign = 1.0 if joint == "+" else -1.0
    if len(terms) > MOST_TERMS:
        raise QueryError(f"The query has {len(terms)} terms; {MOST_TERMS} are the most.")
    return tuple(terms)


def _split(text: str) -> tuple[str, str | None, str]:
    """The first term, what joins it to the next (None at the end), and what comes after."""
    start = 0
    while True:
        joint, quoted = _JOINT.search(text, start), _QUOTED.search(text, start)
        if joint is None:
            return text, None, ""
        if quoted is None or joint.start() < quoted.start():
            return text[: joint.start()], joint[1], text[joint.end() :]
        start = quoted.end()


def _term(body: str, sign: float) -> Term:
    weight, body = 1.0, body.strip()
    if found := _WEIGHT.match(body):
        weight, body = float(found[1]), body[found.end() :].lstrip()
        if not (LEAST_WEIGHT <= weight <= MOST_WEIGHT):
            raise QueryError(
                f"The weight {found[1][:40]} is not from {LEAST_WEIGHT:g} to {MOST_WEIGHT:,.0f}: to push away, "
                "write ` - ` before the term."
            )
    if not body:
        raise QueryError('A term is empty: between ` + ` and ` - ` stand words; to look for a sign, quote it: "+".')
    return Term(_content(body), sign * weight)


def _content(body: str) -> Content:
    kind, colon, value = body.partition(":")
    if colon and kind == "img":
        return Picture(_unquoted(value))
    if colon and kind == "photo":
        if not value.isdecimal() or len(value) > 18:
            raise QueryError(f"photo:{value[:40]} is not a photo: write the number of one, such as photo:17.")
        return Photo(int(value))
    return Words(_unquoted(body))


def _unquoted(text: str) -> str:
    """The text, or what is inside the quotes if they hold all of it; never empty."""
    quoted = _QUOTED.fullmatch(text)
    inside = re.sub(r"\\(.)", r"\1", quoted[1]) if quoted else text
    if not inside.strip():
        raise QueryError("A term is empty: write what to find in it.")
    return inside
