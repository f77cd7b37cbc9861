"""`diptych moderate`: the photos of a folder or a library that a policy describes."""

from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diptych.cli.options import Json, Library, Model
from diptych.cli.printing import one_line, print_table

if TYPE_CHECKING:
    from diptych.library.moderation import Moderated, Reason
    from diptych.library.policy import Policy

FOUND = 3  # the exit status for findings, where it was asked for


def moderate(
    place: Annotated[
        Path | None,
        typer.Argument(metavar="[FOLDER|LIBRARY]", help="Photos, or a library; without it, your own library."),
    ] = None,
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
    model: Model = None,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
) -> None:
    """Find the photos that a policy describes in words, with reasons. Nothing is deleted or moved.

    It helps a person to look, and is no ground for a decision by itself: measure it on pictures of your own first.

    [dim]Example: diptych moderate uploads --policy policy.toml -o report.html[/dim]
    """
    from diptych.cli.pointing import refreshed
    from diptych.library.policy import read_policy
    from diptych.library.policy import sample_policy as sample
    from diptych.library.results import check_results_path
    from diptych.library.target import open_target

    if sample_policy:
        typer.echo(sample(), nl=False)
        return
    if policy is None:
        raise ValueError("Say what to look for: --policy FILE. --sample-policy prints one to begin with.")
    rules = read_policy(policy)
    if output is not None:
        check_results_path(output)
    target = open_target(place, library=library, model=model, dtype=dtype, device=device)
    with target.library:
        refreshed(target)
        photos = target.library.moderate(rules, filters=target.filters)
        counts = Counter(_put(photos, output, every=every, as_json=as_json))
    if not as_json:
        _print_summary(rules, counts)
    if fail_on_findings and counts.total() > counts[None]:
        raise typer.Exit(FOUND)


def _put(photos: "Iterable[Moderated]", output: Path | None, *, every: bool, as_json: bool) -> Iterator[str | None]:
    """Print the findings or write them; the name of each category that was found, and None for each photo."""
    import json

    from diptych.library.moderation import COLUMNS, record
    from diptych.library.results import open_results

    printed = []
    writing = nullcontext() if output is None else open_results(output, COLUMNS)
    with writing as write:
        for photo in photos:
            for reason in photo.reasons if every else photo.found:
                if write is not None:
                    write(record(photo, reason))
                if as_json:
                    printed.append(record(photo, reason))
                elif output is None:
                    _print_reason(photo, reason)
            yield None
            yield from (reason.category.name for reason in photo.found)
    if as_json:
        typer.echo(json.dumps(printed, indent=2))


def _print_reason(photo: "Moderated", reason: "Reason") -> None:
    found = f"{reason.category.action}: {reason.category.name} {reason.probability:.0%} ({reason.above:+.0%})"
    typer.echo(f"{one_line(photo.source.name)}  {found}, {reason.prompt!r} cosine {reason.cosine:.3f}")


def _print_summary(policy: "Policy", counts: "Counter[str | None]") -> None:
    photos = counts[None]
    rows = [
        (each.name, each.action, f"{counts[each.name]:,}", f"{counts[each.name] / max(photos, 1):.1%}")
        for each in policy.category
    ]
    print_table(("category", "action", f"of {photos:,} photos", "share"), rows, names=2)
