"""What a run tells while it learns: one live line, metrics.jsonl, TensorBoard."""

import json
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from diptych.files import atomic_write

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

_LINE_EVERY_SECONDS = 30.0  # where stderr is no terminal


class RunLog:
    """The numbers of a run, by step. Made again after a resume, it forgets what was written past `step`."""

    def __init__(self, folder: Path, *, step: int) -> None:
        self.path = folder / "metrics.jsonl"
        kept = [row for row in read_metrics(self.path) if row["step"] <= step] if self.path.exists() else []
        with atomic_write(self.path) as temporary:
            temporary.write_text("".join(_line(row) for row in kept), encoding="utf-8")
        self._board = _tensorboard(folder / "tensorboard", step)
        self._next_line = 0.0

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """Add a row; it is on disk when this returns."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line({"step": step, **numbers}))
        if self._board is not None:
            for name, value in numbers.items():
                self._board.add_scalar(name, value, step)

    def show(self, line: str, *, is_last: bool = False) -> None:
        """The one live line on a terminal; in a log, a line now and then."""
        if _is_terminal():
            _write(f"\r\x1b[2K{line}" + ("\n" if is_last else ""))
        elif is_last or time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_EVERY_SECONDS
            _write(f"{line}\n")

    def say(self, line: str) -> None:
        """A line that stays."""
        _write(f"\r\x1b[2K{line}\n" if _is_terminal() else f"{line}\n")

    def close(self) -> None:
        """Write what TensorBoard still holds back."""
        if self._board is not None:
            self._board.close()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl; a line that is damaged, as the last may be by a kill, is left out."""
    return list(_rows(path.read_text(encoding="utf-8", errors="replace")))


def progress_line(step: int, steps: int, numbers: Mapping[str, float], seconds_left: float) -> str:
    """Step, loss, scale, speed, waiting for data, time left."""
    return (
        f"step {step:,}/{steps:,}  loss {numbers['loss']:.4f}  scale {numbers['logit_scale']:.1f}  "
        f"{numbers['pairs_per_second']:,.0f} pairs/s  data wait {numbers['data_wait_share']:.0%}  "
        f"ETA {clock(seconds_left)}"
    )


def clock(seconds: float) -> str:
    """Hours, minutes and seconds."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes // 60}:{minutes % 60:02d}:{rest:02d}"


def _rows(text: str) -> Iterator[dict[str, Any]]:
    for line in text.splitlines():
        with suppress(json.JSONDecodeError, RecursionError):
            row = json.loads(line)
            if isinstance(row, dict) and isinstance(row.get("step"), int):
                yield row


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps({name: _short(value) for name, value in row.items()}) + "\n"


def _short(value: Any) -> Any:  # noqa: ANN401 (a step or a number)
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _tensorboard(folder: Path, step: int) -> "SummaryWriter | None":
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        return None
    return SummaryWriter(str(folder), purge_step=step + 1)


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _write(text: str) -> None:
    with suppress(OSError, ValueError):  # nobody reads it any more
        sys.stderr.write(text)
        sys.stderr.flush()
