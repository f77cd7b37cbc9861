"""`diptych demo`: a first look at what the model sees in photographs, in the terminal and on a page."""

import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diptych.cli.options import Model

if TYPE_CHECKING:
    from diptych.demo.look import Look
    from diptych.images import ImageSource

TOP = 3  # labels a photo, and photos a search


def demo(
    photos: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="[PHOTO...]",
            help="Files, folders, globs, http(s) addresses. [dim]\\[default: photographs of the demo extra][/dim]",
            show_default=False,
        ),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help='Names between commas: "dog,cat". \\[default: everyday ones]')
    ] = None,
    search: Annotated[
        str | None, typer.Option(help='Searches between commas: "two dogs,snow". \\[default: the labels, or a few]')
    ] = None,
    most: Annotated[int, typer.Option(min=1, help="How many photos at most, from all along a large folder.")] = 60,
    output: Annotated[Path, typer.Option("--output", "-o", help="The page to write.")] = Path("diptych-demo.html"),
    model: Model = None,
) -> None:
    """Name photographs and find them by words, and make a page of it.

    [dim]Example: diptych demo ~/Pictures --labels "dog,cat,beach"[/dim]
    """
    from diptych.demo.look import TEMPLATES, look
    from diptych.demo.page import render
    from diptych.encode.choose import encoder_for
    from diptych.files import atomic_write
    from diptych.zeroshot import resolve_templates

    names, searches = _words(labels, search, are_own=bool(photos))
    unread: dict[int, str] = {}
    pictures = _pictures(photos, most, unread)
    sentences = len(names) * len(resolve_templates(TEMPLATES)) + len(searches)
    encoder = encoder_for(model, items=len(pictures) + sentences // 10)
    seen = look(encoder, pictures, names, searches, top=TOP, on_error=unread.setdefault)
    lines = [unread[index] for index in sorted(unread)]
    _print(seen, lines)
    if not seen.photos:
        typer.echo("diptych: none of the photos could be read.", err=True)
        raise typer.Exit(1)
    page = render(seen, model=model or "postcard", unread=lines)
    with atomic_write(output) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="backslashreplace")
    if model is None:
        typer.echo("\nSeen by postcard, a small model for trying things out: it is often wrong. --model names others.")
    _print_next(output, are_own=bool(photos))


def _words(labels: str | None, search: str | None, *, are_own: bool) -> tuple[list[str], list[str]]:
    from diptych.cli.labels import split_labels
    from diptych.demo.photographs import LABELS, SEARCHES
    from diptych.prompts import DEFAULT_LABELS

    names = split_labels(labels) if labels else list(DEFAULT_LABELS if are_own else LABELS)
    if len(names) == 1:
        raise ValueError("One label alone gets 100% whatever the photo shows: give at least two.")
    if search:
        return names, [text.strip() for text in search.split(",") if text.strip()]
    return names, names[:12] if labels else list(SEARCHES)


def _pictures(photos: list[str] | None, most: int, unread: dict[int, str]) -> "list[tuple[str, ImageSource]]":
    from diptych.cli.inputs import fetched, find_pictures
    from diptych.demo.look import spread
    from diptych.demo.photographs import find_photographs

    if not photos:
        return [(path.name, path) for path in find_photographs()]
    every = find_pictures(photos)
    pictures = spread(every, most)
    if len(pictures) < len(every):
        typer.echo(f"diptych: {len(pictures)} of {len(every):,} photos, from all along (--most).", err=True)
    sources = list(fetched(pictures, unread))
    return [(picture.name, source) for picture, source in zip(pictures, sources, strict=True)]


def _print(seen: "Look", unread: list[str]) -> None:
    from rich.markup import escape

    from diptych.cli.printing import console, print_ranked

    screen = console()
    for photo in seen.photos:
        print_ranked(screen, photo.name, photo.labels)
    for search in seen.searches if seen.photos else ():
        hits = ", ".join(f"{escape(photo.name)} [dim]{cosine:.3f}[/dim]" for photo, cosine in search.hits)
        screen.print(f"[bold]“{escape(search.text)}”[/bold]: {hits}", soft_wrap=True)
    for line in unread:
        typer.echo(f"diptych: {line}", err=True)


def _print_next(page: Path, *, are_own: bool) -> None:
    command = _command()
    typer.echo(f"\nThe same with the pictures: {page} (open it in a browser)\nNext:")
    if not are_own:
        typer.echo(f'  {command} demo ~/Pictures --labels "dog,cat,beach"')
    typer.echo(f'  {command} classify photo.jpg --labels "dog,cat"')
    typer.echo(f'  {command} classify photo.jpg --labels "dog,cat" --model ViT-B/32   (full size, downloads 350 MB)')


def _command() -> str:
    """How to call Diptych from here: `make demo` has put it where the shell does not look."""
    if shutil.which("diptych"):
        return "diptych"
    return sys.argv[0] if Path(sys.argv[0]).name == "diptych" else f"{sys.executable} -m diptych"
