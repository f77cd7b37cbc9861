"""Options that several verbs take, with one meaning and one help text."""

from pathlib import Path
from typing import Annotated, Final

import typer

PAGES: Final = (".html", ".htm")
"""How the name of a page ends that a verb writes."""

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
LibraryModel = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        envvar="DIPTYCH_MODEL",
        help="As `diptych classify` takes it. \\[default: what the library was last indexed with, else postcard]",
    ),
]
Revision = Annotated[str | None, typer.Option(help="Branch, tag or commit of a hub id.")]
Preset = Annotated[str | None, typer.Option(help="Architecture of a bare state dict (see `diptych models`).")]
Activation = Annotated[str | None, typer.Option(help="gelu or quick_gelu, where a bare state dict leaves it open.")]
DType = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda, cuda:1 or mps.")]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
Library = Annotated[
    Path | None,
    typer.Option(
        "--library",
        envvar="DIPTYCH_LIBRARY",
        help="The library's folder. \\[default: diptych/library in your data directory]",
    ),
]
Place = Annotated[
    Path | None,
    typer.Argument(metavar="FOLDER|LIBRARY", help="Photos, or a library; without it, your own library."),
]
Hidden = Annotated[bool, typer.Option("--hidden", help="Enter hidden folders, too.")]
FollowLinks = Annotated[bool, typer.Option("--follow-links", help="Follow links to files and folders.")]
Labels = Annotated[str | None, typer.Option(help='Names between commas: "dog,cat". Or a .txt or .json file.')]
LabelsFile = Annotated[
    Path | None, typer.Option(help="One label a line, or JSON (a list, or names with descriptions).")
]
Template = Annotated[
    str | None,
    typer.Option(help='A set by name (imagenet), one template with {}, or a file. \\[default: "a photo of a {}."]'),
]
Multi = Annotated[bool, typer.Option("--multi", help="Any number of labels may hold, each by itself.")]
Threshold = Annotated[
    float | None, typer.Option(min=0.0, max=1.0, help="With --multi: from which probability. \\[default: 0.5]")
]
GroupCount = Annotated[
    int | None,
    typer.Option(min=1, help="How many groups. \\[default: the root of how many photos there are, at most 40]"),
]
VocabularyFile = Annotated[
    Path | None,
    typer.Option(help="What groups may be called: one a line, or a JSON list. \\[default: 1,600 everyday words]"),
]
