"""What indexing does, as it goes and in the end; whatever was left out is named or counted on stderr."""

from typing import TYPE_CHECKING

import typer

from diptych.cli.printing import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from diptych.library.indexing import IndexReport
    from diptych.library.library import PhotoLibrary
    from diptych.library.upkeep import Failure

_SHOWN = 10  # files that cannot be read, by name; the others are counted


def run_with_progress(run: "Iterator[IndexReport]") -> "IndexReport":
    """Go through a run with a bar; its last report. Ctrl-C says what is kept, and goes on upwards."""
    from diptych.library.indexing import IndexReport
    from diptych.progress import Progress

    report = IndexReport()
    try:
        with Progress(total=None, label="Photos", unit="photos") as shown:
            for report in run:
                shown.update(report.done, report.total)
    except KeyboardInterrupt:
        typer.echo("diptych: what was encoded is kept; the same command goes on.", err=True)
        raise
    return report


def run_index(opened: "PhotoLibrary", run: "Iterator[IndexReport]") -> "tuple[IndexReport, list[Failure]]":
    """`run_with_progress`, and which files could not be read that the library did not know of before."""
    before = set(opened.failures())
    report = run_with_progress(run)
    return report, [failure for failure in opened.failures() if failure not in before]


def summarise(report: "IndexReport") -> str:
    """What a run did, in one line."""
    counts = {
        "new": report.encoded,
        "moved": report.moved,
        "copy of a known one" if report.copied == 1 else "copies of known ones": report.copied,
        "gone": report.forgotten,
        "described anew": report.described,
        "unchanged": report.unchanged,
        "not readable": report.failed,
    }
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "no photos"


def say_skipped(report: "IndexReport", failures: "Sequence[Failure]", *, has_options: bool) -> None:
    """Say what a run left out, some of the failures by name; `has_options`: the verb is one that can do otherwise."""
    for fault in report.faults:
        _say(one_line(fault))
    for failure in failures[:_SHOWN]:
        _say(f"{one_line(failure.source)}: {one_line(failure.reason)}")
    if has_options and report.failed:
        _say(f"{counted(report.failed, 'file')} could not be read: diptych library failures.")
    elif len(failures) > _SHOWN:
        _say(f"{counted(len(failures) - _SHOWN, 'more file')} could not be read.")
    if report.changing:
        _say(f"{counted(report.changing, 'file')} changed while being read: the same command reads what is there then.")
    if report.links:
        links = counted(report.links, "link was", "links were")
        _say(f"{links} not followed{' (--follow-links)' if has_options else ''}.")
    for folder in report.unread_folders:
        _say(f"{one_line(folder)} could not be entered; what is known of it stays.")
    for folder in report.absent_roots:
        _say(
            f"{one_line(folder)} is not there, or empty: what is known of it stays. "
            "Moved? diptych library relocate OLD NEW. Gone for good? diptych library remove."
        )


def _say(line: str) -> None:
    typer.echo(f"diptych: {line}", err=True)
