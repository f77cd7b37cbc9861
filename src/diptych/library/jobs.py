"""What was done to a library: each run of the indexer, how far it came and how it ended."""

import json
import os
import sqlite3
import time
from collections.abc import Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from diptych.library.database import LibraryError, transaction
from diptych.library.photos import Model

if TYPE_CHECKING:
    from diptych.library.indexing import IndexReport

_KEPT: Final = 100


class Job:
    """A run of the indexer, noted from its begin to its end; with what it was when it was killed, where it was."""

    def __init__(self, database: sqlite3.Connection, roots: Sequence[str], model: Model, report: "IndexReport") -> None:
        self._database, self._report = database, report
        self._row = (os.getpid(), time.time(), json.dumps(list(roots)), model.id)
        self._id = 0

    def __enter__(self) -> Self:
        columns = "process, started_at, roots, model_id, total, done, failed"
        with transaction(self._database):
            added = self._database.execute(f"INSERT INTO jobs ({columns}) VALUES (?, ?, ?, ?, 0, 0, 0)", self._row)
            assert added.lastrowid is not None
            self._id = added.lastrowid
            self._database.execute("DELETE FROM jobs WHERE id <= ?", (self._id - _KEPT,))
        return self

    def note(self) -> None:
        """How far it has come, in whatever transaction is open."""
        report = self._report
        self._database.execute(
            "UPDATE jobs SET total = ?, done = ?, failed = ? WHERE id = ?",
            (report.total, report.done, report.failed, self._id),
        )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        outcome = "done"
        if error is not None:
            is_stopped = isinstance(error, KeyboardInterrupt | GeneratorExit)
            outcome = "interrupted" if is_stopped else f"{type(error).__name__}: {error}"[:500]
        try:
            with transaction(self._database):
                self.note()
                self._database.execute(
                    "UPDATE jobs SET ended_at = ?, outcome = ? WHERE id = ?", (time.time(), outcome, self._id)
                )
        except LibraryError:
            if error is None:
                raise


def recent_jobs(database: sqlite3.Connection, count: int = 5) -> list[dict[str, Any]]:
    """The last runs as plain data, the newest first. One without an end goes on, or was killed."""
    rows = database.execute(
        "SELECT process, started_at, ended_at, outcome, roots, total, done, failed FROM jobs ORDER BY id DESC LIMIT ?",
        (count,),
    )
    return [{**dict(row), "roots": json.loads(row["roots"])} for row in rows]
