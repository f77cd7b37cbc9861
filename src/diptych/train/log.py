"""What a run tells while it learns: one live line, metrics.jsonl, TensorBoard, the samples it could not use."""

import json
import re
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from diptych.files import atomic_write
from diptych.train.board import Board, has_tensorboard

_LINE_EVERY_SECONDS = 30.0  # where stderr is no terminal


class RunLog:
    """The numbers of a run, by step. Made again after a resume, it forgets what was written past `step`."""

    def __init__(self, folder: Path, *, step: int) -> None:
        self.path = folder / "metrics.jsonl"
        kept = [row for row in read_metrics(self.path) if row["step"] <= step] if self.path.exists() else []
        with atomic_write(self.path) as temporary:
            temporary.write_text("".join(_line(row) for row in kept), encoding="utf-8")
        self._next_line = 0.0
        self._has_live_line = False
        self._board: Board | None = None
        if has_tensorboard():
            with self._without_board_if_unwritable():
                self._board = Board(folder / "tensorboard", step=step)

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """Add a row; it is on disk when this returns."""
        with self.path.open("a", encoding="utf-8") as file:
            file.write(_line({"step": step, **numbers}))
        if self._board is not None:
            with self._without_board_if_unwritable():
                self._board.write(step, numbers)

    def show(self, line: str, *, is_last: bool = False) -> None:
        """The one live line on a terminal; in a log, a line now and then."""
        if _is_terminal():
            _write(f"\r\x1b[2K{line}" + ("\n" if is_last else ""))
            self._has_live_line = not is_last
        elif is_last or time.monotonic() >= self._next_line:
            self._next_line = time.monotonic() + _LINE_EVERY_SECONDS
            _write(f"{line}\n")

    def say(self, line: str) -> None:
        """A line that stays."""
        _write(f"\r\x1b[2K{line}\n" if _is_terminal() else f"{line}\n")
        self._has_live_line = False

    def close(self) -> None:
        """Leave the live line, so that what else is said has one of its own."""
        if self._has_live_line:
            self._has_live_line = False
            _write("\n")

    @contextmanager
    def _without_board_if_unwritable(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            self._board = None
            self.say(f"TensorBoard's log could not be written ({error.strerror}): the run goes on without it.")


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """The rows of a metrics.jsonl; a line that is damaged, as the last may be by a kill, is left out."""
    return list(_rows(path.read_text(encoding="utf-8", errors="replace")))


def log_bad_samples(folder: Path, step: int, bad: Sequence[str], *, rank: int) -> None:
    """Add a line for each sample of a step that this process could not use."""
    with (folder / f"bad-samples-{rank}.log").open("a", encoding="utf-8") as file:
        file.writelines(f"step {step}: {line}\n" for line in bad)


def cut_bad_samples(folder: Path, step: int, *, rank: int, processes: int) -> None:
    """Forget what was logged past `step`, since it comes again; also in some logs of processes that are no more."""
    for path in folder.glob("bad-samples-*.log"):
        of_rank = re.fullmatch(r"bad-samples-(\d+)\.log", path.name)
        if of_rank is None or int(of_rank[1]) % processes != rank:
            continue
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines(keepends=True)
        steps = [re.match(r"step (\d+): ", line) for line in lines]  # none where a full disk cut a line off
        with atomic_write(path) as temporary:
            kept = [line for line, at in zip(lines, steps, strict=True) if at is not None and int(at[1]) <= step]
            temporary.write_text("".join(kept), encoding="utf-8")


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


def _is_terminal() -> bool:
    return sys.stderr is not None and sys.stderr.isatty()


def _write(text: str) -> None:
    with suppress(OSError, ValueError):  # nobody reads it any more
        sys.stderr.write(text)
        sys.stderr.flush()
