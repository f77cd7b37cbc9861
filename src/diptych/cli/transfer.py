"""`diptych library export` and `import`: vectors to a file and back, and vectors made elsewhere."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from diptych.cli.options import Library, LibraryModel
from diptych.cli.printing import counted, one_line

if TYPE_CHECKING:
    from diptych.library.importing import ImportReport


def export(
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="A .parquet file; or a folder, for vectors.npy and photos.jsonl.")
    ],
    library: Library = None,
    model: LibraryModel = None,
    dtype: Annotated[str | None, typer.Option(help="float16 or float32. \\[default: as in the library]")] = None,
) -> None:
    """Write the vectors of a model with paths and metadata.

    [dim]Example: diptych library export photos.parquet[/dim]
    """
    from diptych.library.library import PhotoLibrary
    from diptych.library.results import check_results_path

    if dtype not in (None, "float16", "float32"):
        raise ValueError(f"--dtype is float16 or float32, got {dtype!r}.")
    if target.suffix.lower() == ".parquet":
        check_results_path(target)
    with PhotoLibrary.open(library, model=model) as opened:
        count = opened.export(target, dtype="float32" if dtype == "float32" else "float16" if dtype else None)
    typer.echo(f"{counted(count, 'vector')} in {one_line(target)}")


def import_(
    source: Annotated[Path, typer.Argument(metavar="SOURCE", exists=True, help="A .parquet file, or a folder.")],
    library: Library = None,
    model: LibraryModel = None,
    root: Annotated[
        Path | None, typer.Option(help="For vectors made elsewhere: the folder under which their pictures lie.")
    ] = None,
    unseen: Annotated[
        bool, typer.Option("--unseen", help="Do not open the pictures under --root, which need not be there.")
    ] = False,
    path_column: Annotated[str, typer.Option(help="The column of paths, absolute or under --root.")] = "path",
    vector_column: Annotated[str, typer.Option(help="The column of vectors.")] = "vector",
) -> None:
    """Put exported vectors into a library, or with --root and --model vectors made elsewhere. Nothing is encoded.

    Ctrl-C keeps what is done; the same command goes on.

    [dim]Example: diptych library import photos.parquet[/dim]
    """
    from diptych.library.library import PhotoLibrary
    from diptych.progress import Progress

    if unseen and root is None:
        raise ValueError("--unseen is for vectors made elsewhere: say with --root under which folder the pictures lie.")
    with (
        PhotoLibrary.open(library, model=model, create_missing=True) as opened,
        Progress(total=None, label="Vectors", unit="vectors") as shown,
    ):
        for report in opened.import_(
            source, root=root, unseen=unseen, path_column=path_column, vector_column=vector_column
        ):
            shown.update(report.done, report.total)
    _print_report(report)


def _print_report(report: "ImportReport") -> None:
    counts = {
        "added": report.added,
        "replaced": report.changed,
        "known": report.unchanged,
        "other pictures by now, left as they are": report.kept,
    }
    typer.echo(", ".join(f"{count:,} {name}" for name, count in counts.items() if count) or "no photos")
    for reason, count in report.refused.most_common():
        typer.echo(f"diptych: {counted(count, 'row was', 'rows were')} refused: {one_line(reason)}.", err=True)
    if report.refused and not (report.added or report.changed or report.unchanged or report.kept):
        raise typer.Exit(1)
