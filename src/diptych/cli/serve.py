"""`diptych serve`: the REST API and the web page."""

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
        host=host, port=port, library=library, model=model, no_auth=no_auth, device=device, dtype=dtype
    )
    run(config, say_ready=_say_ready)


def _say_ready(model: str, address: str) -> None:
    typer.echo(f"diptych: serving {model} at {address} (Ctrl-C stops)", err=True)
