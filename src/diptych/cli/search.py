"""`diptych search` and `diptych similar`: photos of the library by words and by example."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diptych.cli.hits import Output, show_hits
from diptych.cli.nothing import Asked, say_if_nothing
from diptych.cli.options import Device, DType, Library, LibraryModel

if TYPE_CHECKING:
    from diptych.library.filters import Near
    from diptych.library.query import Term

_FILTERS, _OUTPUT = "Filters", "What is printed"
Paths = Annotated[bool, typer.Option("--paths", help="Print paths alone.", rich_help_panel=_OUTPUT)]
Zero = Annotated[bool, typer.Option("-0", help="Paths, each ended by a NUL: for xargs -0.", rich_help_panel=_OUTPUT)]
Html = Annotated[
    Path | None,
    typer.Option(
        "--html", help="Write a contact sheet, too: one HTML file with the pictures.", rich_help_panel=_OUTPUT
    ),
]
Opens = Annotated[
    bool, typer.Option("--open", help="Open the contact sheet, or else the best photo.", rich_help_panel=_OUTPUT)
]
PrintJson = Annotated[bool, typer.Option("--json", help="Print JSON for programs.", rich_help_panel=_OUTPUT)]
Pictures = Annotated[
    bool | None,
    typer.Option(
        "--pictures/--no-pictures",
        help="Show the photos in the terminal. \\[default: where it says that it can]",
        show_default=False,
        rich_help_panel=_OUTPUT,
    ),
]


def search(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="WORD",
            help='Words, or terms: "dog + 0.5:snow - people", "img:beach.jpg", "photo:17".',
            show_default=False,
        ),
    ] = None,
    image: Annotated[
        list[Path] | None,
        typer.Option("--image", "-i", help="A picture to find the like of; added to the words, if there are any."),
    ] = None,
    library: Library = None,
    model: LibraryModel = None,
    dtype: DType = "auto",
    device: Device = "auto",
    top: Annotated[int, typer.Option(min=1, help="How many photos.")] = 20,
    skip: Annotated[int, typer.Option(min=0, help="How many of the best to leave out, for the next page.")] = 0,
    threshold: Annotated[float | None, typer.Option(help="Only photos of at least this cosine.")] = None,
    min_relevance: Annotated[
        float | None, typer.Option(help="Only photos that stand out so far for the words: from 0.5 on they match.")
    ] = None,
    folder: Annotated[
        Path | None, typer.Option(help="Only photos under this folder.", rich_help_panel=_FILTERS)
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Taken in or after 2024, 2024-05 or 2024-05-31.", rich_help_panel=_FILTERS)
    ] = None,
    until: Annotated[str | None, typer.Option(help="Taken in or before.", rich_help_panel=_FILTERS)] = None,
    camera: Annotated[str | None, typer.Option(help="A part of the camera's name.", rich_help_panel=_FILTERS)] = None,
    image_format: Annotated[
        str | None, typer.Option("--format", help="jpg, png, heic, tif ...", rich_help_panel=_FILTERS)
    ] = None,
    min_side: Annotated[
        int | None, typer.Option(min=1, help="Pixels of the shorter side.", rich_help_panel=_FILTERS)
    ] = None,
    near: Annotated[
        str | None, typer.Option(help="Latitude, longitude and kilometres: 48.86,2.35,20.", rich_help_panel=_FILTERS)
    ] = None,
    field: Annotated[
        list[str] | None,
        typer.Option(
            help='Of a catalogue: "brand=Acme", "price<=20", "title~shoe". May be repeated.', rich_help_panel=_FILTERS
        ),
    ] = None,
    where: Annotated[
        str | None, typer.Option(help="SQL over the table photos: \"camera LIKE 'Leica%'\".", rich_help_panel=_FILTERS)
    ] = None,
    as_json: PrintJson = False,
    as_paths: Paths = False,
    zero: Zero = False,
    html: Html = None,
    opens: Opens = False,
    pictures: Pictures = None,
) -> None:
    """Find photos of the library by words, by example, or by both.

    [dim]Example: diptych search "two dogs in snow" --since 2023[/dim]
    """
    from diptych.library.field_filters import parse_field_filter
    from diptych.library.filters import Filters
    from diptych.library.library import PhotoLibrary
    from diptych.library.search import JUDGED

    output = Output(as_json=as_json, as_paths=as_paths, zero=zero, html=html, opens=opens, pictures=pictures)
    query = " ".join(words) if words else None
    terms = _terms(query, image)
    names = [each.name for each in image or ()]
    filters = Filters(
        folder=str(folder.expanduser().resolve()) if folder else None,
        since=since,
        until=until,
        camera=camera,
        format=image_format,
        min_side=min_side,
        near=_near(near) if near else None,
        fields=tuple(map(parse_field_filter, field or ())),
        where=where,
    )
    with PhotoLibrary.open(library, model=model, device=device, dtype=dtype) as opened:
        asked = Asked(terms=terms, filters=filters, skip=skip, threshold=threshold, min_relevance=min_relevance)
        judged = top if skip else max(top, JUDGED)
        found = opened.search(
            terms, filters=filters, top=judged, skip=skip, threshold=threshold, min_relevance=min_relevance
        )
        say_if_nothing(opened, found, asked)
        show_hits(opened, found[:top], output, title=" + ".join([*filter(None, [query]), *names]), first=skip + 1)


def similar(
    photo: Annotated[
        str, typer.Argument(metavar="PHOTO", help="A file, of the library or not; photo:17 of the library.")
    ],
    library: Library = None,
    model: LibraryModel = None,
    dtype: DType = "auto",
    device: Device = "auto",
    top: Annotated[int, typer.Option(min=1, help="How many photos.")] = 20,
    as_json: PrintJson = False,
    as_paths: Paths = False,
    zero: Zero = False,
    html: Html = None,
    opens: Opens = False,
    pictures: Pictures = None,
) -> None:
    """Find the photos of the library that look most like one, without itself.

    [dim]Example: diptych similar beach.jpg[/dim]
    """
    from diptych.cli.pointing import parse_photo
    from diptych.library.library import PhotoLibrary

    output = Output(as_json=as_json, as_paths=as_paths, zero=zero, html=html, opens=opens, pictures=pictures)
    number = parse_photo(photo)
    path = Path(photo).expanduser()
    with PhotoLibrary.open(library, model=model, device=device, dtype=dtype) as opened:
        hits = opened.similar(path if number is None else number, top=top)
        if not hits:
            typer.echo("diptych: there is no other photo.", err=True)
        show_hits(opened, hits, output, title=f"Like {photo if number is not None else path.name}")


def _terms(query: str | None, images: list[Path] | None) -> "list[Term]":
    """Those of the words, and each picture as one more."""
    from diptych.library.query import Picture, Term, parse_query

    if query is None and not images:
        raise ValueError('Say what to find, in words ("two dogs in snow") or by example (--image photo.jpg).')
    words = list(parse_query(query)) if query is not None else []
    return [*words, *(Term(Picture(str(image.expanduser()))) for image in images or ())]


def _near(text: str) -> "Near":
    from diptych.library.filters import Near

    parts = text.split(",")
    try:
        latitude, longitude, km = map(float, parts)
    except ValueError as error:
        raise ValueError(f"--near takes latitude, longitude and kilometres (48.86,2.35,20), got {text!r}.") from error
    return Near(latitude=latitude, longitude=longitude, km=km)
