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
    api_key: Annotated[
        list[str] | None,
        typer.Option(
            metavar="FILE|env:NAME",
            help="Ask for a key: those of a file, one a line, or of a variable, commas between. May be repeated.",
            rich_help_panel=_ACCESS,
        ),
    ] = None,
    no_auth: Annotated[
        bool, typer.Option("--no-auth", help="Let anybody in who reaches it.", rich_help_panel=_ACCESS)
    ] = False,
    allow_host: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="A name that the server goes by, beside its address: photos.example.com. May be repeated.",
            rich_help_panel=_ACCESS,
        ),
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ORIGIN",
            help="A site whose pages may use the API, with a key: https://example.com. May be repeated.",
            rich_help_panel=_ACCESS,
        ),
    ] = None,
    allow_url_fetch: Annotated[
        bool,
        typer.Option("--allow-url-fetch", help="Fetch images from public http(s) addresses.", rich_help_panel=_ACCESS),
    ] = False,
    root_path: Annotated[
        str,
        typer.Option(metavar="PATH", help="Under which path a proxy has put it: /clip.", rich_help_panel=_ACCESS),
    ] = "",
    trust_proxy: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ADDRESS",
            help="A proxy, or a network of them, whose X-Forwarded-For and -Proto are believed. May be repeated. "
            "\\[default: those on this machine]",
            rich_help_panel=_ACCESS,
        ),
    ] = None,
    max_body: Annotated[
        int, typer.Option(min=1, metavar="MB", help="The largest request.", rich_help_panel=_LIMITS)
    ] = 32,
    max_pixels: Annotated[
        int, typer.Option(min=1, metavar="MP", help="The largest image, in megapixels.", rich_help_panel=_LIMITS)
    ] = 50,
    max_images: Annotated[
        int, typer.Option(min=1, help="The most images in one request.", rich_help_panel=_LIMITS)
    ] = 64,
    device: Device = "auto",
    dtype: DType = "auto",
) -> None:
    """Serve classification, embeddings and photo search over HTTP, with a page for people.

    [dim]Example: diptych serve --port 8000[/dim]
    """
    import os

    from diptych.errors import needs_extra

    # Read when torch is loaded: how long its threads wait awake for each other before they sleep. By default they
    # hardly ever sleep, and beside other work keep the cores from those that they wait for; threads that sleep at once
    # make a lone request slow.
    os.environ.setdefault("GOMP_SPINCOUNT", "100000")
    try:
        from diptych.serve.config import Limits, ServeConfig
        from diptych.serve.key_sources import read_keys
        from diptych.serve.server import serve as run
    except ImportError as error:
        raise needs_extra("diptych serve", error.name or "a package", "serve") from error

    config = ServeConfig(
        host=host,
        port=port,
        library=library,
        model=model,
        roots=_roots(root or ()),
        api_keys=read_keys(api_key or ()),
        no_auth=no_auth,
        allowed_hosts=tuple(allow_host or ()),
        allowed_origins=tuple(allow_origin or ()),
        allow_url_fetch=allow_url_fetch,
        root_path=root_path.rstrip("/"),
        trusted_proxies=tuple(trust_proxy or ServeConfig.trusted_proxies),
        limits=Limits(
            body_bytes=1_000_000 * max_body,
            pixels=1_000_000 * max_pixels,
            images=max_images,
            waiting_images=max(Limits.waiting_images, 4 * max_images),
        ),
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


def _say_ready(line: str) -> None:
    typer.echo(f"diptych: {line}", err=True)
