"""`diptych info`: what a model is."""

from typing import Annotated, Any, cast

import typer

from diptych.cli.options import Activation, Json, Preset, Revision


def info(
    model: Annotated[str, typer.Argument(help="A path, a name, a hub id, or a preset without weights.")] = "postcard",
    revision: Revision = None,
    preset: Preset = None,
    activation: Activation = None,
    as_json: Json = False,
) -> None:
    """Show a model's parameters and FLOPs per tower, sizes, activation, preprocessing, source and fingerprint.

    [dim]Example: diptych info ViT-B/32[/dim]
    """
    import json

    facts = _facts(model, revision, preset, activation)
    if as_json:
        typer.echo(json.dumps(facts, indent=2))
        return
    from rich.table import Table

    from diptych.cli.printing import console

    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0))
    for name, value in _lines(facts):
        table.add_row(f"[bold]{name}[/bold]", value)
    console().print(table)


def _facts(model: str, revision: str | None, preset: str | None, activation: str | None) -> dict[str, Any]:
    from diptych.checkpoints.describe import describe
    from diptych.model.config import Activation as ActivationName

    return describe(model, revision=revision, preset=preset, activation=cast(ActivationName | None, activation))


def _lines(facts: dict[str, Any]) -> list[tuple[str, str]]:
    image, text, pixels = facts["image_tower"], facts["text_tower"], facts["preprocess"]
    shape = ", ".join(f"{key} {value}" for key, value in image["config"].items() if key != "image_size")
    words = ", ".join(f"{key} {value}" for key, value in text["config"].items() if value is not None)
    return [
        ("source", f"{facts['source']} ({facts['format']})"),
        ("fingerprint", facts["fingerprint"] or "none: weights not read"),
        ("parameters", f"{facts['parameters'] / 1e6:.1f} M"),
        ("shared space", f"{facts['embed_dim']} wide, logit scale {facts['logit_scale'] or 'not read'}"),
        ("activation", facts["activation"]),
        (
            "image tower",
            f"{image['type']}, {image['parameters'] / 1e6:.1f} M, {image['flops'] / 1e9:.2f} GFLOP an image",
        ),
        ("", shape),
        ("text tower", f"{text['parameters'] / 1e6:.1f} M, {text['flops'] / 1e9:.2f} GFLOP at full context"),
        ("", words),
        ("pixels", f"{pixels['size'][0]} x {pixels['size'][1]}, {pixels['resize_mode']}, {pixels['interpolation']}"),
        ("", f"mean {tuple(pixels['mean'])}, std {tuple(pixels['std'])}"),
        ("stored as", ", ".join(facts["dtypes"]) or "not read"),
    ]
