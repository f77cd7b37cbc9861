"""What a running server holds: memory, open files, threads."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import httpx

from serve_command import ServeCommand


@dataclass(frozen=True, kw_only=True)
class VitalSigns:
    """Of one moment, `memory` in bytes."""

    memory: int
    open_files: int
    threads: int

    @classmethod
    def of(cls, server: ServeCommand) -> Self:
        """Those of a server, once what is still being answered is done."""
        with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
            client.get("/readyz").raise_for_status()
            metrics = client.get("/metrics").text
        tasks = Path("/proc") / str(server.process.pid) / "task"
        return cls(
            memory=_value(metrics, "process_resident_memory_bytes"),
            open_files=_value(metrics, "process_open_fds"),
            threads=len(list(tasks.iterdir())),
        )

    def __str__(self) -> str:
        return f"{self.memory / 1e6:.0f} MB, {self.open_files} open files, {self.threads} threads"


def _value(metrics: str, name: str) -> int:
    found = re.search(rf"^{name} (\S+)$", metrics, re.MULTILINE)
    assert found, f"{name} is not counted"
    return int(float(found[1]))
