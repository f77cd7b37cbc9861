"""`diptych search` and `diptych similar`: photos of the library by words and by example."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diptych.cli.options import Json, Library, Model
from diptych.cli.printing import one_line

if TYPE_CHECKING:
    from diptych.library.filters import Near
    from diptych.library.search import Hit


def search(
    query: Annotated[
        str, typer.Argument(help='Words, or terms: "dog + 0.5:snow - people", "img:beach.jpg", "photo:17".')
    ],
    library: Library = None,
    model: Model = None,
    top: Annotated[int, typer.Option(min=1, help="How many photos.")] = 20,
    skip: Annotated[int, typer.Option(min=0, help="How many of the best to leave out, for the next page.")] = 0,
    threshold: Annotated[float, typer.Option(help="Only photos of at least this cosine.")] = -1.0,
    folder: Annotated[Path | None, typer.Option(help="Only photos under this folder.")] = None,
    since: Annotated[str | None, typer.Option(help="Taken in or after 2024, 2024-05 or 2024-05-31.")] = None,
    until: Annotated[str | None, typer.Option(help="Taken in or before.")] = None,
    camera: Annotated[str | None, typer.Option(help="A part of the camera's name.")] = None,
    image_format: Annotated[str | None, typer.Option("--format", help="JPEG, PNG, HEIF ...")] = None,
    min_side: Annotated[int | None, typer.Option(min=1, help="Pixels of the shorter side.")] = None,
    near: Annotated[str | None, typer.Option(help="Latitude, longitude and kilometres: 48.86,2.35,20.")] = None,
    where: Annotated[str | None, typer.Option(help="SQL over the table photos: \"camera LIKE 'Leica%'\".")] = None,
    as_json: Json = False,
    as_paths: Annotated[bool, typer.Option("--paths", help="Print paths alone.")] = False,
    zero: Annotated[bool, typer.Option("-0", help="Paths, each ended by a NUL: for xargs -0.")] = False,
) -> None:
    """Find photos of the library by words, by example, or by both.

    [dim]Example: diptych search "two dogs in snow" --since 2023[/dim]
    """
    from diptych.library.filters import Filters
    from diptych.library.library import PhotoLibrary

    filters = Filters(
        folder=str(folder.expanduser().resolve()) if folder else None,
        since=since,
        until=until,
        camera=camera,
        format=image_format,
        min_side=min_side,
        near=_near(near) if near else None,
        where=where,
    )
    with PhotoLibrary.open(library, model=model) as opened:
        hits = opened.search(query, filters=filters, top=top, skip=skip, threshold=threshold)
    _print_hits(hits, as_json=as_json, as_paths=as_paths, zero=zero)


def similar(
    photo: Annotated[Path, typer.Argument(metavar="PHOTO", help="A picture, of the library or not.")],
    library: Library = None,
    model: Model = None,
    top: Annotated[int, typer.Option(min=1, help="How many photos.")] = 20,
    as_json: Json = False,
    as_paths: Annotated[bool, typer.Option("--paths", help="Print paths alone.")] = False,
) -> None:
    """Find the photos of the library that look most like one, without itself.

    [dim]Example: diptych similar beach.jpg[/dim]
    """
    from diptych.library.library import PhotoLibrary
    from diptych.library.query import Picture, Term

    path = photo.expanduser().resolve()
    with PhotoLibrary.open(library, model=model) as opened:
        hits = opened.search([Term(Picture(str(photo)))], top=top + 1)
    _print_hits([hit for hit in hits if hit.source != str(path)][:top], as_json=as_json, as_paths=as_paths, zero=False)


def _print_hits(hits: "list[Hit]", *, as_json: bool, as_paths: bool, zero: bool) -> None:
    import json

    if zero:
        typer.echo("".join(f"{hit.source}\0" for hit in hits), nl=False)
    elif as_json:
        typer.echo(json.dumps([{"path": hit.source, **vars(hit)} for hit in hits], indent=2))
    elif as_paths:
        for hit in hits:
            typer.echo(hit.source)
    else:
        for hit in hits:
            typer.echo(f"{hit.score:.3f}  {one_line(hit.source)}")


def _near(text: str) -> "Near":
    from diptych.library.filters import Near

    parts = text.split(",")
    try:
        latitude, longitude, km = map(float, parts)
    except ValueError as error:
        raise ValueError(f"--near takes latitude, longitude and kilometres (48.86,2.35,20), got {text!r}.") from error
    return Near(latitude=latitude, longitude=longitude, km=km)
