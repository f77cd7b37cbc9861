"""`diptych serve`: the REST API and the web page."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from diptych.cli.options import Device, DType, Library, LibraryModel

_ACCESS, _LIMITS = "Who may use it", "How much it takes"


def serve(
    library: Library = None,
    model: LibraryModel = None,
    host: Annotated[str, typer.Option(help="Where to listen; beyond this machine only with keys or --no-auth.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(min=0, max=65_535, help="0 takes any that is free.")] = 8000,
    root: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=FOLDER",
            help="A folder that may be indexed into the library, and the name it goes by. May be repeated.",
        ),
    ] = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Let anybody in who reaches it.", rich_help_panel=_ACCESS)
    ] = False,
    device: Device = "auto",
    dtype: DType = "auto",
) -> None:
    """Serve classification, embeddings and photo search over HTTP, with a page for people.

    [dim]Example: diptych serve --port 8000[/dim]
    """
    from diptych.errors import needs_extra

    try:
        from diptych.serve.config import ServeConfig
        from diptych.serve.server import serve as run
    except ImportError as error:
        raise needs_extra("diptych serve", error.name or "a package", "serve") from error

    config = ServeConfig(
        host=host,
        port=port,
        library=library,
        model=model,
        roots=_roots(root or ()),
        no_auth=no_auth,
        device=device,
        dtype=dtype,
    )
    run(config, say_ready=_say_ready)


def _roots(named: Sequence[str]) -> dict[str, Path]:
    roots: dict[str, Path] = {}
    for text in named:
        name, sign, folder = (part.strip() for part in text.partition("="))
        if not (sign and name and folder and name.isprintable()):
            raise ValueError(f"--root takes a name and a folder, holiday=/photos/2024, got {text!r}.")
        if name in roots:
            raise ValueError(f"--root gives the name {name!r} to two folders: give each its own.")
        roots[name] = Path(folder).expanduser().resolve()
        if not roots[name].is_dir():
            raise ValueError(f"--root {text!r}: there is no such folder.")
    return roots


def _say_ready(model: str, address: str) -> None:
    typer.echo(f"diptych: serving {model} at {address} (Ctrl-C stops)", err=True)
