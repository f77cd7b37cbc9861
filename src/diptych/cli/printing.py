"""Tables as wide as the terminal; into a pipe or a file, as wide as they are."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rich.console import Console

    from diptych.library.paths import Source
    from diptych.zeroshot import Label

_UNBROKEN = 10_000  # columns: a program that reads the lines wants none of them wrapped


def console() -> "Console":
    """Where results are printed."""
    from rich.console import Console

    return Console(emoji=False) if is_terminal() else Console(width=_UNBROKEN, emoji=False)


def is_terminal() -> bool:
    """Whether people read along; a daemon may have closed its output altogether."""
    return sys.stdout is not None and sys.stdout.isatty()


def print_ranked(screen: "Console", name: str, labels: "Sequence[Label]") -> None:
    """A photo's name, and below it its labels with bars, probabilities and cosines."""
    from rich.bar import Bar
    from rich.markup import escape
    from rich.table import Table

    screen.print(f"[bold]{escape(name)}[/bold]", soft_wrap=True)
    if not labels:
        screen.print("  none of the labels")
    bar_width = max(1, min(24, screen.width - 45))
    table = Table(box=None, show_header=False, padding=(0, 1))
    table.add_column(overflow="fold")  # of all columns the names alone may take several lines
    table.add_column(width=bar_width, no_wrap=True)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(style="dim", no_wrap=True)
    for label in labels:
        bar = Bar(1.0, 0.0, label.probability, width=bar_width, color="cyan")
        table.add_row(f"  {escape(label.name)}", bar, f"{label.probability:.1%}", f"cosine {label.cosine:.3f}")
    screen.print(table)


def print_table(header: "Sequence[str]", rows: "Sequence[Sequence[str]]", *, names: int = 1) -> None:
    """The first `names` columns hold words, and they alone may take several lines; the others are numbers."""
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, padding=(0, 2, 0, 0))
    for place, title in enumerate(header):
        if place < names:
            table.add_column(title, overflow="fold")
        else:
            table.add_column(title, justify="right", no_wrap=True, overflow="crop")
    for row in rows:
        table.add_row(*map(escape, row))
    console().print(table)


def one_line(path: Path | str) -> str:
    """A path, or any text from elsewhere, on one line and without what a terminal obeys."""
    text = str(path)
    return text if text.isprintable() else ascii(text)


def describe_source(source: "Source") -> str:
    """Where a photo is, on one line; with the row of a catalogue, where that says no more than its place."""
    return one_line(source if is_told(source) else f"{source} ({source.key})")


def is_told(source: "Source") -> bool:
    """Whether the place of a photo says which row of a catalogue it is; a photo in a folder is none."""
    return source.key is None or source.endswith(source.key)


def counted(count: int, one: str, many: str | None = None) -> str:
    """A number with what is counted: "1 photo", "2,000 photos"; `many` where an s alone makes no plural."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def describe_second(second: float) -> str:
    """A moment of a video: 1:04.5, or 1:02:04.5 after the first hour."""
    minutes, seconds = divmod(round(second, 1), 60)
    hours, minutes = divmod(int(minutes), 60)
    return f"{hours}:{minutes:02d}:{seconds:04.1f}" if hours else f"{minutes}:{seconds:04.1f}"


def print_paths(paths: "Sequence[str]", *, end: bytes) -> None:
    """Paths as the file system has them, byte for byte, whatever the encoding of the output."""
    import io
    import os

    if not isinstance(sys.stdout, io.TextIOWrapper):  # whoever put something else there takes text
        sys.stdout.write("".join(path + end.decode() for path in paths))
        return
    sys.stdout.flush()
    sys.stdout.buffer.write(b"".join(os.fsencode(path) + end for path in paths))
    sys.stdout.buffer.flush()
