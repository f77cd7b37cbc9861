"""Ctrl-C and SIGTERM, which end a run after the step that it is at."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def stop_on_signals(stop: threading.Event, *, is_first: bool) -> Iterator[None]:
    """Ctrl-C and SIGTERM ask for a stop after the step; a second Ctrl-C stops at once."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may listen
        return

    def ask(number: int, frame: FrameType | None) -> None:
        if stop.is_set() and number == signal.SIGINT:
            raise KeyboardInterrupt
        if not stop.is_set() and is_first:
            os.write(2, b"\nStopping after this step and saving; Ctrl-C once more stops at once, unsaved.\n")
        stop.set()

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
