"""`diptych cluster`: photos in groups, each named by words."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diptych.cli.options import PAGES, Device, DType, GroupCount, Json, Library, LibraryModel, Place, VocabularyFile
from diptych.cli.printing import counted, one_line

if TYPE_CHECKING:
    from collections.abc import Iterator

    from diptych.library.clusters import Clusters, Member
    from diptych.library.library import PhotoLibrary
    from diptych.library.sheet import SheetPhoto

_EXAMPLES = 3
_ON_A_SHEET = 11  # beside the central one: two rows of a page


def cluster(
    place: Place = None,
    count: GroupCount = None,
    min_size: Annotated[int, typer.Option(min=1, help="Groups of fewer photos are dissolved.")] = 2,
    vocabulary: VocabularyFile = None,
    html: Annotated[Path | None, typer.Option(help="Write a contact sheet of the groups, an HTML page.")] = None,
    as_json: Json = False,
    library: Library = None,
    model: LibraryModel = None,
    dtype: DType = "auto",
    device: Device = "auto",
) -> None:
    """Put photos that look alike into groups, and name each by the words nearest to it. Nothing is moved.

    [dim]Example: diptych cluster ~/Pictures --count 20[/dim]
    """
    import json

    from diptych.cli.pointing import refresh
    from diptych.files import check_writable
    from diptych.library.target import open_target
    from diptych.library.vocabulary import read_texts

    words = None if vocabulary is None else read_texts(vocabulary)
    if html is not None:
        check_writable(html, PAGES)
    target = open_target(place, library=library, model=model, dtype=dtype, device=device)
    with target.library as opened:
        refresh(target)
        found = opened.clusters(count, vocabulary=words, min_size=min_size, filters=target.filters)
        if html is not None:
            from diptych.library.sheet import write_sheet

            write_sheet(html, "Groups of photos", _sheet(opened, found))
    if as_json:
        typer.echo(json.dumps(to_plain(found), indent=2))
    else:
        _print(found)


def to_plain(found: "Clusters") -> dict[str, Any]:
    """The groups as `--json` prints them."""
    groups = [
        {
            "name": group.name,
            "words": [vars(word) for word in group.words],
            "size": len(group.members),
            "cohesion": group.cohesion,
            "photos": [_plain(member) for member in group.members],
        }
        for group in found.groups
    ]
    return {"groups": groups, "unassigned": [_plain(member) for member in found.unassigned]}


def _plain(member: "Member") -> dict[str, Any]:
    return {"id": member.id, "path": member.source, "score": member.score}


def _print(found: "Clusters") -> None:
    for group in found.groups:
        typer.echo(f"{len(group.members):,}  {one_line(group.name)}  (cohesion {group.cohesion:.2f})")
        for member in (group.central, *group.examples(_EXAMPLES)):
            typer.echo(f"    {one_line(member.source)}")
    if found.unassigned:
        typer.echo(f"{len(found.unassigned):,} in no group")
    if not found.groups and not found.unassigned:
        typer.echo("there are no photos here")


def _sheet(opened: "PhotoLibrary", found: "Clusters") -> "Iterator[tuple[str, Iterator[SheetPhoto]]]":
    for group in found.groups:
        shown = [group.central, *group.examples(_ON_A_SHEET)]
        yield f"{group.name}: {counted(len(group.members), 'photo')}", _photos(opened, shown)
    if found.unassigned:
        yield f"In no group: {len(found.unassigned):,}", _photos(opened, list(found.unassigned[: _ON_A_SHEET + 1]))


def _photos(opened: "PhotoLibrary", members: "list[Member]") -> "Iterator[SheetPhoto]":
    from diptych.library.sheet import SheetPhoto

    for member in members:
        yield SheetPhoto(
            source=member.source,
            thumbnail=opened.thumbnail(member.id),
            caption=f"{member.score:.3f}",
        )
