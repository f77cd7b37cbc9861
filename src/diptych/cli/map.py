"""`diptych map`: a library on a plane, as an HTML page or a PNG."""

from pathlib import Path
from typing import Annotated

import typer

from diptych.cli.cluster import Place, VocabularyFile, check_target
from diptych.cli.options import Library, Model
from diptych.cli.printing import one_line


def map_photos(
    place: Place = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write: .html to look around in, or .png.")
    ] = Path("diptych-map.html"),
    clusters: Annotated[
        int | None,
        typer.Option(min=1, help="How many groups. \\[default: the root of how many photos there are, at most 40]"),
    ] = None,
    vocabulary: VocabularyFile = None,
    opens: Annotated[bool, typer.Option("--open", help="Show the file when it is written.")] = False,
    library: Library = None,
    model: Model = None,
) -> None:
    """Lay photos out on a plane, those that look alike near each other, in named groups.

    [dim]Example: diptych map ~/Pictures -o map.html --open[/dim]
    """
    from diptych.cli.pointing import refreshed
    from diptych.library.map_image import write_png
    from diptych.library.map_page import write_page
    from diptych.library.target import open_target
    from diptych.library.vocabulary import read_texts

    writers = {".html": write_page, ".htm": write_page, ".png": write_png}
    if output.suffix.lower() not in writers:
        raise ValueError(f"A map is an .html page or a .png picture, got {output}.")
    check_target(output)
    words = None if vocabulary is None else read_texts(vocabulary)
    target = open_target(place, library=library, model=model)
    with target.library as opened:
        refreshed(target)
        made = opened.map(clusters, vocabulary=words, filters=target.filters)
    writers[output.suffix.lower()](made, output)
    if made.sheet is not None and made.sheet.unread:
        typer.echo(f"diptych: {made.sheet.unread:,} photos could not be read; they are grey.", err=True)
    if made.left_out:
        typer.echo(f"diptych: {made.left_out:,} photos more than a map shows were left out, evenly.", err=True)
    typer.echo(f"{len(made.photos):,} photos in {len(made.groups):,} groups: {one_line(output)}")
    if opens:
        from diptych.cli.viewer import open_in_viewer

        open_in_viewer(output)
