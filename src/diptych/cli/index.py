"""`diptych index`: folders of photos into the library."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from diptych.cli.options import Device, DType, FollowLinks, Hidden, Library, Model

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diptych.library.indexing import IndexReport


def index(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FOLDER...]", help="Folders of photos, with all below them. \\[default: all known]"),
    ] = None,
    library: Library = None,
    model: Model = None,
    table: Annotated[
        Path | None, typer.Option(help="A catalogue instead: Parquet, CSV or JSON lines that name a picture a row.")
    ] = None,
    image_column: Annotated[
        str, typer.Option(help="Of the table: paths (from its folder), addresses, or pictures themselves.")
    ] = "image",
    id_column: Annotated[
        str | None, typer.Option(help="Of the table: what names a row. \\[default: the image]")
    ] = None,
    text_column: Annotated[str | None, typer.Option(help="Of the table: words to show with a picture.")] = None,
    hidden: Hidden = False,
    follow_links: FollowLinks = False,
    retry_failures: Annotated[
        bool, typer.Option("--retry-failures", help="Try files again that could not be read.")
    ] = False,
    vectors: Annotated[
        Literal["float16", "float32"] | None,
        typer.Option(help="How a model's vectors are stored. \\[default: float16]", show_default=False),
    ] = None,
    dtype: DType = "auto",
    device: Device = "auto",
) -> None:
    """Bring the library to what the folders hold: only new and changed photos are opened.

    Ctrl-C keeps what is done; the same command goes on. What a .diptychignore names is left out, as by .gitignore.

    Without a folder, all that the library knows is brought up to date.

    [dim]Example: diptych index ~/Pictures[/dim]
    """
    from diptych.library.catalogue_root import CatalogueRoot
    from diptych.library.library import PhotoLibrary
    from diptych.library.paths import absolute
    from diptych.library.roots import folder_roots

    with PhotoLibrary.open(library, model=model, device=device, dtype=dtype, create_missing=True) as opened:
        roots = folder_roots(folders or (), library=opened.folder, hidden=hidden, follow_links=follow_links)
        if table is not None:
            roots.append(
                CatalogueRoot(
                    path=absolute(table), image_column=image_column, id_column=id_column, text_column=text_column
                )
            )
        elif not roots and not opened.roots():
            raise ValueError("The library knows no folder yet: name one, diptych index FOLDER.")
        report = shown_to_the_end(opened.iter_index(*roots, retry_failures=retry_failures, vectors=vectors))
    typer.echo(counted(report))
    _say_what_is_missing(report)


def shown_to_the_end(run: "Iterator[IndexReport]") -> "IndexReport":
    """The last report of a run, whose progress is shown meanwhile."""
    from diptych.library.indexing import IndexReport
    from diptych.progress import Progress

    report = IndexReport()
    with Progress(total=None, label="Photos", unit="photos") as shown:
        for report in run:
            shown.update(report.done, report.total)
    return report


def counted(report: "IndexReport") -> str:
    """What a run did, in one line."""
    counts = {
        "new": report.encoded,
        "moved": report.moved,
        "copies of known ones": report.copied,
        "gone": report.forgotten,
        "unchanged": report.unchanged,
    }
    return ", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "no photos"


def _say_what_is_missing(report: "IndexReport") -> None:
    for fault in report.faults:
        typer.echo(f"diptych: {fault}", err=True)
    if report.failed:
        typer.echo(f"diptych: {report.failed:,} files could not be read: diptych library failures.", err=True)
    if report.links:
        typer.echo(f"diptych: {report.links:,} links were not followed (--follow-links).", err=True)
    for folder in report.unread_folders:
        typer.echo(f"diptych: {folder} could not be entered; what is known of it stays.", err=True)
    for folder in report.absent_roots:
        typer.echo(f"diptych: {folder} is not there, or empty: what is known of it stays.", err=True)
