"""The real `diptych serve` in a process of its own."""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from types import TracebackType
from typing import Any, Protocol, Self

_READY = re.compile(r"diptych: serving \S+ .*at (?P<url>https?://\S+)(?: and \S+)? \(Ctrl-C stops\)")
_START_SECONDS, _STOP_SECONDS = 180, 90  # on a busy machine; a stop may wait 60 for what is being answered


class ServeCommand:
    """A server that is ready: `url` without a slash at its end, `process`, and what it has said on stderr so far."""

    def __init__(self, *options: object, env: dict[str, str] | None = None) -> None:
        # A library of the user who runs the tests must not be served.
        self._home = tempfile.TemporaryDirectory()
        self.stderr: list[str] = []
        self._heard = threading.Condition()
        self._has_ended = False
        self.process = subprocess.Popen(
            [sys.executable, "-m", "diptych", "serve", "--port", "0", "--dtype", "float32", *map(str, options)],
            env={**os.environ, "XDG_DATA_HOME": self._home.name, "DIPTYCH_LIBRARY": "", **(env or {})},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            encoding="utf-8",
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        try:
            self.url = self.wait_for(_READY, seconds=_START_SECONDS)["url"].rstrip("/")
        except AssertionError:
            self.stop()
            raise

    def wait_for(self, pattern: re.Pattern[str] | str, *, seconds: float = 60) -> re.Match[str]:
        """The first line of stderr in which the pattern is found, waited for."""
        found: list[re.Match[str]] = []

        def is_said() -> bool:
            found[:] = [match for line in list(self.stderr) if (match := re.search(pattern, line))]
            return bool(found) or self._has_ended

        with self._heard:
            self._heard.wait_for(is_said, seconds)
        assert found, f"{pattern} was not said:\n" + "\n".join(self.stderr)
        return found[0]

    def logs(self) -> list[dict[str, Any]]:
        """The JSON lines of the log so far."""
        return [json.loads(line) for line in list(self.stderr) if line.startswith("{")]

    def stop(self, signal_number: int = signal.SIGTERM) -> int:
        """End it and give its exit status, which is below 0 where a signal ended it; once more does no harm."""
        if self.process.poll() is None:
            self.process.send_signal(signal_number)
        try:
            status = self.process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise
        finally:
            self._reader.join()
            if self.process.stderr:
                self.process.stderr.close()
            self._home.cleanup()
        return status

    def _read(self) -> None:
        assert self.process.stderr is not None
        for line in self.process.stderr:
            with self._heard:
                self.stderr.append(line.rstrip("\n"))
                self._heard.notify_all()
        with self._heard:
            self._has_ended = True
            self._heard.notify_all()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class StartServer(Protocol):
    """Starts `diptych serve` with further options; the end of the test stops it."""

    def __call__(self, *options: object, env: dict[str, str] | None = None) -> ServeCommand: ...
