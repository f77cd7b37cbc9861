"""TensorBoard's log, written here and now: its own writer does so in a thread, whose errors end in a traceback."""

import socket
import time
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any


class Board:
    """A file of events for TensorBoard, of a run that goes on after `step`. OSError where it cannot be written."""

    def __init__(self, folder: Path, *, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import SessionLog  # type: ignore[import-untyped]

        folder.mkdir(parents=True, exist_ok=True)
        self._path = folder / f"events.out.tfevents.{time.time():.6f}.{socket.gethostname()}"
        self._append(file_version="brain.Event:2")
        # What an earlier file has of this step or a later one is not shown.
        self._append(step=step + 1, session_log=SessionLog(status=SessionLog.START))

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """Add the numbers of a step; they are on disk when this returns."""
        from tensorboard.compat.proto.summary_pb2 import Summary  # type: ignore[import-untyped]

        values = [Summary.Value(tag=name, simple_value=value) for name, value in numbers.items()]
        self._append(step=step, summary=Summary(value=values))

    def _append(self, **event: Any) -> None:  # noqa: ANN401 (fields of a protocol buffer)
        from tensorboard.compat.proto.event_pb2 import Event
        from tensorboard.summary.writer.record_writer import RecordWriter  # type: ignore[import-untyped]

        with self._path.open("ab") as file:
            RecordWriter(file).write(Event(wall_time=time.time(), **event).SerializeToString())


def has_tensorboard() -> bool:
    """Whether the package is installed, which only the training extra brings."""
    return find_spec("tensorboard") is not None
