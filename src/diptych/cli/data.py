"""`diptych data`: look at pairs before a run learns from them, and drop those that it should not."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diptych.cli.options import Activation, Device, DType, Json, Model, Preset, Revision

if TYPE_CHECKING:
    from diptych.data.filter import FilterReport
    from diptych.data.rules import Rules
    from diptych.data.sample import Source
    from diptych.encode.encoder import Encoder

data = typer.Typer(help="Check image-text pairs before training; filter unfiltered ones.", rich_markup_mode="rich")

Arguments = Annotated[
    list[str],
    typer.Argument(
        metavar="CONFIG_OR_PATH...",
        help="A training config (.toml), or data: webdataset tars, Parquet, CSV, a folder of classes, a glob.",
    ),
]
Validation = Annotated[
    list[str] | None,
    typer.Option("--validation", help="Data to measure on, beside the config's; may be given several times."),
]
Overrides = Annotated[list[str] | None, typer.Option("--set", help="Another value for one key of the config.")]
ImageColumn = Annotated[str | None, typer.Option(help="Of tables and Parquet, where its name does not tell.")]
CaptionColumn = Annotated[list[str] | None, typer.Option(help="Likewise; may be given several times.")]

Output = Annotated[
    Path | None,
    typer.Option("--output", "-o", help="The folder of webdataset shards to write; without it, only report."),
]
MinWords = Annotated[int | None, typer.Option(help="Captions of fewer words are dropped.")]
MaxWords = Annotated[int | None, typer.Option(help="Captions of more words are dropped.")]
RequirePattern = Annotated[
    str | None, typer.Option(help="Captions in which this regular expression is not found are dropped.")
]
DropPattern = Annotated[
    str | None, typer.Option(help="Captions in which this regular expression is found are dropped.")
]
MaxImagesPerCaption = Annotated[
    int | None, typer.Option(help="Captions that more images have are dropped: boilerplate.")
]
MinSide = Annotated[int | None, typer.Option(help="Least shortest side, in pixels.")]
MaxAspect = Annotated[float | None, typer.Option(help="Most that the longest side is over the shortest.")]
KeepDuplicates = Annotated[bool, typer.Option("--keep-duplicates", help="Keep images that are the same byte for byte.")]
MinSimilarity = Annotated[float | None, typer.Option(help="Least cosine of image and caption under --model.")]
KeepShare = Annotated[float | None, typer.Option(help="Of what the other rules leave, the share that is most similar.")]
ShardSize = Annotated[int, typer.Option(min=1, help="Pairs in each tar.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace OUT if it holds something else.")]


@data.command()
def check(
    inputs: Arguments,
    validation: Validation = None,
    overrides: Overrides = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Write a contact sheet of random pairs: a PNG.")
    ] = None,
    pairs: Annotated[int, typer.Option(min=1, help="How many pairs are on it.")] = 48,
    seed: Annotated[int, typer.Option(help="Another one puts other pairs on it.")] = 0,
    image_column: ImageColumn = None,
    caption_column: CaptionColumn = None,
    as_json: Json = False,
) -> int:
    """Read every pair: counts, sizes, lengths, repeats, leaks into validation, what cannot be used.

    Exits with 1 if something would stop a run or spoil what it measures.

    [dim]Example: diptych data check config.toml -o sheet.png[/dim]
    """
    import json
    from dataclasses import asdict, replace

    from diptych.cli.data_inputs import Columns, measures_of, read_inputs, refusals
    from diptych.cli.data_tables import print_check
    from diptych.data.check import check_sources
    from diptych.data.open import open_source
    from diptych.files import check_writable

    if output is not None:
        check_writable(output, (".png",))
    given = read_inputs(inputs, validation or (), overrides or (), Columns(image=image_column, caption=caption_column))
    training = [open_source(source) for source in given.training]
    held_out = [open_source(source) for source in given.validation]
    weights = [each.weight for each in given.training]
    refused = refusals(given.config, training)
    report = check_sources(
        training,
        held_out,
        measures_of(given.config),
        weights=[len(s) if weight is None else weight for s, weight in zip(training, weights, strict=True)],
        progress=True,
    )
    report = replace(report, problems=(*refused, *report.problems))
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=2, ensure_ascii=True))
    else:
        print_check(report)
    for problem in report.problems:
        typer.echo(f"diptych: {problem}", err=True)
    if output is not None:
        _write_sheet(output, training, pairs=pairs, seed=seed)
    return 1 if report.problems else 0


@data.command("filter")
def filter_(
    context: typer.Context,
    inputs: Arguments,
    output: Output = None,
    min_words: MinWords = None,
    max_words: MaxWords = None,
    require_pattern: RequirePattern = None,
    drop_pattern: DropPattern = None,
    max_images_per_caption: MaxImagesPerCaption = None,
    min_side: MinSide = None,
    max_aspect: MaxAspect = None,
    keep_duplicates: KeepDuplicates = False,
    min_similarity: MinSimilarity = None,
    keep_share: KeepShare = None,
    validation: Validation = None,
    overrides: Overrides = None,
    shard_size: ShardSize = 10_000,
    overwrite: Overwrite = False,
    image_column: ImageColumn = None,
    caption_column: CaptionColumn = None,
    as_json: Json = False,
    model: Model = None,
    revision: Revision = None,
    preset: Preset = None,
    activation: Activation = None,
    dtype: DType = "auto",
    device: Device = "auto",
) -> None:
    """Drop pairs by caption, size, repeats and similarity; write the others, images unchanged, to webdataset shards.

    Pairs that cannot be used and images of validation sets are always dropped. Each that is dropped is named in
    OUT/dropped.jsonl with its reason.

    [dim]Example: diptych data filter web.tar -o kept --min-words 3 --keep-share 0.3 --model ViT-B/32[/dim]
    """
    import json
    from dataclasses import asdict

    from diptych.checkpoints.postcard import POSTCARD
    from diptych.cli.data_inputs import Columns, image_size, read_inputs
    from diptych.data.filter import filter_pairs
    from diptych.data.open import open_source
    from diptych.data.selection import Candidates
    from diptych.encode.similarity import PairSimilarity
    from diptych.encode.workers import core_count
    from diptych.zeroshot import DEFAULT_TEMPLATE

    rules = _rules(context)
    given = read_inputs(inputs, validation or (), overrides or (), Columns(image=image_column, caption=caption_column))
    sources = [open_source(source) for source in given.training]
    encoder = _encoder(context, sources) if rules.needs_similarity else None
    candidates = Candidates(
        sources=sources,
        rules=rules,
        measure_image=image_size,
        validation=[open_source(source) for source in given.validation],
        similarity=None if encoder is None else PairSimilarity(encoder, DEFAULT_TEMPLATE),
        workers=core_count(),
        progress=True,
    )
    about: dict[str, object] = {"inputs": inputs}
    if encoder is not None:
        about |= {"model": model or POSTCARD, "fingerprint": encoder.fingerprint}
    report = filter_pairs(candidates, output, shard_size=shard_size, overwrite=overwrite, about=about)
    if as_json:
        typer.echo(json.dumps({**about, **asdict(report)}, indent=2, ensure_ascii=True))
    else:
        _print_report(report, output)


def _write_sheet(output: Path, sources: "Sequence[Source]", *, pairs: int, seed: int) -> None:
    from diptych.data.contact_sheet import contact_sheet
    from diptych.files import atomic_write
    from diptych.images import open_image

    sheet = contact_sheet(sources, lambda image: open_image(image, shortest_side=256), pairs=pairs, seed=seed)
    with atomic_write(output) as temporary:
        sheet.save(temporary, "PNG")


def _rules(context: typer.Context) -> "Rules":
    """The rules of a filter: options that are called as they are."""
    from dataclasses import fields

    from diptych.data.rules import Rules

    rules = Rules(**{field.name: context.params[field.name] for field in fields(Rules)})
    is_model_typed = getattr(context.get_parameter_source("model"), "name", "") == "COMMANDLINE"  # not the environment
    if is_model_typed and not rules.needs_similarity:
        raise ValueError("--model judges how similar image and caption are: say --min-similarity or --keep-share too.")
    return rules


def _encoder(context: typer.Context, sources: "Sequence[Source]") -> "Encoder":
    """What the options ask for, for all pairs of the sources."""
    from diptych.encode.choose import encoder_for

    told = {name: context.params[name] for name in ("revision", "preset", "activation", "dtype", "device")}
    return encoder_for(context.params["model"], items=sum(map(len, sources)), **told)


def _print_report(report: "FilterReport", output: Path | None) -> None:
    from diptych.cli.data_tables import print_filter

    print_filter(report)
    if output is None:
        typer.echo("Nothing is written without -o.")
    else:
        typer.echo(f"\n{report.kept:,} pairs are in {output} (shards: {report.shards:,}).")
