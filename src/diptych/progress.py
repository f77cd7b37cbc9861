"""Progress of long work, on stderr: a live bar on a terminal, a line now and then in a log, nothing for short work."""

import sys
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress

T = TypeVar("T")

_SHOW_AFTER_SECONDS = 2.0
_LOG_EVERY_SECONDS = 30.0
_REDRAW_EVERY_SECONDS = 0.1


def track(iterable: Iterable[T], *, total: int | None, label: str, unit: str) -> Iterator[T]:
    """Yield the items of `iterable`, showing how many are done; an item counts once the next one is asked for."""
    with Progress(total=total, label=label, unit=unit) as progress:
        for item in iterable:
            yield item
            progress.advance()


class Progress:
    """How much of some work is done, how fast, and how long the rest will take.

    `total` is in `unit`s, None if unknown; the unit "B" is shown as MB. Nothing is shown for the first two
    seconds. `advance` and `update` cost under a microsecond and may be called from several threads.
    """

    def __init__(self, *, total: int | None, label: str, unit: str) -> None:
        self._label, self._unit = label, unit
        self._done, self._total = 0, total
        self._resumed_at: int | None = None
        self._start = time.monotonic()
        self._next_show = self._start + (_SHOW_AFTER_SECONDS if _is_terminal() else _LOG_EVERY_SECONDS)
        self._has_shown = False
        self._bar: RichProgress | None = None
        self._lock = threading.Lock()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def advance(self, n: int = 1) -> None:
        """Count `n` more units as done."""
        with self._lock:
            self._done += n
            self._show_if_due()

    def update(self, done: int, total: int | None = None) -> None:
        """Set what is done, counted from the start, and what there is in all; the first call says what was done before.

        That is what a download knows, which may resume at any byte: what it had before does not count for the rate.
        """
        with self._lock:
            if self._resumed_at is None:
                self._resumed_at = done
            self._done = done
            self._total = total if total is not None else self._total
            self._show_if_due()

    def close(self) -> None:
        """Take the bar off the terminal, or end the log with a last line if it had any; more calls do nothing."""
        with self._lock:
            self._next_show = float("inf")
            if self._bar is not None:
                self._bar.stop()
                self._bar = None
            elif self._has_shown:
                self._write_line()
            self._has_shown = False

    def _show_if_due(self) -> None:
        now = time.monotonic()
        if now < self._next_show:
            return
        if _is_terminal():
            self._next_show = now + _REDRAW_EVERY_SECONDS
            self._draw()
        else:
            self._next_show = now + _LOG_EVERY_SECONDS
            self._has_shown = True
            self._write_line()

    def _draw(self) -> None:
        if self._bar is None:
            self._bar = _start_bar()
            self._bar.add_task(self._label, total=self._total, status="")
        self._bar.update(self._bar.task_ids[0], completed=self._done, total=self._total, status=self._status())

    def _write_line(self) -> None:
        # A stderr that is closed or that nobody reads any more must not end the work.
        with suppress(OSError, ValueError):
            if sys.stderr is not None:
                sys.stderr.write(f"{self._label}: {self._status()}\n")
                sys.stderr.flush()

    def _status(self) -> str:
        seconds = time.monotonic() - self._start
        rate = (self._done - (self._resumed_at or 0)) / seconds if seconds > 0 else 0.0
        counts = _amount(self._done, self._unit, self._total)
        if self._total is None or self._done >= self._total:
            return f"{counts}, {_rate(rate, self._unit)}, {_clock(seconds)}"
        rest = f"{_clock((self._total - self._done) / rate)} left" if rate > 0 else "waiting"
        return f"{counts}, {_rate(rate, self._unit)}, {rest}"


def _is_terminal() -> bool:
    try:
        return sys.stderr is not None and sys.stderr.isatty()
    except ValueError:  # closed
        return False


def _start_bar() -> "RichProgress":
    from rich.console import Console  # here, so that a short command does not pay 45 ms for a bar it never shows
    from rich.progress import BarColumn, TextColumn
    from rich.progress import Progress as RichProgress

    # stdout is for results: rich would send what is printed there to stderr while the bar is up.
    bar = RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        TextColumn("{task.fields[status]}", markup=False),
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
    )
    bar.start()
    return bar


def _amount(done: int, unit: str, total: int | None) -> str:
    if unit == "B":
        return f"{done / 1e6:,.1f} MB" if total is None else f"{done / 1e6:,.1f}/{total / 1e6:,.1f} MB"
    return f"{done:,} {unit}" if total is None else f"{done:,}/{total:,} {unit}"


def _rate(rate: float, unit: str) -> str:
    if unit == "B":
        return f"{rate / 1e6:,.1f} MB/s"
    return f"{rate:,.0f} {unit}/s" if rate >= 10 else f"{rate:.1f} {unit}/s"


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"
