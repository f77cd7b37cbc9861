"""`diptych classify`: photos and labels to probabilities."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from diptych.cli.options import (
    Activation,
    Device,
    DType,
    Json,
    Labels,
    LabelsFile,
    Model,
    Multi,
    Preset,
    Revision,
    Template,
    Threshold,
)

if TYPE_CHECKING:
    from diptych.cli.inputs import Picture
    from diptych.zeroshot import Label, ZeroShotClassifier


def classify(
    photos: Annotated[list[str], typer.Argument(metavar="PHOTO...", help="Files, folders, globs, http(s) addresses.")],
    labels: Labels = None,
    labels_file: LabelsFile = None,
    template: Template = None,
    top: Annotated[int, typer.Option(min=1, help="How many labels to show for each photo.")] = 5,
    multi: Multi = False,
    threshold: Threshold = None,
    as_json: Json = False,
    model: Model = None,
    revision: Revision = None,
    preset: Preset = None,
    activation: Activation = None,
    preprocess: Annotated[
        str, typer.Option(help="exact as published, or fast (large JPEGs decoded reduced).")
    ] = "exact",
    dtype: DType = "auto",
    device: Device = "auto",
) -> None:
    """Rank labels for each photo: probability among the labels offered, and cosine.

    [dim]Example: diptych classify photo.jpg --labels "dog,cat"[/dim]
    """
    from diptych.cli.inputs import find_pictures
    from diptych.cli.labels import choose_class_names, choose_threshold
    from diptych.cli.printing import is_terminal
    from diptych.encode.choose import encoder_for
    from diptych.progress import track
    from diptych.prompts import DEFAULT_LABELS
    from diptych.zeroshot import build_classifier, write_prompts

    least = choose_threshold(threshold, multi=multi)
    names = choose_class_names(labels, labels_file, multi=multi)
    prompts = write_prompts(names, template)  # wrong labels or templates are said before anything is loaded
    pictures = find_pictures(photos)
    encoder = encoder_for(
        model,
        items=len(pictures) + (sum(len(sentences) for _, sentences in prompts) + multi * len(DEFAULT_LABELS)) // 10,
        revision=revision,
        preset=preset,
        activation=activation,
        preprocess=preprocess,
        dtype=dtype,
        device=device,
    )
    classifier = build_classifier(encoder, names, template, progress=True)
    results = _results(classifier, pictures, top, least if multi else None)
    if as_json or not is_terminal():  # else the tables that appear are the progress
        results = track(results, total=len(pictures), label="Photos", unit="photos")
    failures = _print_json(results) if as_json else _print_tables(results)
    if failures and (as_json or len(pictures) > 1):  # of one photo the line that names it says it all
        typer.echo(f"diptych: {failures} of {len(pictures)} photos could not be read.", err=True)
    if failures:
        raise typer.Exit(1)


def _results(
    classifier: "ZeroShotClassifier", pictures: "list[Picture]", top: int, threshold: float | None
) -> "Iterator[tuple[str, list[Label], str | None]]":
    """(name, labels, error) of each photo, in order, as they are ready."""
    from diptych.cli.inputs import fetched

    failed: dict[int, str] = {}
    done = 0
    sources = fetched(pictures, failed)

    def note(index: int, _: Any, error: Exception) -> None:  # noqa: ANN401
        name = pictures[index].name  # what was fetched has come as bytes, whose name nobody knows
        failed.setdefault(index, str(error).replace("the given bytes", name, 1))

    def failures_before(stop: int) -> "Iterator[tuple[str, list[Label], str | None]]":
        for index in range(done, stop):
            yield pictures[index].name, [], failed[index]

    for rows in classifier.encoder.iter_images(sources, on_error=note):
        if threshold is None:
            ranked = classifier.rank(rows.features, top=top)
        else:
            ranked = [labels[:top] for labels in classifier.rank_each(rows.features, threshold=threshold)]
        for index, labels in zip(rows.indices.tolist(), ranked, strict=True):
            yield from failures_before(index)
            yield pictures[index].name, labels, None
            done = index + 1
    yield from failures_before(len(pictures))


def _print_json(results: "Iterator[tuple[str, list[Label], str | None]]") -> int:
    import json
    from dataclasses import asdict

    photos = [
        {"path": name, "error": error} if error else {"path": name, "labels": [asdict(label) for label in labels]}
        for name, labels, error in results
    ]
    typer.echo(json.dumps(photos, indent=2, ensure_ascii=True))
    return sum("error" in photo for photo in photos)


def _print_tables(results: "Iterator[tuple[str, list[Label], str | None]]") -> int:
    from diptych.cli.printing import console, print_ranked

    screen, failures = console(), 0
    for name, labels, error in results:
        if error:
            typer.echo(f"diptych: {error}", err=True)
            failures += 1
            continue
        print_ranked(screen, name, labels)
    return failures
