"""The curves of a run as a picture."""

import io
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from diptych.errors import DiptychError, needs_extra
from diptych.train.log import read_metrics

Rows = Sequence[dict[str, Any]]
_SOURCES_SHOWN = 20


def plot_run(folder: Path) -> bytes:
    """A PNG of metrics.jsonl: the loss in all and by source, measures on held-out sets, scale and learning rate."""
    try:
        rows = read_metrics(folder / "metrics.jsonl")
    except OSError as error:
        raise DiptychError(
            f"{folder} is not the folder of a run: it has no metrics.jsonl. Give the `run` of its config."
        ) from error
    if not rows:
        raise DiptychError(f"{folder}: nothing is logged yet; wait for the first log_every_steps.")
    check_can_plot()
    from matplotlib.figure import Figure  # not pyplot, which keeps global state and looks for a screen

    figure = Figure(figsize=(12, 8), layout="constrained")
    (loss, sources), (measures, scale) = figure.subplots(2, 2)
    _draw(loss, rows, ["loss"], "Loss (nats)")
    _draw(sources, rows, _names(rows, "loss/")[:_SOURCES_SHOWN], "Loss by source (nats)")
    _draw(
        measures,
        rows,
        [name for name in _names(rows, "") if "/" in name and not name.startswith("loss/")],
        "Held-out sets",
        "o-",
    )
    _draw(scale, rows, ["logit_scale"], "Logit scale, and learning rate (dashed)")
    scale.set_ylabel("logit scale")
    rate = scale.twinx()
    _draw(rate, rows, ["lr"], "", "C1--")
    rate.set_ylabel("learning rate (dashed)")
    png = io.BytesIO()
    figure.savefig(png, format="png", dpi=100)
    return png.getvalue()


def check_can_plot() -> None:
    """DiptychError where matplotlib is missing."""
    if find_spec("matplotlib") is None:
        raise needs_extra("The plot of a run", "matplotlib", "train")


def _names(rows: Rows, prefix: str) -> list[str]:
    return sorted({name for row in rows for name in row if name.startswith(prefix)})


def _draw(axes: Any, rows: Rows, names: Sequence[str], title: str, style: str = "-") -> None:  # noqa: ANN401 (matplotlib)
    for name in names:
        points = [(row["step"], row[name]) for row in rows if name in row]
        if not points:
            continue
        axes.plot(*zip(*points, strict=True), style, label=name.removeprefix("loss/"), linewidth=1, markersize=3)
    axes.set_title(title)
    axes.set_xlabel("step")
    axes.grid(alpha=0.3)
    if len(names) > 1:
        axes.legend(fontsize=7, ncols=2)
