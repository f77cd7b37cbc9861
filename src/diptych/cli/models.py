"""`diptych models`: the names that `--model` and `--preset` know."""

from typing import Annotated, Any

import typer

from diptych.cli.options import Json

WEIGHTS = {"bundled": "in the package", "openai": "OpenAI's"}  # of a preset, its number of tags


def models(
    tags: Annotated[bool, typer.Option("--tags", help="Also list OpenCLIP's preset:tag names, one a line.")] = False,
    as_json: Json = False,
) -> None:
    """List the model in the package, OpenAI's, and the presets with their sizes.

    [dim]Example: diptych models --tags[/dim]
    """
    import json

    from diptych.checkpoints import load_checkpoint
    from diptych.checkpoints.open_clip_tags import OPEN_CLIP_TAGS
    from diptych.checkpoints.postcard import POSTCARD, has_postcard
    from diptych.model.presets import OPENAI_PRESETS, PRESETS
    from diptych.model.shapes import parameter_count, tensor_shapes

    bundled = {POSTCARD: load_checkpoint(None, framework="numpy").config} if has_postcard() else {}
    rows: list[dict[str, Any]] = [
        {
            "name": name,
            "parameters": parameter_count(tensor_shapes(config)),
            "embed_dim": config.embed_dim,
            "image_size": list(config.vision.image_size),
            "activation": config.activation,
            "tags": sorted(OPEN_CLIP_TAGS.get(name, {})) if kind == "preset" else [],
            "kind": kind,
        }
        for kind, group in (("bundled", bundled), ("openai", OPENAI_PRESETS), ("preset", PRESETS))
        for name, config in group.items()
    ]
    if as_json:
        typer.echo(json.dumps(rows, indent=2))
        return
    from rich.table import Table

    from diptych.cli.printing import console

    table = Table("name", "parameters", "embed_dim", "image", "activation", "weights", box=None, padding=(0, 2, 0, 0))
    for row in rows:
        weights = WEIGHTS.get(row["kind"]) or (f"{len(row['tags'])} tags" if row["tags"] else "")
        size = f"{row['parameters'] / 1e6:.0f} M"
        table.add_row(row["name"], size, str(row["embed_dim"]), str(row["image_size"][0]), row["activation"], weights)
    console().print(table)
    if tags:
        for row in rows:
            for tag in row["tags"]:
                typer.echo(f"{row['name']}:{tag}")
