"""The database of a library, where several want it at once."""

import sqlite3
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from diptych.library.database import LibraryBusyError, connect, create
from diptych.library.walk import LIBRARY_FILE


def test_a_new_library_that_somebody_else_is_making_is_waited_for(tmp_path: Path) -> None:
    create(tmp_path / "library")
    path = tmp_path / "library" / LIBRARY_FILE
    with closing(sqlite3.connect(path, isolation_level=None, check_same_thread=False)) as other:
        other.execute("BEGIN IMMEDIATE")
        release = threading.Timer(0.5, other.rollback)
        release.start()
        connect(tmp_path / "library", patience_seconds=60).close()
        release.join()


def test_it_is_waited_for_no_longer_than_was_asked(tmp_path: Path) -> None:
    create(tmp_path / "library")
    with closing(sqlite3.connect(tmp_path / "library" / LIBRARY_FILE, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        started = time.monotonic()
        with pytest.raises(LibraryBusyError, match="is locked by another program"):
            connect(tmp_path / "library", patience_seconds=0.3)
        assert time.monotonic() - started >= 0.3
