"""`diptych library`: what the photo library holds, and its upkeep."""

import time
from pathlib import Path
from typing import Annotated

import typer

from diptych.cli.options import Json, Library
from diptych.cli.printing import counted, one_line

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
    typer.echo(f"{one_line(facts['folder'])}: {describe_size(facts['bytes'])}")
    for root in facts["roots"]:
        failed = counted(root["failures"], "file that cannot", "files that cannot")
        typer.echo(f"  {one_line(root['path'])}: {counted(root['photos'], 'photo')}, {failed} be read")
    for place, model in enumerate(facts["models"]):
        vectors = f"{counted(model['vectors'], 'vector')} of {model['width']} numbers"
        typer.echo(f"  {one_line(model['name'])}: {vectors}{'' if place else ', the default'}")
    for job in facts["jobs"][:1]:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(job["started_at"]))
        outcome = one_line(job["outcome"] or "goes on, or was killed")
        files = f"{job['done']:,} of {counted(job['total'], 'file')}" if job["total"] else "nothing new"
        typer.echo(f"  last indexed {when}: {files}, {outcome}")


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
        typer.echo(f"{one_line(each.source)}: {one_line(each.reason)}")


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
        typer.echo(f"diptych: {one_line(fault)}", err=True)
    counts = (report.photos, "photo"), (report.vectors, "vector"), (len(report.faults), "fault")
    typer.echo(", ".join(counted(*count) for count in counts))
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
        typer.echo(f"{counted(opened.remove(root), 'photo')} forgotten")


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
        typer.echo(f"{counted(opened.relocate(old, new), 'photo')} relocated")


@library.command("forget-model")
def forget_model(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A model, as `library info` names it.")],
    library: Library = None,
) -> None:
    """Forget the vectors of a model, and photos that have none of another model. The files stay as they are.

    [dim]Example: diptych library forget-model postcard[/dim]
    """
    from diptych.library.library import PhotoLibrary

    with PhotoLibrary.open(library) as opened:
        typer.echo(f"{counted(opened.forget_model(name), 'vector')} forgotten")
