"""`diptych` that sends itself a signal once its library holds something: from another process it might come too late.

python self_signalling.py FOLDER TABLE SIGNAL ARGUMENTS...
"""

import os
import runpy
import signal
import sqlite3
import sys
import threading
import time
from contextlib import closing
from pathlib import Path


def signal_when_filled(folder: str, table: str, number: int, *, after_seconds: float = 0.0) -> None:
    """Send this process a signal once a table of a library below the folder has rows, and it has gone on since.

    `after_seconds` is how long, in time of the processor: then it has done something.
    """

    def watch() -> None:
        while not any(is_filled(path, table) for path in Path(folder).rglob("library.db")):
            time.sleep(0.005)
        end = time.process_time() + after_seconds
        while time.process_time() < end:
            time.sleep(0.005)
        os.kill(os.getpid(), number)

    threading.Thread(target=watch, daemon=True).start()


def is_filled(path: Path, table: str) -> bool:
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
            return reader.execute(f"SELECT 1 FROM {table} LIMIT 1").fetchone() is not None
    except sqlite3.OperationalError:  # its tables are being made
        return False


if __name__ == "__main__":
    folder, table, name, *sys.argv[1:] = sys.argv[1:]
    del sys.path[0]  # the tests' own modules
    signal_when_filled(folder, table, signal.Signals[name], after_seconds=0.2)
    runpy.run_module("diptych", run_name="__main__", alter_sys=True)
