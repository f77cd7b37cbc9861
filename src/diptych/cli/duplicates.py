"""`diptych duplicates`: photos that are there more than once."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diptych.cli.options import PAGES, Json, Library, LibraryModel
from diptych.cli.printing import counted, describe_source
from diptych.files import check_writable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from diptych.library.duplicates import Copy, Duplicates
    from diptych.library.library import PhotoLibrary
    from diptych.library.sheet import SheetPhoto

_JSON = ("width", "height", "size", "cosine", "is_exact")


def duplicates(
    library: Library = None,
    model: LibraryModel = None,
    threshold: Annotated[float, typer.Option(min=0.5, max=1.0, help="From which cosine two are the same.")] = 0.97,
    folder: Annotated[Path | None, typer.Option(help="Only photos under this folder.")] = None,
    html: Annotated[
        Path | None, typer.Option(help="Write a contact sheet of the groups, an HTML page to check them on.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Group photos that are there more than once, the one to keep first. Nothing is deleted.

    Those that do not have the same bytes only look alike to the model: look at them before you delete any.

    [dim]Example: diptych duplicates --html duplicates.html[/dim]
    """
    import json

    from diptych.cli.nothing import explain_filters
    from diptych.library.filters import Filters
    from diptych.library.library import PhotoLibrary

    if html is not None:
        check_writable(html, PAGES)
    filters = Filters(folder=folder)
    with PhotoLibrary.open(library, model=model) as opened:
        groups = opened.duplicates(threshold=threshold, filters=filters)
        if not groups and not opened.count(filters):
            typer.echo(f"diptych: {explain_filters(opened, filters)}", err=True)
        if html is not None:
            _write_sheet(opened, groups, html)
    if as_json:
        typer.echo(json.dumps([to_plain(group) for group in groups], indent=2))
        return
    for group in groups:
        typer.echo(f"keep   {describe_source(group.keep.source)}  {group.keep.width} x {group.keep.height}")
        for copy in group.others:
            typer.echo(f"  like {describe_source(copy.source)}  {copy.width} x {copy.height}, {_likeness(copy)}")
    if not groups:
        typer.echo(f"no duplicates (--threshold {threshold:g})")


def to_plain(group: "Duplicates") -> dict[str, Any]:
    """A group as `--json` prints it."""
    return {"keep": _plain(group.keep), "others": [_plain(copy) for copy in group.others]}


def _plain(copy: "Copy") -> dict[str, Any]:
    plain = {name: getattr(copy, name) for name in _JSON}
    place = {"path": copy.source, "is_file": copy.source.is_file, "key": copy.source.key}
    return {"id": copy.id, **place, **plain}


def _likeness(copy: "Copy") -> str:
    return "the same bytes" if copy.is_exact else f"cosine {copy.cosine:.3f}"


def _write_sheet(library: "PhotoLibrary", groups: "Sequence[Duplicates]", target: Path) -> None:
    from diptych.library.sheet import write_sheet

    about = ["The first of each group has the most pixels. What only looks alike to the model may be something else."]
    pages = ((counted(1 + len(group.others), "photo"), _photos(library, group)) for group in groups)
    write_sheet(target, "Photos that are there more than once", pages, about=about)


def _photos(library: "PhotoLibrary", group: "Duplicates") -> "Iterator[SheetPhoto]":
    from diptych.files import describe_size
    from diptych.library.sheet import SheetPhoto

    photos = [group.keep, *group.others]
    thumbnails = library.thumbnails((photo.id, None) for photo in photos)
    for photo, made in zip(photos, thumbnails, strict=True):
        how = "keep" if photo is group.keep else _likeness(photo)
        facts = f"{photo.width} x {photo.height}, {describe_size(photo.size)}"
        yield SheetPhoto(source=photo.source, thumbnail=made, caption=f"{how}: {facts}")
