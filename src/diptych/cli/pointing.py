"""What a verb is pointed at: a folder or a library, brought up to date, or one photo."""

from dataclasses import replace
from typing import TYPE_CHECKING

import typer

from diptych.cli.printing import counted, one_line

if TYPE_CHECKING:
    from diptych.library.target import Target


def parse_photo(argument: str) -> int | None:
    """The number in `photo:17`, as queries have it; None for what is a file. QueryError for a photo: without one."""
    from diptych.library.query import Photo, Term, parse_query

    if not argument.startswith("photo:"):
        return None
    match parse_query(argument):
        case (Term(content=Photo(number)),):
            return number
    raise ValueError(f"{argument} is not one photo: write the number that `--json` gives, photo:17.")


def refresh(target: "Target") -> None:
    """Encode what is new, with a bar; say on stderr what could not be read. DiptychError where there is no photo."""
    from diptych.cli.reports import run_with_progress, say_skipped
    from diptych.errors import DiptychError

    report = run_with_progress(target.refresh())
    if target.root is None:
        return
    is_empty = not report.encoded + report.moved + report.copied + report.unchanged
    if target.is_own and (report.absent_roots or is_empty):
        say_skipped(replace(report, absent_roots=[]), target.failures(), has_options=False)
        raise DiptychError(f"There are no photos in {target.folder} that can be read.")
    say_skipped(report, target.failures(), has_options=False)


def say_unseen(target: "Target", seen: int) -> None:
    """Say on stderr how many photos have no vector of the model; DiptychError where that is all of them."""
    from diptych.errors import DiptychError

    if seen == 0:
        raise DiptychError(f"There are no photos with vectors in {target.folder or target.library.folder}.")
    if unseen := target.library.count(target.filters) - seen:
        typer.echo(
            f"diptych: {counted(unseen, 'photo has', 'photos have')} no vector of "
            f"{one_line(target.library.model_name)}: diptych index makes them.",
            err=True,
        )
