"""Options that several verbs take, with one meaning and one help text."""

from pathlib import Path
from typing import Annotated

import typer

Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        envvar="DIPTYCH_MODEL",
        help="A path, one of OpenAI's names (ViT-B/32), OpenCLIP's preset:tag, or a hub id org/repo. "
        "\\[default: postcard, the small model in the package]",
    ),
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub id.")]
Preset = Annotated[str | None, typer.Option(help="Architecture of a bare state dict (see `diptych models`).")]
Activation = Annotated[str | None, typer.Option(help="gelu or quick_gelu, where a bare state dict leaves it open.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Library = Annotated[
    Path | None,
    typer.Option(
        "--library",
        envvar="DIPTYCH_LIBRARY",
        help="The library's folder. \\[default: diptych/library in your data directory]",
    ),
]
