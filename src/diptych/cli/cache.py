"""`diptych cache`: what we keep on disk."""

from typing import Annotated

import typer

from diptych.cli.options import Json


def cache(
    clear: Annotated[bool, typer.Option("--clear", help="Delete all of it; it is downloaded or made again.")] = False,
    as_json: Json = False,
) -> None:
    """Show or clear downloaded OpenAI files and class vectors (hub models are in Hugging Face's own cache).

    [dim]Example: diptych cache --clear[/dim]
    """
    import json

    from diptych.files import cache_dir, cache_report, clear_cache, describe_size

    records = clear_cache() if clear else cache_report()
    if as_json:
        rows = [{"name": record.name, "files": record.files, "bytes": record.bytes} for record in records]
        typer.echo(json.dumps({"folder": str(cache_dir()), "cleared": clear, "entries": rows}, indent=2))
        return
    typer.echo(f"{'Deleted from' if clear else 'Kept in'} {cache_dir()} (set DIPTYCH_CACHE to move it):")
    for record in records:
        typer.echo(f"  {record.name:<16} {record.files:>6} files  {describe_size(record.bytes):>9}")
    if not records:
        typer.echo("  nothing")
