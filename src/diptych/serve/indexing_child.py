"""The process that indexes, apart from the server: a file that kills a decoder kills nothing else.

    python -m diptych.serve.indexing_child ORDER

It writes a JSON line whenever it has come further, `{"total": 120, "done": 80, "failed": 1, ...}`, and one line on
stderr if it fails. SIGINT has it keep what is done and end.
"""

import json
import os
import signal
import sqlite3
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Self

from diptych.errors import DiptychError
from diptych.library.indexing import IndexReport
from diptych.library.library import PhotoLibrary
from diptych.library.roots import FolderRoot, Root

_REPORTED = ("total", "done", "failed", "moved", "forgotten", "absent_roots")
_NICENESS = 10
_INTERRUPTED = 130


@dataclass(frozen=True, kw_only=True)
class Order:
    """What to index, and with what. `roots` are paths of those that the library knows, or of new folders."""

    library: str
    model: str
    device: str
    dtype: str
    roots: tuple[str, ...]
    retry_failures: bool

    def as_text(self) -> str:
        """For the command line, whose names need not be UTF-8."""
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str) -> Self:
        """What `as_text` was given."""
        return cls(**json.loads(text))


def run(order: Order) -> Iterator[IndexReport]:
    """Go through the roots, known ones as they were gone through before."""
    with PhotoLibrary.open(order.library, model=order.model, device=order.device, dtype=order.dtype) as library:
        known = {root.path: root for root in library.roots()}
        roots: list[Root] = [known.get(path) or FolderRoot(path=path) for path in map(Path, order.roots)]
        yield from library.iter_index(*roots, retry_failures=order.retry_failures)


def main() -> int:
    """Run the order; the exit status."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background jobs ignore it
    if hasattr(os, "nice"):
        os.nice(_NICENESS)
    try:
        for report in run(Order.from_text(sys.argv[1])):
            line = {name: getattr(report, name) for name in _REPORTED}
            sys.stdout.write(json.dumps(line) + "\n")
            sys.stdout.flush()
    except KeyboardInterrupt:
        return _INTERRUPTED
    except (DiptychError, OSError, sqlite3.Error, MemoryError) as error:
        sys.stderr.write(" ".join((str(error) or "There is not enough memory.").split()) + "\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
