"""`diptych library`: what the photo library holds, and its upkeep."""

import time
from pathlib import Path
from typing import Annotated

import typer

from diptych.cli.options import Json, Library
from diptych.cli.printing import one_line

library = typer.Typer(help="What the photo library holds, and its upkeep.", no_args_is_help=True)


@library.command()
def info(library: Library = None, as_json: Json = False) -> None:
    """Say what the library holds.

    [dim]Example: diptych library info[/dim]
    """
    import json

    from diptych.files import describe_size
    from diptych.library.library import PhotoLibrary

    with PhotoLibrary.open(library) as opened:
        facts = opened.info()
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    typer.echo(f"{facts['folder']}: {describe_size(facts['bytes'])}")
    for root in facts["roots"]:
        typer.echo(f"  {root['path']}: {root['photos']:,} photos, {root['failures']:,} files that cannot be read")
    for model in facts["models"]:
        typer.echo(f"  {model['name']}: {model['vectors']:,} vectors of {model['width']} numbers")
    for job in facts["jobs"][:1]:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(job["started_at"]))
        outcome = job["outcome"] or "goes on, or was killed"
        typer.echo(f"  last indexed {when}: {job['done']:,} of {job['total']:,} files, {one_line(outcome)}")


@library.command()
def failures(library: Library = None, as_json: Json = False) -> None:
    """List the files that could not be read, and why. They are tried again once they change.

    [dim]Example: diptych library failures[/dim]
    """
    import json

    from diptych.library.library import PhotoLibrary

    with PhotoLibrary.open(library) as opened:
        found = opened.failures()
    if as_json:
        typer.echo(json.dumps([{"path": each.source, "reason": each.reason} for each in found], indent=2))
        return
    for each in found:
        typer.echo(f"{one_line(each.source)}: {each.reason}")


@library.command("list")
def list_photos(library: Library = None, as_json: Json = False) -> None:
    """List the photos of the library.

    [dim]Example: diptych library list --json[/dim]
    """
    import json

    from diptych.library.library import PhotoLibrary

    with PhotoLibrary.open(library) as opened:
        found = opened.photos()
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for each in found:
        typer.echo(f"{each['id']}  {one_line(each['path'])}")


@library.command()
def check(library: Library = None) -> None:
    """Check that the library is whole: the database, its hashes, every vector.

    [dim]Example: diptych library check[/dim]
    """
    from diptych.library.library import PhotoLibrary

    with PhotoLibrary.open(library) as opened:
        report = opened.check()
    for fault in report.faults:
        typer.echo(f"diptych: {fault}", err=True)
    typer.echo(f"{report.photos:,} photos, {report.vectors:,} vectors, {len(report.faults):,} faults")
    if report.faults:
        raise typer.Exit(1)


@library.command()
def remove(
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="A folder that was indexed.")], library: Library = None
) -> None:
    """Forget a folder and all its photos. The files stay as they are.

    [dim]Example: diptych library remove ~/Pictures[/dim]
    """
    from diptych.library.library import PhotoLibrary

    with PhotoLibrary.open(library) as opened:
        typer.echo(f"{opened.remove(root):,} photos forgotten")


@library.command()
def relocate(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Where a folder was when it was indexed.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Where it is now.")],
    library: Library = None,
) -> None:
    """Say that a folder lies elsewhere now; nothing is computed again.

    [dim]Example: diptych library relocate /mnt/old/Pictures ~/Pictures[/dim]
    """
    from diptych.library.library import PhotoLibrary

    with PhotoLibrary.open(library) as opened:
        typer.echo(f"{opened.relocate(old, new):,} photos relocated")
