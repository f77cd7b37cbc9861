"""`diptych moderate`: the photos of a folder or a library that a policy describes."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diptych.cli.options import PAGES, Device, DType, Json, Library, LibraryModel, Place
from diptych.cli.printing import counted, describe_second, describe_source, print_table

if TYPE_CHECKING:
    from diptych.library.library import PhotoLibrary
    from diptych.library.moderation import Moderated, Reason
    from diptych.library.policy import Policy
    from diptych.library.tally import Tally

FOUND = 3  # the exit status for findings, where it was asked for


def moderate(
    place: Place = None,
    policy: Annotated[Path | None, typer.Option(help="A TOML file of categories: see --sample-policy.")] = None,
    sample_policy: Annotated[
        bool, typer.Option("--sample-policy", help="Print a policy to begin with, and do nothing else.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write the findings to .html, .csv, .jsonl or .parquet.")
    ] = None,
    every: Annotated[
        bool, typer.Option("--all", help="Report all photos and categories, below the thresholds, too.")
    ] = False,
    fail_on_findings: Annotated[
        bool, typer.Option("--fail-on-findings", help=f"Exit with status {FOUND} if any photo is found.")
    ] = False,
    as_json: Json = False,
    library: Library = None,
    model: LibraryModel = None,
    dtype: DType = "auto",
    device: Device = "auto",
) -> None:
    """Find the photos that a policy describes in words, with reasons. Nothing is deleted or moved.

    It helps a person to look, and is no ground for a decision by itself: measure it on pictures of your own first.

    [dim]Example: diptych moderate uploads --policy policy.toml -o report.html[/dim]
    """
    from diptych.cli.pointing import refresh, say_unseen
    from diptych.library.policy import read_policy, read_sample_policy
    from diptych.library.results import SUFFIXES, check_results_path
    from diptych.library.target import open_target

    if sample_policy:
        typer.echo(read_sample_policy(), nl=False)
        return
    if policy is None:
        raise ValueError("Say what to look for: --policy FILE. --sample-policy prints one to begin with.")
    rules = read_policy(policy)
    page = output if output is not None and output.suffix.lower() in PAGES else None
    if output is not None:
        check_results_path(output, (*PAGES, *SUFFIXES))
    target = open_target(place, library=library, model=model, dtype=dtype, device=device)
    with target.library:
        refresh(target)
        photos = target.library.moderate(rules, filters=target.filters)
        tally = _count(photos, output, every=every, as_json=as_json)
        if page is not None:
            _write_page(page, target.library, rules, tally)
        say_unseen(target, tally.photos)
    if not as_json:
        _print_summary(rules, tally)
    if fail_on_findings and tally.counts:
        raise typer.Exit(FOUND)


def _count(photos: "Iterable[Moderated]", output: Path | None, *, every: bool, as_json: bool) -> "Tally":
    """Give out the findings, and count them by category."""
    from diptych.cli.rows import open_rows
    from diptych.library.moderation import COLUMNS, to_record
    from diptych.library.tally import Named, Tally

    tally = Tally()
    with open_rows(output, COLUMNS, as_json=as_json) as give:
        for photo in photos:
            for reason in photo.reasons if every else photo.found:
                give(to_record(photo, reason), _line(photo, reason))
            found = [Named(each.category.name, each.probability, _why(each), each.second) for each in photo.found]
            tally.add(photo.id, photo.source, found)
    return tally


def _write_page(page: Path, library: "PhotoLibrary", policy: "Policy", tally: "Tally") -> None:
    from diptych.library.sheet import write_sheet

    groups = [
        (f"{each.name}: {tally.counts[each.name]:,} to {each.action}", tally.sheet(library, each.name))
        for each in policy.category
    ]
    about = ["A model's guesses, for a person to look at: photos are missed, and found that are fine."]
    write_sheet(page, f"Findings in {counted(tally.photos, 'photo')}", groups, about=about)


def _why(reason: "Reason") -> str:
    second = "" if reason.second is None else f", at {describe_second(reason.second)}"
    return f"{reason.probability:.0%} ({reason.above:+.0%}), {reason.prompt!r} cosine {reason.cosine:.3f}{second}"


def _line(photo: "Moderated", reason: "Reason") -> str:
    return f"{describe_source(photo.source)}  {reason.category.action}: {reason.category.name} {_why(reason)}"


def _print_summary(policy: "Policy", tally: "Tally") -> None:
    counts, photos = tally.counts, tally.photos
    rows = [
        (each.name, each.action, f"{counts[each.name]:,}", f"{counts[each.name] / max(photos, 1):.1%}")
        for each in policy.category
    ]
    print_table(("category", "action", f"of {counted(photos, 'photo')}", "share"), rows, names=2)
