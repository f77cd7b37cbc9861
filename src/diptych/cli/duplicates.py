"""`diptych duplicates`: photos that are there more than once."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from diptych.cli.options import Json, Library, LibraryModel
from diptych.cli.printing import one_line

if TYPE_CHECKING:
    from diptych.library.duplicates import Copy, Duplicates

_JSON = ("width", "height", "size", "cosine", "is_exact")


def duplicates(
    library: Library = None,
    model: LibraryModel = None,
    threshold: Annotated[float, typer.Option(min=0.5, max=1.0, help="From which cosine two are the same.")] = 0.97,
    as_json: Json = False,
) -> None:
    """Group photos that are there more than once, the one to keep first. Nothing is deleted.

    [dim]Example: diptych duplicates --threshold 0.99[/dim]
    """
    import json

    from diptych.library.library import PhotoLibrary

    with PhotoLibrary.open(library, model=model) as opened:
        groups = opened.duplicates(threshold=threshold)
    if as_json:
        typer.echo(json.dumps([to_plain(group) for group in groups], indent=2))
        return
    for group in groups:
        typer.echo(f"keep   {one_line(group.keep.source)}  {group.keep.width} x {group.keep.height}")
        for copy in group.others:
            how = "the same bytes" if copy.is_exact else f"cosine {copy.cosine:.3f}"
            typer.echo(f"  like {one_line(copy.source)}  {copy.width} x {copy.height}, {how}")
    if not groups:
        typer.echo(f"no duplicates (--threshold {threshold:g})")


def to_plain(group: "Duplicates") -> dict[str, Any]:
    """A group as `--json` prints it."""
    return {"keep": _plain(group.keep), "others": [_plain(copy) for copy in group.others]}


def _plain(copy: "Copy") -> dict[str, Any]:
    plain = {name: getattr(copy, name) for name in _JSON}
    return {"id": copy.id, "path": copy.source, "is_file": copy.source.is_file, **plain}
