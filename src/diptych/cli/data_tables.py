"""What `diptych data` prints: a row per source, then what is worth a line of its own."""

from collections.abc import Sequence

import typer

from diptych.cli.printing import print_table
from diptych.data.check import CheckReport, Overlap, SourceReport, Spread
from diptych.data.filter import FilterReport

_SHOWN = 5  # of each kind; --json has all


def print_check(report: CheckReport) -> None:
    """Two tables, of images and of texts; then pairs that cannot be used, and what repeats."""
    print_table(
        ("source", "for", "samples", "unusable", "repeated", "shortest side", "longest side"),
        [
            (
                source.name,
                source.role,
                f"{source.samples:,}",
                f"{len(source.unusable):,}",
                f"{len(source.images.repeated):,}",
                _spread(source.images.shortest_side),
                _spread(source.images.longest_side),
            )
            for source in report.sources
        ],
    )
    typer.echo()
    print_table(
        (
            "source",
            "captions",
            "empty",
            "shared",
            "words",
            "tokens",
            f"over {report.context_length}",
            "classes",
            "each",
        ),
        [_texts_row(source) for source in report.sources],
    )
    typer.echo("\nSpreads are the least, the median, the most. Sides are in pixels.")
    for source in report.sources:
        _print_some([each.reason for each in source.unusable], f"{source.name}: cannot be used:")
        repeated = [f"{key} is {first}" for key, first in source.images.repeated]
        _print_some(repeated, f"{source.name}: the same image, byte for byte:")
    for overlap in report.overlaps:
        _print_some([f"{key} is {other}" for key, other in overlap.keys], _overlap_title(overlap))
    if not report.problems:
        typer.echo("\nNothing here would stop a run.")


def print_filter(report: FilterReport) -> None:
    """What is left of each source, what each rule dropped, and how similar images and captions are."""
    rows = [(source.name, source.samples, source.kept) for source in report.sources]
    if len(rows) > 1:
        rows.append(("all", report.samples, report.kept))
    print_table(
        ("source", "samples", "kept", "share"),
        [(name, f"{all_:,}", f"{kept:,}", _share(kept, all_)) for name, all_, kept in rows],
    )
    if report.dropped:
        typer.echo()
        dropped = [(reason, f"{n:,}", _share(n, report.samples)) for reason, n in report.dropped.items()]
        print_table(("samples dropped", "", "share"), dropped)
    if report.captions_dropped:
        typer.echo()
        print_table(("captions dropped", ""), [(reason, f"{n:,}") for reason, n in report.captions_dropped.items()])
    if report.similarity:
        typer.echo()
        cosines = tuple(f"{cosine:.3f}" for cosine in report.similarity.values())
        print_table(("percentile", *(f"{percent}%" for percent in report.similarity)), [("similarity", *cosines)])


def _texts_row(source: SourceReport) -> tuple[str, ...]:
    captions, classes = source.captions, source.classes
    return (
        source.name,
        f"{captions.count:,}" if captions.count else "-",
        f"{captions.empty:,}",
        _share(captions.shared, captions.count),
        _spread(captions.words),
        _spread(captions.tokens),
        _share(captions.cut, captions.count),
        f"{classes.count:,}" if classes.count else "-",
        _spread(classes.samples),
    )


def _overlap_title(overlap: Overlap) -> str:
    return f"{overlap.first} and {overlap.second} share images{', a leak' if overlap.is_leak else ''}:"


def _print_some(lines: Sequence[str], title: str) -> None:
    if not lines:
        return
    typer.echo(f"\n{title}")
    for line in lines[:_SHOWN]:
        typer.echo(f"  {line}")
    if (rest := len(lines) - _SHOWN) > 0:
        typer.echo(f"  and {rest:,} more, named by --json")


def _spread(spread: Spread | None) -> str:
    """Least, median, most; one number where they are the same."""
    if spread is None:
        return "-"
    numbers = (spread.least, spread.median, spread.most)
    return f"{spread.least:,g}" if len(set(numbers)) == 1 else " ".join(f"{number:,g}" for number in numbers)


def _share(part: int, whole: int) -> str:
    return f"{part / whole:.1%}" if whole else "-"
