"""What a search found, as a table, lines, JSON, paths, a contact sheet, or opened in a viewer."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from diptych.cli.options import PAGES
from diptych.cli.printing import counted, describe_second, is_terminal, is_told, one_line, print_paths
from diptych.files import check_writable

if TYPE_CHECKING:
    from diptych.cli.terminal_pictures import Protocol
    from diptych.library.library import PhotoLibrary
    from diptych.library.search import Hit

_JSON = ("score", "relevance", "width", "height", "taken_at", "second", "text")
_TEXT_WIDTH = 40  # columns of what a catalogue says of a photo
_NUMBERS = 3  # columns of a line that stand at the right of theirs


@dataclass(frozen=True, kw_only=True)
class Output:
    """What was asked for; `pictures` is None where the terminal decides. A page that cannot be written is refused."""

    as_json: bool = False
    as_paths: bool = False
    zero: bool = False
    html: Path | None = None
    opens: bool = False
    pictures: bool | None = None

    def __post_init__(self) -> None:
        if self.as_json and (self.as_paths or self.zero):
            raise ValueError("Give --json or --paths, not both: each is all that is printed.")
        if self.html is not None:
            check_writable(self.html, PAGES)


def show_hits(library: "PhotoLibrary", hits: "Sequence[Hit]", output: Output, *, title: str, first: int = 1) -> None:
    """Print the hits, whose best has the rank `first`; then write the sheet and open what is to be opened."""
    if output.as_json:
        import json

        typer.echo(json.dumps([to_plain(hit) for hit in hits], indent=2))
    elif output.zero:
        print_paths([hit.source for hit in hits], end=b"\0")
    elif output.as_paths:
        print_paths([hit.source for hit in hits], end=b"\n")
    elif protocol := _protocol(output.pictures):
        _print_pictures(library, hits, first, protocol)
    elif is_terminal() and hits:
        _print_table(hits, first)
    else:
        for line in _aligned(_columns(hits)):
            typer.echo(line)
    if output.html is not None:
        _write_sheet(library, hits, output.html, title)
    if output.opens and hits:
        from diptych.cli.viewer import open_in_viewer

        best = hits[0].source.path if hits[0].source.is_file else hits[0].source
        open_in_viewer(output.html or best)


def to_plain(hit: "Hit") -> dict[str, Any]:
    """A hit as `--json` prints it."""
    return {
        "id": hit.id,
        "path": hit.source,
        "is_file": hit.source.is_file,
        "key": hit.source.key,
        **{name: getattr(hit, name) for name in _JSON},
        "fields": None if hit.fields is None else dict(hit.fields),
    }


def _columns(hits: "Sequence[Hit]") -> list[list[str]]:
    """Of each cosine, relevance, time within a video, key and text in a catalogue, path; empty for nothing to say."""
    has_keys = not all(is_told(hit.source) for hit in hits)
    return [
        [
            f"{hit.score:.3f}",
            "" if hit.relevance is None else f"{hit.relevance:.0%}",
            "" if hit.second is None else describe_second(hit.second),
            one_line(hit.source.key or "") if has_keys else "",
            _shortened(one_line(hit.text or "")),
            one_line(hit.source),
        ]
        for hit in hits
    ]


def _shortened(text: str) -> str:
    return text if len(text) <= _TEXT_WIDTH else f"{text[: _TEXT_WIDTH - 3]}..."


def _aligned(rows: list[list[str]], *, numbers: int = _NUMBERS) -> list[str]:
    """Lines of columns that are as wide as need be, the last one free; a column that is empty in all is left out."""
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([*_padded(row[:-1], widths, numbers), row[-1]]) for row in rows]


def _padded(cells: list[str], widths: list[int], numbers: int) -> Iterator[str]:
    for place, (cell, width) in enumerate(zip(cells, widths, strict=False)):
        if width:
            yield cell.rjust(width) if place < numbers else cell.ljust(width)


def _print_table(hits: "Sequence[Hit]", first: int) -> None:
    from rich.bar import Bar
    from rich.table import Table
    from rich.text import Text

    from diptych.cli.printing import console

    rows = _columns(hits)
    _, has_relevance, has_seconds, has_keys, has_texts, _ = map(any, zip(*rows, strict=True))
    table = Table(box=None, padding=(0, 2, 0, 0))
    for title in ("", "cosine", *(("relevance", "") if has_relevance else ()), *(("at",) if has_seconds else ())):
        table.add_column(title, justify="right", no_wrap=True)
    table.add_column("pixels", justify="right", no_wrap=True, style="dim")
    table.add_column("taken", no_wrap=True, style="dim")
    for title in (*(("key",) if has_keys else ()), *(("text",) if has_texts else ()), "photo"):
        table.add_column(title, overflow="fold")
    for rank, (hit, row) in enumerate(zip(hits, rows, strict=True), start=first):
        score, relevance, second, *words = row
        bar = Bar(1.0, 0.0, hit.relevance or 0.0, width=8, color="cyan")
        relevant = (bar, relevance) if has_relevance else ()
        at = (second,) if has_seconds else ()
        size, date = f"{hit.width} x {hit.height}", (hit.taken_at or "")[:10]
        shown = [Text(word) for word, is_shown in zip(words, (has_keys, has_texts, True), strict=True) if is_shown]
        table.add_row(f"{rank}", score, *relevant, *at, size, date, *shown)
    console().print(table)


def _protocol(wanted: bool | None) -> "Protocol | None":
    """Which pictures to print; those that were asked for are sixels where the terminal does not say what it knows."""
    if wanted is False or not is_terminal():
        return None
    import os

    from diptych.cli.terminal_pictures import protocol_of

    return protocol_of(os.environ) or ("sixel" if wanted else None)


def _print_pictures(library: "PhotoLibrary", hits: "Sequence[Hit]", first: int, protocol: "Protocol") -> None:
    from diptych.cli.terminal_pictures import shown

    lines = _aligned([[str(rank), *row] for rank, row in enumerate(_columns(hits), start=first)], numbers=1 + _NUMBERS)
    thumbnails = library.thumbnails((hit.id, hit.second) for hit in hits)
    for made, line in zip(thumbnails, lines, strict=True):
        typer.echo(shown(made.jpeg, protocol) if made.jpeg else one_line(made.reason))
        typer.echo(line)


def _write_sheet(library: "PhotoLibrary", hits: "Sequence[Hit]", target: Path, title: str) -> None:
    from diptych.library.sheet import SheetPhoto, write_sheet
    from diptych.progress import track

    thumbnails = library.thumbnails((hit.id, hit.second) for hit in hits)
    photos = (
        SheetPhoto(
            source=hit.source,
            thumbnail=made,
            caption=_caption(hit),
            bar=hit.relevance,
        )
        for hit, made in track(zip(hits, thumbnails, strict=True), total=len(hits), label="Pictures", unit="pictures")
    )
    write_sheet(target, title, [("", photos)])
    typer.echo(f"diptych: {counted(len(hits), 'photo')} on {one_line(target)}.", err=True)


def _caption(hit: "Hit") -> str:
    parts = [] if hit.relevance is None else [f"relevance {hit.relevance:.0%}"]
    parts += [f"cosine {hit.score:.3f}"]
    parts += [] if hit.second is None else [f"at {describe_second(hit.second)}"]
    parts += [] if hit.taken_at is None else [hit.taken_at[:10]]
    told = ": ".join(filter(None, ["" if is_told(hit.source) else hit.source.key, hit.text]))
    return ", ".join(parts) + (f": {told}" if told else "")
