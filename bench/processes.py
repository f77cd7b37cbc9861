"""Processes that are measured: halves that answer requests, and whole commands."""

import json
import os
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Self

HALVES = Path(__file__).parent / "halves"
# Nothing is fetched, no peer waits for a server, and no bars are drawn between the results.
ENVIRONMENT = {**os.environ, "HF_HUB_OFFLINE": "1", "PYTHONWARNINGS": "ignore", "TQDM_DISABLE": "1"}


class Half:
    """A script of `halves/` in a process of its own, which loads once and then measures whenever it is asked."""

    def __init__(self, python: str, script: str, *arguments: str | Path) -> None:
        self.name = script
        self._process = subprocess.Popen(
            [python, str(HALVES / script), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()

    def ask(self, **request: Any) -> dict[str, Any]:  # noqa: ANN401
        """One measurement; RuntimeError if the half has died of it (it says why on stderr)."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(json.dumps(request) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"{self.name} ended with {self._process.wait()} when asked {request}")
        measured: dict[str, Any] = json.loads(answer)
        return measured


def run_command(*command: str | Path) -> dict[str, Any]:
    """Wall seconds, peak resident megabytes (1e6 bytes) and output of a command; CalledProcessError if it fails.

    It is started by a small process: a child's peak counts what its parent held when it was started.
    """
    launcher = [sys.executable, "-I", "-S", str(HALVES / "command.py"), *map(str, command)]
    done = subprocess.run(launcher, check=True, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT)
    measured: dict[str, Any] = json.loads(done.stdout)
    return measured
