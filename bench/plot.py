"""Loss curves as a picture."""

from collections.abc import Mapping, Sequence
from pathlib import Path

SMOOTHED = 20  # steps of the moving average


def draw_curves(path: Path, curves: Mapping[str, Sequence[float]], batch_size: int, title: str) -> None:
    """Each curve as it is, thin, and as a moving average, by the samples learned from. Needs matplotlib."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 4.5), layout="constrained")
    axes = figure.subplots()
    for number, (name, losses) in enumerate(curves.items()):
        samples = [batch_size * (step + 1) for step in range(len(losses))]
        axes.plot(samples, losses, color=f"C{number}", alpha=0.25, linewidth=0.8)
        axes.plot(samples, _smooth(losses), color=f"C{number}", label=name, linewidth=1.8)
    axes.set_title(title)
    axes.set_xlabel("samples")
    axes.set_ylabel("loss (nats)")
    axes.grid(alpha=0.3)
    axes.legend()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=100)


def _smooth(losses: Sequence[float]) -> list[float]:
    """The mean of the last losses up to each step."""
    windows = (losses[max(0, end - SMOOTHED) : end] for end in range(1, len(losses) + 1))
    return [sum(window) / len(window) for window in windows]
