"""What a running server holds: memory, open files, threads."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

from serve_command import ServeCommand

# For a server whose memory is compared: without these it grows by a hundred MB in some thousand requests, and then
# levels off, whatever the server itself lets go.
KEEPS_LITTLE = {
    "MALLOC_ARENA_MAX": "1",  # glibc: else each thread has a heap of its own, as large as its largest request
    "MALLOC_MMAP_THRESHOLD_": "65536",  # glibc: what is larger goes back when it is freed, and leaves no gaps
    "LRU_CACHE_CAPACITY": "1",  # torch: else kernels of the last 1,024 shapes, and texts come in many
    "ONEDNN_PRIMITIVE_CACHE_CAPACITY": "1",  # the same of the library that makes them
}


@dataclass(frozen=True, kw_only=True)
class VitalSigns:
    """Of one moment, `memory` in bytes; `is_ready` is what /readyz says."""

    memory: int
    open_files: int
    threads: int
    is_ready: bool

    @classmethod
    def of(cls, server: ServeCommand) -> Self:
        """Those of a server, once what is still being answered is done."""
        with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
            ready = client.get("/readyz")
            metrics = client.get("/metrics").text
        tasks = Path("/proc") / str(server.process.pid) / "task"
        return cls(
            memory=_value(metrics, "process_resident_memory_bytes"),
            open_files=_value(metrics, "process_open_fds"),
            threads=len(list(tasks.iterdir())),
            is_ready=ready.status_code == 200,
        )

    def __str__(self) -> str:
        return f"{self.memory / 1e6:.0f} MB, {self.open_files} open files, {self.threads} threads"


def _value(metrics: str, name: str) -> int:
    found = re.search(rf"^{name} (\S+)$", metrics, re.MULTILINE)
    assert found, f"{name} is not counted"
    return int(float(found[1]))
