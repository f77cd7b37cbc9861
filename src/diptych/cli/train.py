"""`diptych train` and `diptych plot`."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

    from diptych.data.sample import Source
    from diptych.encode.torch_encoder import TorchEncoder
    from diptych.train.config import EvaluateConfig, RunConfig
    from diptych.train.loop import Evaluator

STOPPED = 130


def train(
    config: Annotated[Path, typer.Argument(help="The run as TOML: model, data, optimiser, and what else differs.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", help="Another value for one key, for example optimiser.lr=3e-4.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in the config's folder.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Run a few steps, write nothing, and say what the run will cost.")
    ] = False,
) -> int:
    """Train a CLIP on image-text pairs, from random weights or from a checkpoint.

    Ctrl-C saves the state and stops. Several processes: torchrun --nproc-per-node 2 -m diptych train CONFIG.toml

    Example: diptych train configs/postcard.toml --set run=runs/mine
    """
    from diptych.train.config import read_config

    settings = read_config(config, overrides or [])
    if dry_run:
        _print_estimate(settings)
        return 0
    from diptych.train.loop import train as train_run

    folder = train_run(settings, resume=resume, evaluators=evaluators_of(settings.evaluate))
    if folder is None:
        return 0 if int(os.environ.get("RANK", "0")) else STOPPED
    typer.echo(folder)
    return 0


def plot(
    run: Annotated[Path, typer.Argument(help="The folder of a run.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="The PNG to write; RUN/curves.png if not given.")
    ] = None,
) -> None:
    """Draw the curves of a run as a PNG.

    Example: diptych plot runs/postcard
    """
    from diptych.files import atomic_write, check_writable
    from diptych.train.plot import plot_run

    if output is not None:
        check_writable(output, (".png",))
    png = plot_run(run)
    path = output or run / "curves.png"
    with atomic_write(path) as temporary:
        temporary.write_bytes(png)
    typer.echo(path)


def evaluators_of(configs: "tuple[EvaluateConfig, ...]") -> "list[Evaluator]":
    """What measures the sets of a config, which are opened; ValueError or DataError for one that does not suit."""
    evaluators = [_evaluator(config) for config in configs]
    names = [evaluator.name for evaluator in evaluators]
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ValueError(f"Two evaluate sets are called {repeated[0]!r}: give each source a name of its own")
    return evaluators


def _evaluator(config: "EvaluateConfig") -> "Evaluator":
    """Of one set, which is opened now, so that a wrong path or task is an error before the first step."""
    from diptych.data.open import open_source
    from diptych.evaluate.samples import check_fits
    from diptych.train.loop import Evaluator

    source = open_source(config.source)
    check_fits(source, config.task)
    return Evaluator(name=source.name, every_steps=config.every_steps, measure=_measure(config, source))


def _measure(config: "EvaluateConfig", source: "Source") -> "Callable[[TorchEncoder], dict[str, float]]":
    from diptych.evaluate.retrieval import evaluate_retrieval
    from diptych.evaluate.zeroshot import evaluate_zero_shot

    if config.task == "retrieval":
        return lambda encoder: evaluate_retrieval(encoder, source).numbers()
    return lambda encoder: evaluate_zero_shot(encoder, source, templates=config.source.templates).numbers()


def _print_estimate(config: "RunConfig") -> None:
    import json

    from diptych.files import describe_size
    from diptych.settings import to_dict
    from diptych.train.dry_run import dry_run
    from diptych.train.log import clock

    estimate = dry_run(config)
    typer.echo(json.dumps(to_dict(config), indent=2))
    pairs_per_second = config.train.batch_size / estimate.seconds_per_step
    lines = {
        "parameters": f"{estimate.parameters:,}, of which {estimate.learning_parameters:,} learn",
        "data": f"{estimate.samples:,} pairs, {estimate.steps_per_epoch:,.1f} steps an epoch",
        "computed on": f"{estimate.device} in {estimate.precision}",
        "a step": f"{estimate.seconds_per_step:.3g} s, {pairs_per_second:,.0f} pairs/s",
        "data wait": f"{estimate.data_seconds_per_step / estimate.seconds_per_step:.0%}",
        "text padding": f"{estimate.padding_share:.1%} of the tokens computed",
        "peak memory": f"{describe_size(estimate.peak_memory)} a process",
        "the whole run": f"{estimate.steps:,} steps, {clock(estimate.seconds)} without its evaluations",
    }
    for name, value in lines.items():
        typer.echo(f"{name:14} {value}")
