"""What every bench is given, and what it gives back."""

import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent


@dataclass(frozen=True, kw_only=True)
class Setting:
    """Pythons of Diptych and its peers, weights by format, and a folder for what is made on the way.

    `is_quick`: a few items and one round, to see that everything runs. `data`: paths of pairs that are measured, too.
    """

    python: str
    open_clip: str
    transformers: str
    weights: dict[str, Path]
    work: Path
    is_quick: bool
    data: tuple[str, ...] = ()

    @property
    def open_clip_weights(self) -> Path:
        return self.weights["openclip"] / "open_clip_model.safetensors"

    def photos(self, kind: str, count: int) -> list[str]:
        """Paths of `count` JPEG files, "small" or "large" (bench/photos.py)."""
        folder = self.work / "photos" / kind
        command = [self.python, str(HERE / "photos.py"), kind, str(count), str(folder), str(self.work / "wheels")]
        subprocess.run(command, check=True)
        return [str(path) for path in sorted(folder.glob("*.jpg"))[:count]]


@dataclass(frozen=True, kw_only=True)
class Row:
    """A line of the report: what was measured, of both, how they compare and whether that is what was aimed at."""

    what: str
    diptych: str = ""
    peer: str = ""
    reached: str
    aim: str = ""
    is_met: bool | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Median and range of repeated measurements, with all of them."""
    return {"median": statistics.median(values), "min": min(values), "max": max(values), "all": list(values)}


def spread(found: dict[str, Any], unit: str) -> str:
    """The median, and in brackets the range where there were several."""
    several = len(found["all"]) > 1
    return f"{found['median']:.1f}{unit}" + f" ({found['min']:.1f}..{found['max']:.1f})" * several


def best(peaks: Sequence[dict[str, float]]) -> dict[str, float]:
    """The largest of several measurements of each peak: whatever else runs can only take from it."""
    return {name: max(found[name] for found in peaks) for name in peaks[0]}


def peak_of(peaks: dict[str, float], dtype: str) -> float:
    """The best that anything here reaches in this dtype, in GFLOP/s."""
    return max(gflops for name, gflops in peaks.items() if name.startswith(dtype))


def peak_row(peaks: dict[str, float]) -> Row:
    """The yardstick."""
    return Row(
        what="peak of matrix products, GFLOP/s",
        reached=", ".join(f"{name} {gflops:.0f}" for name, gflops in peaks.items()),
    )


def at_least(what: str, ours: str, peer: str, ratio: float, aim: float) -> Row:
    """A row for how many times as fast."""
    return Row(
        what=what, diptych=ours, peer=peer, reached=f"{ratio:.1f} times", aim=f">= {aim:g} times", is_met=ratio >= aim
    )
