"""`diptych evaluate`: zero-shot accuracy and retrieval recall on one's own sets."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diptych.cli.options import Activation, Device, DType, Json, LabelsFile, Model, Preset, Revision
from diptych.cli.printing import print_table

if TYPE_CHECKING:
    from diptych.data.sample import Source
    from diptych.encode.encoder import Encoder
    from diptych.evaluate.metrics import Proportion
    from diptych.evaluate.retrieval import RetrievalResult
    from diptych.evaluate.zeroshot import ZeroShotResult
    from diptych.zeroshot import ClassNames

evaluate = typer.Typer(help="Measure a model: zero-shot accuracy, retrieval recall.", rich_markup_mode="rich")

Paths = Annotated[
    list[str],
    typer.Argument(metavar="PATH...", help="Each a set: webdataset tars, Parquet, CSV, a folder of classes, a glob."),
]
Format = Annotated[str, typer.Option(help="auto, webdataset, parquet, table or folder.")]
ImageColumn = Annotated[str | None, typer.Option(help="Of tables and Parquet, where its name does not tell.")]
CaptionColumn = Annotated[list[str] | None, typer.Option(help="Likewise; may be given several times.")]
ClassColumn = Annotated[str | None, typer.Option(help="Likewise.")]
Limit = Annotated[int | None, typer.Option(min=1, help="Measure so many samples of each set, spread evenly.")]
BadSampleLimit = Annotated[
    float, typer.Option(min=0.0, max=1.0, help="Share of samples that may be unreadable before it is an error.")
]

_SHOWN_SKIPPED, _SHOWN_CONFUSIONS = 5, 10


@evaluate.command("zero-shot")
def zero_shot(
    paths: Paths,
    template: Annotated[
        str | None,
        typer.Option(
            "--template",
            "--templates",
            help='A set by name (imagenet), one template with {}, or a file; by default "a photo of a {}."',
        ),
    ] = None,
    labels: Annotated[
        str | None, typer.Option(help="Names between commas; by default the classes of each set.")
    ] = None,
    labels_file: LabelsFile = None,
    per_class: Annotated[bool, typer.Option("--per-class", help="Also each class, and which are confused.")] = False,
    limit: Limit = None,
    bad_sample_limit: BadSampleLimit = 0.01,
    as_json: Json = False,
    model: Model = None,
    revision: Revision = None,
    preset: Preset = None,
    activation: Activation = None,
    format: Format = "auto",
    image_column: ImageColumn = None,
    class_column: ClassColumn = None,
    dtype: DType = "auto",
    device: Device = "auto",
) -> None:
    """Top-1, top-5 and mean per class of labelled sets, with 95% intervals.

    [dim]Example: diptych evaluate zero-shot imagenette-val.parquet --templates imagenet --model ViT-B/32[/dim]
    """
    from diptych.encode.choose import encoder_for
    from diptych.evaluate.zeroshot import evaluate_zero_shot
    from diptych.zeroshot import resolve_templates

    templates = None if template is None else resolve_templates(template)
    names = _class_names(labels, labels_file)
    sources = _open(paths, format, image_column=image_column, class_column=class_column)
    encoder = encoder_for(
        model,
        items=_count(sources, limit) + len(templates or ()),  # many sentences are not a handful either
        revision=revision,
        preset=preset,
        activation=activation,
        dtype=dtype,
        device=device,
    )
    results = [
        evaluate_zero_shot(
            encoder,
            source,
            templates=templates,
            class_names=names,
            limit=limit,
            bad_sample_limit=bad_sample_limit,
            cache=True,
            progress=True,
        )
        for source in sources
    ]
    _note_skipped(results)
    if as_json:
        _print_json(model, encoder, results, templates=list(results[0].templates))
        return
    _print_accuracies(results)
    for result in results if per_class else ():
        _print_classes(result)


@evaluate.command("retrieval")
def retrieval(
    paths: Paths,
    limit: Limit = None,
    bad_sample_limit: BadSampleLimit = 0.01,
    as_json: Json = False,
    model: Model = None,
    revision: Revision = None,
    preset: Preset = None,
    activation: Activation = None,
    format: Format = "auto",
    image_column: ImageColumn = None,
    caption_column: CaptionColumn = None,
    dtype: DType = "auto",
    device: Device = "auto",
) -> None:
    """Recall at 1, 5 and 10 of captioned sets, text to image and image to text, with 95% intervals.

    [dim]Example: diptych evaluate retrieval flickr8k-test.tar --model ViT-B/32[/dim]
    """
    from diptych.encode.choose import encoder_for
    from diptych.evaluate.retrieval import evaluate_retrieval

    columns = tuple(caption_column) if caption_column else None
    sources = _open(paths, format, image_column=image_column, caption_column=columns)
    encoder = encoder_for(
        model,
        items=_count(sources, limit),
        revision=revision,
        preset=preset,
        activation=activation,
        dtype=dtype,
        device=device,
    )
    results = [
        evaluate_retrieval(encoder, source, limit=limit, bad_sample_limit=bad_sample_limit, progress=True)
        for source in sources
    ]
    _note_skipped(results)
    if as_json:
        _print_json(model, encoder, results)
    else:
        _print_recalls(results)


def _class_names(labels: str | None, labels_file: Path | None) -> "ClassNames | None":
    from diptych.cli.labels import read_labels, split_labels

    if labels is not None and labels_file is not None:
        raise ValueError("Give --labels or --labels-file, not both.")
    if labels is not None:
        return split_labels(labels)
    return None if labels_file is None else read_labels(labels_file)


def _open(paths: list[str], format: str, **columns: Any) -> "list[Source]":  # noqa: ANN401
    from typing import cast, get_args

    from diptych.data.config import SourceConfig, SourceFormat
    from diptych.data.open import open_source

    if format not in get_args(SourceFormat):
        raise ValueError(f"--format must be one of {', '.join(get_args(SourceFormat))}, got {format!r}.")
    return [open_source(SourceConfig(path=path, format=cast(SourceFormat, format), **columns)) for path in paths]


def _count(sources: "list[Source]", limit: int | None) -> int:
    return sum(len(source) if limit is None else min(limit, len(source)) for source in sources)


def _note_skipped(results: "Sequence[ZeroShotResult] | Sequence[RetrievalResult]") -> None:
    for result in results:
        if not result.skipped:
            continue
        typer.echo(f"diptych: {result.source}: samples that could not be used: {len(result.skipped)}", err=True)
        for skipped in result.skipped[:_SHOWN_SKIPPED]:
            typer.echo(f"  {skipped.reason}", err=True)
        if (rest := len(result.skipped) - _SHOWN_SKIPPED) > 0:
            typer.echo(f"  and {rest} more, named by --json", err=True)


def _print_json(
    model: str | None,
    encoder: "Encoder",
    results: "Sequence[ZeroShotResult] | Sequence[RetrievalResult]",
    **settings: object,
) -> None:
    import json

    from diptych import __version__
    from diptych.evaluate.report import mean_numbers, record

    measured = {"diptych": __version__, "model": model, "fingerprint": encoder.fingerprint, "dtype": encoder.dtype}
    sets = [record(result) for result in results]
    report = {**measured, **settings, "sets": sets, "mean": mean_numbers(results)}
    typer.echo(json.dumps(report, indent=2, ensure_ascii=True, allow_nan=False))


def _print_accuracies(results: "list[ZeroShotResult]") -> None:
    from diptych.evaluate.report import mean_numbers

    rows = [
        (
            result.source,
            f"{result.samples:,}",
            f"{len(result.classes):,}",
            _share(result.top1),
            _share(result.top5),
            f"{result.mean_per_class:.1%}",
        )
        for result in results
    ]
    if len(results) > 1:
        mean = mean_numbers(results)
        top5 = f"{mean['top5']:.1%}" if "top5" in mean else "-"
        rows.append(("mean", "", "", f"{mean['top1']:.1%}", top5, f"{mean['mean_per_class']:.1%}"))
    print_table(("set", "images", "classes", "top-1", "top-5", "mean per class"), rows)


def _print_classes(result: "ZeroShotResult") -> None:
    measured = [(each.name, each.top1) for each in result.classes if each.top1 is not None]
    typer.echo(f"\n{result.source}, the hardest classes first:")
    rows = [
        (name, f"{top1.total:,}", _share(top1))
        for name, top1 in sorted(measured, key=lambda named: (named[1].value, named[0]))
    ]
    print_table(("class", "images", "top-1"), rows)
    if result.confusions:
        typer.echo(f"\n{result.source}, what is taken for what:")
        pairs = [(each.true, each.predicted, f"{each.count:,}") for each in result.confusions[:_SHOWN_CONFUSIONS]]
        print_table(("class", "taken for", "images"), pairs, names=2)


def _print_recalls(results: "list[RetrievalResult]") -> None:
    from diptych.evaluate.report import mean_numbers

    rows: list[tuple[str, ...]] = []
    for result in results:
        for direction, recall in (("text to image", result.text_to_image), ("image to text", result.image_to_text)):
            shares = (_share(recall.at1), _share(recall.at5), _share(recall.at10))
            rows.append((result.source, direction, f"{recall.at1.total:,}", *shares))
    if len(results) > 1:
        mean = mean_numbers(results)
        for direction in ("text to image", "image to text"):
            key = direction.replace(" ", "_")
            rows.append(("mean", direction, "", *(f"{mean[f'{key}_r{k}']:.1%}" for k in (1, 5, 10))))
    print_table(("set", "direction", "queries", "R@1", "R@5", "R@10"), rows, names=2)
    for result in results:
        if result.shared_captions:
            typer.echo(
                f"{result.source}: {result.shared_captions:,} of its captions are also another image's.", err=True
            )


def _share(proportion: "Proportion | None") -> str:
    """A percentage with the wider side of its 95% interval."""
    if proportion is None:
        return "-"
    low, high = proportion.interval
    return f"{proportion.value:.1%} ±{100 * max(proportion.value - low, high - proportion.value):.1f}"
