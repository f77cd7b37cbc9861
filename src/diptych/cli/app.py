"""The verbs under one name."""

from typing import Annotated

import typer

from diptych import __version__
from diptych.cli.cache import cache
from diptych.cli.classify import classify
from diptych.cli.cluster import cluster
from diptych.cli.convert import convert
from diptych.cli.data import data
from diptych.cli.demo import demo
from diptych.cli.describe import describe
from diptych.cli.duplicates import duplicates
from diptych.cli.evaluate import evaluate
from diptych.cli.index import index
from diptych.cli.info import info
from diptych.cli.label import label
from diptych.cli.library import library
from diptych.cli.map import map_photos
from diptych.cli.models import models
from diptych.cli.moderate import moderate
from diptych.cli.search import search, similar
from diptych.cli.serve import serve
from diptych.cli.train import plot, train
from diptych.cli.transfer import export, import_
from diptych.cli.watch import watch

app = typer.Typer(
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    help="A complete CLIP system: any picture found, named and compared by words.",
    epilog='Try: diptych classify photo.jpg --labels "dog,cat"',
)
for verb in (
    demo,
    classify,
    index,
    watch,
    search,
    similar,
    label,
    moderate,
    describe,
    duplicates,
    cluster,
    serve,
    models,
    info,
    convert,
    train,
    plot,
    cache,
):
    app.command()(verb)
app.command("map")(map_photos)
app.add_typer(evaluate, name="evaluate")
app.add_typer(data, name="data")
library.command()(export)
library.command("import")(import_)
app.add_typer(library, name="library")


def _print_version(is_asked: bool) -> None:
    if is_asked:
        typer.echo(f"diptych {__version__}")
        raise typer.Exit


@app.callback()
def diptych(
    _version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version.")
    ] = False,
) -> None:
    """See the verbs below."""
