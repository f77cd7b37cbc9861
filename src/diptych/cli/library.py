"""`diptych index`, `diptych search` and `diptych library`: the photo library."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diptych.cli.options import Json, Model

if TYPE_CHECKING:
    from diptych.library.filters import Near
    from diptych.library.indexing import IndexReport
    from diptych.library.search import Hit

library = typer.Typer(help="What the photo library holds, and its upkeep.", no_args_is_help=True)

Library = Annotated[
    Path | None,
    typer.Option(
        "--library",
        envvar="DIPTYCH_LIBRARY",
        help="The library's folder. \\[default: diptych/library in your data directory]",
    ),
]


def index(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Folders of photos, with all below them.")],
    library: Library = None,
    model: Model = None,
    hidden: Annotated[bool, typer.Option("--hidden", help="Enter hidden folders, too.")] = False,
    follow_links: Annotated[bool, typer.Option("--follow-links", help="Follow links to files and folders.")] = False,
    retry_failures: Annotated[
        bool, typer.Option("--retry-failures", help="Try files again that could not be read.")
    ] = False,
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")] = "auto",
) -> None:
    """Bring the library to what the folders hold: only new and changed photos are opened.

    Ctrl-C keeps what is done; the same command goes on. What a .diptychignore names is left out, as by .gitignore.

    [dim]Example: diptych index ~/Pictures[/dim]
    """
    from diptych.encode.choose import encoder_for
    from diptych.library.indexing import IndexOptions
    from diptych.library.library import PhotoLibrary
    from diptych.progress import Progress

    options = IndexOptions(hidden=hidden, follow_links=follow_links, retry_failures=retry_failures)
    with PhotoLibrary.open(library, create_missing=True) as opened:
        name = model or opened.default_model_name()
        encoder = encoder_for(name, items=1_000_000, preprocess="fast", dtype=dtype, device=device)
        with Progress(total=None, label="Photos", unit="photos") as shown:
            for report in opened.index(folders, encoder, name=name, options=options):
                shown.update(report.done, report.total)
        _print_report(report)


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
    from diptych.encode.choose import encoder_for
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
    with PhotoLibrary.open(library) as opened:
        name = opened.model(model).name
        hits = opened.search(
            query,
            lambda: encoder_for(name, items=1),
            model=name,
            filters=filters,
            top=top,
            skip=skip,
            threshold=threshold,
        )
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
    from diptych.encode.choose import encoder_for
    from diptych.library.library import PhotoLibrary
    from diptych.library.query import Picture, Term

    path = photo.expanduser().resolve()
    with PhotoLibrary.open(library) as opened:
        name = opened.model(model).name
        term = Term(Picture(str(photo)))
        hits = opened.search([term], lambda: encoder_for(name, items=1), model=name, top=top + 1)
    _print_hits([hit for hit in hits if hit.path != path][:top], as_json=as_json, as_paths=as_paths, zero=False)


def duplicates(
    library: Library = None,
    model: Model = None,
    threshold: Annotated[float, typer.Option(min=0.5, max=1.0, help="From which cosine two are the same.")] = 0.97,
    as_json: Json = False,
) -> None:
    """Group photos that are there more than once, the one to keep first. Nothing is deleted.

    [dim]Example: diptych duplicates --threshold 0.99[/dim]
    """
    import json
    from dataclasses import asdict

    from diptych.library.library import PhotoLibrary

    with PhotoLibrary.open(library) as opened:
        groups = opened.duplicates(threshold=threshold, model=model)
    if as_json:
        typer.echo(json.dumps([asdict(group) for group in groups], indent=2, default=str))
        return
    for group in groups:
        typer.echo(f"keep   {_shown(group.keep.path)}  {group.keep.width} x {group.keep.height}")
        for copy in group.others:
            how = "the same bytes" if copy.is_exact else f"cosine {copy.cosine:.3f}"
            typer.echo(f"  like {_shown(copy.path)}  {copy.width} x {copy.height}, {how}")
    if not groups:
        typer.echo(f"no duplicates (--threshold {threshold:g})")


@library.command()
def info(library: Library = None, as_json: Json = False) -> None:
    """Say what the library holds.

    [dim]Example: diptych library info[/dim]
    """
    import json

    from diptych.files import describe_size
    from diptych.library.library import PhotoLibrary

    with PhotoLibrary.open(library) as opened:
        facts = opened.info()
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    typer.echo(f"{facts['folder']}: {describe_size(facts['bytes'])}")
    for root in facts["roots"]:
        typer.echo(f"  {root['path']}: {root['photos']:,} photos, {root['failures']:,} files that cannot be read")
    for model in facts["models"]:
        typer.echo(f"  {model['name']}: {model['vectors']:,} vectors of {model['width']} numbers")


@library.command()
def failures(library: Library = None, as_json: Json = False) -> None:
    """List the files that could not be read, and why. They are tried again once they change.

    [dim]Example: diptych library failures[/dim]
    """
    import json

    from diptych.library.library import PhotoLibrary

    with PhotoLibrary.open(library) as opened:
        found = opened.failures()
    if as_json:
        typer.echo(json.dumps([{"path": str(each.path), "reason": each.reason} for each in found], indent=2))
        return
    for each in found:
        typer.echo(f"{_shown(each.path)}: {each.reason}")


@library.command("list")
def list_photos(library: Library = None, as_json: Json = False) -> None:
    """List the photos of the library.

    [dim]Example: diptych library list --json[/dim]
    """
    import json

    from diptych.library.library import PhotoLibrary

    with PhotoLibrary.open(library) as opened:
        found = opened.photos()
    if as_json:
        typer.echo(json.dumps(found, indent=2))
        return
    for each in found:
        typer.echo(f"{each['id']}  {_shown(each['path'])}")


@library.command()
def check(library: Library = None) -> None:
    """Check that the library is whole: the database, its hashes, every vector.

    [dim]Example: diptych library check[/dim]
    """
    from diptych.library.library import PhotoLibrary

    with PhotoLibrary.open(library) as opened:
        report = opened.check()
    for fault in report.faults:
        typer.echo(f"diptych: {fault}", err=True)
    typer.echo(f"{report.photos:,} photos, {report.vectors:,} vectors, {len(report.faults):,} faults")
    if report.faults:
        raise typer.Exit(1)


@library.command()
def remove(
    root: Annotated[Path, typer.Argument(metavar="ROOT", help="A folder that was indexed.")], library: Library = None
) -> None:
    """Forget a folder and all its photos. The files stay as they are.

    [dim]Example: diptych library remove ~/Pictures[/dim]
    """
    from diptych.library.library import PhotoLibrary

    with PhotoLibrary.open(library) as opened:
        typer.echo(f"{opened.remove(root):,} photos forgotten")


@library.command()
def relocate(
    old: Annotated[Path, typer.Argument(metavar="OLD", help="Where a folder was when it was indexed.")],
    new: Annotated[Path, typer.Argument(metavar="NEW", help="Where it is now.")],
    library: Library = None,
) -> None:
    """Say that a folder lies elsewhere now; nothing is computed again.

    [dim]Example: diptych library relocate /mnt/old/Pictures ~/Pictures[/dim]
    """
    from diptych.library.library import PhotoLibrary

    with PhotoLibrary.open(library) as opened:
        typer.echo(f"{opened.relocate(old, new):,} photos relocated")


def _print_report(report: "IndexReport") -> None:
    counts = {
        "new": report.encoded,
        "moved": report.moved,
        "copies of known ones": report.copied,
        "gone": report.forgotten,
        "unchanged": report.unchanged,
    }
    typer.echo(", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "no photos")
    if report.failed:
        typer.echo(f"diptych: {report.failed:,} files could not be read: diptych library failures.", err=True)
    if report.links:
        typer.echo(f"diptych: {report.links:,} links were not followed (--follow-links).", err=True)
    for folder in report.unread_folders:
        typer.echo(f"diptych: {folder} could not be entered; what is known of it stays.", err=True)
    for folder in report.absent_roots:
        typer.echo(f"diptych: {folder} is not there, or empty: what is known of it stays.", err=True)


def _print_hits(hits: "list[Hit]", *, as_json: bool, as_paths: bool, zero: bool) -> None:
    import json

    if zero:
        typer.echo("".join(f"{hit.path}\0" for hit in hits), nl=False)
    elif as_json:
        typer.echo(json.dumps([{**vars(hit), "path": str(hit.path)} for hit in hits], indent=2))
    elif as_paths:
        for hit in hits:
            typer.echo(str(hit.path))
    else:
        for hit in hits:
            typer.echo(f"{hit.score:.3f}  {_shown(hit.path)}")


def _near(text: str) -> "Near":
    from diptych.library.filters import Near

    parts = text.split(",")
    try:
        latitude, longitude, km = map(float, parts)
    except ValueError as error:
        raise ValueError(f"--near takes latitude, longitude and kilometres (48.86,2.35,20), got {text!r}.") from error
    return Near(latitude=latitude, longitude=longitude, km=km)


def _shown(path: Path | str) -> str:
    """A path on one line, whatever is in its name."""
    text = str(path)
    return text if text.isprintable() else ascii(text)
