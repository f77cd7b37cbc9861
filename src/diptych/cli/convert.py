"""`diptych convert`: weights from any format that is read to any that is written."""

from pathlib import Path
from typing import Annotated, cast

import typer

from diptych.cli.options import Activation, Preset, Revision


def convert(
    source: Annotated[str, typer.Argument(metavar="IN", help="A path or a name, as for --model elsewhere.")],
    folder: Annotated[Path, typer.Argument(metavar="OUT", help="The folder to write.")],
    format: Annotated[str, typer.Option(help="diptych, huggingface or openclip.")] = "diptych",
    revision: Revision = None,
    preset: Preset = None,
    activation: Activation = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it holds something else.")] = False,
) -> None:
    """Write a model in another format; every tensor keeps its bytes.

    [dim]Example: diptych convert ViT-B/32 ./vit-b-32 --format huggingface[/dim]
    """
    from diptych.checkpoints import load_checkpoint, save_checkpoint
    from diptych.checkpoints.save import FORMATS
    from diptych.model.config import Activation as ActivationName

    if format not in FORMATS:  # before a download, not after it
        raise ValueError(f"--format must be one of {', '.join(FORMATS)}, got {format!r}.")
    checkpoint = load_checkpoint(
        source, revision=revision, preset=preset, activation=cast(ActivationName | None, activation)
    )
    save_checkpoint(checkpoint, folder, format, overwrite=overwrite)
    typer.echo(f"{checkpoint.source} ({checkpoint.format}) written to {folder} in {format}'s format.")
