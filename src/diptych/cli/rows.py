"""Rows of results as a verb gives them out: to a file, as JSON, or as lines for people."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from diptych.library.results import Columns

Give = Callable[[Mapping[str, Any], str], None]


@contextmanager
def open_rows(output: Path | None, columns: "Columns", *, as_json: bool) -> Iterator[Give]:
    """A function that takes each row and the line that says it to people, who see it where nothing else is asked for.

    Nothing is written to an .html page: that is the verb's. JSON is printed once all rows have come.
    """
    import json

    from diptych.library.results import SUFFIXES, open_results

    is_file = output is not None and output.suffix.lower() in SUFFIXES
    printed: list[Mapping[str, Any]] = []
    with open_results(output, columns) if output is not None and is_file else nullcontext() as write:

        def give(row: Mapping[str, Any], line: str) -> None:
            if write is not None:
                write(row)
            if as_json:
                printed.append(row)
            elif output is None:
                typer.echo(line)

        yield give
    if as_json:
        typer.echo(json.dumps(printed, indent=2))
