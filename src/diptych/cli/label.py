"""`diptych label`: every photo of a folder or a library named by labels."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diptych.cli.options import (
    PAGES,
    Device,
    DType,
    Json,
    Labels,
    LabelsFile,
    Library,
    LibraryModel,
    Multi,
    Place,
    Template,
    Threshold,
)
from diptych.cli.printing import console, counted, describe_source

if TYPE_CHECKING:
    from diptych.library.labelling import Labelled, LabelRule
    from diptych.library.tally import Named, Tally

_NONE = "none of these"
_BAR = 24  # columns
_MOST = 20  # everyday labels in a summary


def label(
    place: Place = None,
    labels: Labels = None,
    labels_file: LabelsFile = None,
    template: Template = None,
    multi: Multi = False,
    threshold: Threshold = None,
    none_from: Annotated[
        float | None,
        typer.Option(
            min=0.0, help="From which probability a photo shows none of the labels; 2 is never. \\[default: 0.5]"
        ),
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a row a photo to a .parquet, .csv or .jsonl file.")
    ] = None,
    html: Annotated[Path | None, typer.Option(help="Write a contact sheet of each label, as one HTML page.")] = None,
    as_json: Json = False,
    library: Library = None,
    model: LibraryModel = None,
    dtype: DType = "auto",
    device: Device = "auto",
) -> None:
    """Label every photo below a folder, or of a library: the one label that fits best, or none of these.

    Ctrl-C keeps what is done; the same command goes on. What was encoded before is not encoded again.

    [dim]Example: diptych label ~/Pictures --labels "dog,cat,beach" -o labels.csv[/dim]
    """
    from diptych.cli.labels import choose_class_names, choose_threshold
    from diptych.cli.pointing import refresh, say_unseen
    from diptych.files import check_writable
    from diptych.library.labelling import LabelRule
    from diptych.library.results import check_results_path
    from diptych.library.sheet import write_sheet
    from diptych.library.target import open_target
    from diptych.prompts import DEFAULT_LABELS
    from diptych.zeroshot import write_prompts

    if multi and none_from is not None:
        raise ValueError("--none-from is for one label a photo: with --multi, each holds from its --threshold on.")
    least, none = choose_threshold(threshold, multi=multi), 0.5 if none_from is None else none_from
    rule = LabelRule(multi=multi, threshold=least, none_from=none)
    names = choose_class_names(labels, labels_file, multi=multi)
    write_prompts(names, template)  # what is wrong with these is said before anything is read or loaded
    if output is not None:
        check_results_path(output)
    if html is not None:
        check_writable(html, PAGES)
    target = open_target(place, library=library, model=model, dtype=dtype, device=device)
    with target.library:
        refresh(target)
        rows = target.library.label(names, template, rule=rule, filters=target.filters)
        tally = _count(rows, output, rule, as_json=as_json)
        if html is not None:
            groups = [(_heading(name, count), tally.sheet(target.library, name)) for name, count in tally.ranked()]
            write_sheet(html, f"Labels of {counted(tally.photos, 'photo')}", groups)
        say_unseen(target, tally.photos)
    if not as_json:
        _print_summary(tally.ranked(), most=_MOST if names is DEFAULT_LABELS else len(list(names)))
        _hint(tally, rule)


def _count(rows: "Iterable[Labelled]", output: Path | None, rule: "LabelRule", *, as_json: bool) -> "Tally":
    """Give out the rows, and count their labels."""
    from diptych.cli.rows import open_rows
    from diptych.library.labelling import list_columns, to_record
    from diptych.library.tally import Tally

    tally = Tally()
    with open_rows(output, list_columns(rule), as_json=as_json) as give:
        for row in rows:
            give(to_record(row, rule), _line(row))
            tally.add(row.id, row.source, _names(row))
    return tally


def _names(row: "Labelled") -> "list[Named]":
    from diptych.library.tally import Named

    if row.labels:
        return [
            Named(each.name, each.probability, f"{each.probability:.0%}, cosine {each.cosine:.3f}")
            for each in row.labels
        ]
    nearest = f"nearest: {row.nearest.name}, cosine {row.nearest.cosine:.3f}"
    none = 1 - row.nearest.probability if row.none_of_these is None else row.none_of_these
    return [Named(None, none, nearest)]


def _heading(name: str | None, count: int) -> str:
    return f"{name or _NONE} ({count:,})"


def _line(row: "Labelled") -> str:
    held = ", ".join(f"{label.name} {label.probability:.0%}" for label in row.labels)
    return f"{describe_source(row.source)}  {held or _NONE}"


def _hint(tally: "Tally", rule: "LabelRule") -> None:
    """Say on stderr how more photos get a label, where most have none."""
    none = tally.counts[None]
    if 2 * none <= tally.photos:
        return
    looser = f"--threshold {rule.threshold / 2:.2g}" if rule.multi else f"--none-from {_looser(rule.none_from):g}"
    typer.echo(f"diptych: {none:,} of {tally.photos:,} show none of these: {looser} labels more.", err=True)


def _looser(none_from: float) -> float:
    return next((each for each in (0.7, 0.9) if each > none_from), 2)


def _print_summary(ranked: "list[tuple[str | None, int]]", *, most: int) -> None:
    """How many photos each label has, with bars: of the `most` frequent labels, of the others together, and of none."""
    from rich.bar import Bar
    from rich.markup import escape
    from rich.table import Table

    screen, longest = console(), max((count for _, count in ranked), default=1)
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(overflow="fold")
    table.add_column(justify="right", no_wrap=True)
    table.add_column(width=_BAR, no_wrap=True)
    named = [(escape(name), count) for name, count in ranked if name is not None]
    others = [count for _, count in named[most:]]
    rest = [(f"[dim]{counted(len(others), 'other label')}[/dim]", sum(others))] if others else []
    none = [(f"[dim]{_NONE}[/dim]", count) for name, count in ranked if name is None]
    for shown, count in [*named[:most], *rest, *none]:
        table.add_row(shown, f"{count:,}", Bar(1.0, 0.0, count / longest, width=_BAR, color="cyan"))
    screen.print(table)
