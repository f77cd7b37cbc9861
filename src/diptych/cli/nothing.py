"""Why a search found nothing, or nothing that stands out, in one line for people."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import typer

from diptych.cli.printing import counted, one_line

if TYPE_CHECKING:
    from diptych.library.filters import Filters
    from diptych.library.library import PhotoLibrary
    from diptych.library.query import Term
    from diptych.library.search import Hit

_NAMED: Final = 12  # formats or folders in one line


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What was searched for, and what was not wanted."""

    terms: "Sequence[Term]"
    filters: "Filters"
    skip: int = 0
    threshold: float | None = None
    min_relevance: float | None = None


def say_if_nothing(library: "PhotoLibrary", found: "Sequence[Hit]", asked: Asked) -> None:
    """Say on stderr why nothing was found, or that of what was found first nothing stands out."""
    from diptych.library.search import are_without_match

    if not found:
        typer.echo(f"diptych: {_explain(library, asked)}", err=True)
    elif asked.skip == 0 and are_without_match(found):
        typer.echo("diptych: nothing matches: no photo stands out for this query; these are the nearest.", err=True)


def explain_filters(library: "PhotoLibrary", filters: "Filters") -> str:
    """That no photo passes the filters, and what there is where they name what there is not."""
    reasons = "; ".join(_missing(library, filters))
    return f"no photo is left by the filters{f': {reasons}' if reasons else ''}."


def _explain(library: "PhotoLibrary", asked: Asked) -> str:
    if asked.skip and (total := _count(library, asked)):
        return f"{counted(total, 'photo is', 'photos are')} found in all: --skip {asked.skip} leaves none."
    if asked.filters and not library.count(asked.filters):
        return explain_filters(library, asked.filters)
    limits = {"--threshold": asked.threshold, "--min-relevance": asked.min_relevance}
    nearest = library.search(asked.terms, filters=asked.filters, top=1)
    if not nearest:
        return f"no photo has a vector of {one_line(library.model_name)} yet: diptych index makes them."
    reached = " and ".join(f"{name} {value:g}" for name, value in limits.items() if value is not None)
    relevance = "" if nearest[0].relevance is None else f" and the relevance {nearest[0].relevance:.2f}"
    return f"no photo reaches {reached}: the nearest has the cosine {nearest[0].score:.3f}{relevance}."


def _count(library: "PhotoLibrary", asked: Asked) -> int:
    """How many photos there are before those that are skipped."""
    if asked.threshold is None and asked.min_relevance is None:
        return library.count(asked.filters)
    threshold, relevance = asked.threshold, asked.min_relevance
    found = library.search(
        asked.terms, filters=asked.filters, top=asked.skip, threshold=threshold, min_relevance=relevance
    )
    return len(found)


def _missing(library: "PhotoLibrary", filters: "Filters") -> Iterator[str]:
    """What the filters name and the library has nothing of."""
    from diptych.library.filters import Filters

    if filters.format is not None and not library.count(Filters(format=filters.format)):
        yield f"there is no {one_line(filters.format)}, only {_listed(library.formats())}"
    if filters.folder is not None and not library.count(Filters(folder=filters.folder)):
        roots = [str(root.path) for root in library.roots()]
        yield f"no photo lies under {one_line(str(filters.folder))}, only under {_listed(roots)}"


def _listed(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(map(one_line, names[:_NAMED])) + more if names else "none at all"
