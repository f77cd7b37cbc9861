"""`diptych watch`: the library kept up to date while folders change."""

import time
from pathlib import Path
from typing import Annotated

import typer

from diptych.cli.options import Device, DType, FollowLinks, Hidden, Library, LibraryModel
from diptych.cli.printing import one_line
from diptych.cli.reports import run_index, say_skipped, summarise


def watch(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FOLDER", help="Folders of photos. \\[default: all that the library knows]"),
    ] = None,
    library: Library = None,
    model: LibraryModel = None,
    hidden: Hidden = False,
    follow_links: FollowLinks = False,
    dtype: DType = "auto",
    device: Device = "auto",
) -> None:
    """Index folders, then again whatever changes in them, until Ctrl-C. A line for each change.

    [dim]Example: diptych watch ~/Pictures[/dim]
    """
    import threading

    from diptych.library.library import PhotoLibrary
    from diptych.library.roots import folder_roots
    from diptych.library.watching import watch as watch_roots

    with PhotoLibrary.open(library, model=model, device=device, dtype=dtype, create_missing=True) as opened:
        roots = folder_roots(folders or (), hidden=hidden, follow_links=follow_links)
        roots = roots or opened.roots()
        if not roots:
            raise ValueError("The library knows no folder yet: name one, diptych watch FOLDER.")
        typer.echo(f"diptych: watching {', '.join(one_line(root.path) for root in roots)} (Ctrl-C ends it)", err=True)
        for run in watch_roots(opened, roots, stop=threading.Event()):
            report, failures = run_index(opened, run)
            if report.done or report.forgotten or report.described:
                typer.echo(f"{time.strftime('%H:%M:%S')}  {summarise(report)}")
            say_skipped(report, failures, has_options=True)
