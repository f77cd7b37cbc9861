"""`diptych map`: a library on a plane, as an HTML page or a PNG."""

from pathlib import Path
from typing import Annotated

import typer

from diptych.cli.options import Device, DType, GroupCount, Library, LibraryModel, Place, VocabularyFile
from diptych.cli.printing import counted, one_line


def map_photos(
    place: Place = None,
    output: Annotated[
        Path, typer.Option("--output", "-o", help="The file to write: .html to look around in, or .png.")
    ] = Path("diptych-map.html"),
    clusters: GroupCount = None,
    vocabulary: VocabularyFile = None,
    opens: Annotated[bool, typer.Option("--open", help="Show the file when it is written.")] = False,
    library: Library = None,
    model: LibraryModel = None,
    dtype: DType = "auto",
    device: Device = "auto",
) -> None:
    """Lay photos out on a plane, those that look alike near each other, in named groups.

    [dim]Example: diptych map ~/Pictures -o map.html --open[/dim]
    """
    from diptych.cli.pointing import refresh
    from diptych.files import check_writable
    from diptych.library.map_image import write_png
    from diptych.library.map_page import write_page
    from diptych.library.target import open_target
    from diptych.library.vocabulary import read_texts

    writers = {".html": write_page, ".htm": write_page, ".png": write_png}
    check_writable(output, tuple(writers))
    words = None if vocabulary is None else read_texts(vocabulary)
    target = open_target(place, library=library, model=model, dtype=dtype, device=device)
    with target.library as opened:
        refresh(target)
        made = opened.map(clusters, vocabulary=words, filters=target.filters)
    writers[output.suffix.lower()](made, output)
    if made.sheet is not None and made.sheet.unread:
        typer.echo(f"diptych: {_unread(made.sheet.unread)}", err=True)
    if made.left_out:
        typer.echo(f"diptych: {counted(made.left_out, 'photo')} more than a map shows left out, evenly.", err=True)
    typer.echo(f"{counted(len(made.photos), 'photo')} in {counted(len(made.groups), 'group')}: {one_line(output)}")
    if opens:
        from diptych.cli.viewer import open_in_viewer

        open_in_viewer(output)


def _unread(count: int) -> str:
    return counted(count, "photo could not be read; it is grey.", "photos could not be read; they are grey.")
