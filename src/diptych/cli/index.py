"""`diptych index`: folders of photos into the library."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from diptych.cli.options import Device, DType, FollowLinks, Hidden, Library, LibraryModel
from diptych.cli.reports import run_index, say_skipped, summarise


def index(
    folders: Annotated[
        list[Path] | None,
        typer.Argument(metavar="FOLDER", help="Folders of photos, with all below them. \\[default: all known]"),
    ] = None,
    library: Library = None,
    model: LibraryModel = None,
    table: Annotated[
        Path | None, typer.Option(help="A catalogue instead: Parquet, CSV or JSON lines that name a picture a row.")
    ] = None,
    image_column: Annotated[
        str | None,
        typer.Option(
            help="Of the table: paths (from its folder), addresses, or pictures themselves. \\[default: image]"
        ),
    ] = None,
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

    columns = {"--image-column": image_column, "--id-column": id_column, "--text-column": text_column}
    if table is None and (given := [name for name, column in columns.items() if column is not None]):
        raise ValueError(f"{given[0]} is a column of a table, and none is given: --table FILE.")
    with PhotoLibrary.open(library, model=model, device=device, dtype=dtype, create_missing=True) as opened:
        roots = folder_roots(folders or (), hidden=hidden, follow_links=follow_links)
        if table is not None:
            roots.append(
                CatalogueRoot(
                    path=absolute(table),
                    image_column=image_column or "image",
                    id_column=id_column,
                    text_column=text_column,
                )
            )
        elif not roots and not opened.roots():
            raise ValueError("The library knows no folder yet: name one, diptych index FOLDER.")
        run = opened.iter_index(*roots, retry_failures=retry_failures, vectors=vectors)
        report, failures = run_index(opened, run)
    typer.echo(summarise(report))
    say_skipped(report, failures, has_options=True)
