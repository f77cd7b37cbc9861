"""A folder or a library that a verb is pointed at, brought up to date; what could not be read is said."""

from typing import TYPE_CHECKING

import typer

from diptych.cli.printing import one_line

if TYPE_CHECKING:
    from diptych.library.indexing import IndexReport
    from diptych.library.target import Target

_SHOWN = 10  # files that cannot be read, by name; the others are counted


def refreshed(target: "Target") -> None:
    """Encode what is new, with a bar; say on stderr what could not be read. DiptychError where there is no photo."""
    from diptych.errors import DiptychError
    from diptych.library.indexing import IndexReport
    from diptych.progress import Progress

    report = IndexReport()
    try:
        with Progress(total=None, label="Photos", unit="photos") as shown:
            for report in target.refresh():
                shown.update(report.done, report.total)
    except KeyboardInterrupt:
        typer.echo(f"diptych: {report.encoded:,} new photos are kept; the same command goes on.", err=True)
        raise
    if target.root is None:
        return
    _say_skipped(target, report)
    if target.is_own and (report.absent_roots or not report.encoded + report.moved + report.copied + report.unchanged):
        raise DiptychError(f"There are no photos in {target.folder} that can be read.")


def say_unseen(target: "Target", seen: int) -> None:
    """Say on stderr how many photos have no vector of the model; DiptychError where that is all of them."""
    from diptych.errors import DiptychError

    if seen == 0:
        raise DiptychError(f"There are no photos with vectors in {target.folder or target.library.folder}.")
    if unseen := target.library.count(target.filters) - seen:
        typer.echo(
            f"diptych: {unseen:,} photos have no vector of {target.library.model_name}: diptych index makes them.",
            err=True,
        )


def _say_skipped(target: "Target", report: "IndexReport") -> None:
    failures = target.failures()
    for failure in failures[:_SHOWN]:
        typer.echo(f"diptych: {one_line(failure.source)}: {failure.reason}", err=True)
    if len(failures) > _SHOWN:
        typer.echo(f"diptych: {len(failures) - _SHOWN:,} more files could not be read.", err=True)
    if report.links:
        typer.echo(f"diptych: {report.links:,} links were not followed.", err=True)
    for folder in report.unread_folders:
        typer.echo(f"diptych: {one_line(folder)} could not be entered.", err=True)
    for folder in report.absent_roots:
        if not target.is_own:
            typer.echo(f"diptych: {one_line(folder)} is not there, or empty: what is known of it is used.", err=True)
