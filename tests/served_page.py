"""What a page of the docs shows of a server: `diptych serve` runs until the page ends, and curl asks it."""

import os
import re
import shutil
import subprocess
from contextlib import suppress

from serve_command import ServeCommand

HAS_CURL = shutil.which("curl") is not None
ADDRESS = "http://127.0.0.1:8000"  # the server's on every page; in tests it has a port that is free
_NUMBER = r"-?\d+\.\d+(?:e-?\d+)?"  # with a point
# Rows computed in another company, or on another machine, differ by the rounding of sums.
_ROUNDING = 0.01


class ServedPage:
    """At most one server at a time: that which the page started last."""

    def __init__(self) -> None:
        self._server: ServeCommand | None = None
        self._variables: dict[str, str] = {}

    def start(self, arguments: list[str]) -> str:
        """Start `diptych serve` and give the line that it prints."""
        self.close()
        with suppress(ValueError):
            place = arguments.index("--port")
            arguments = [*arguments[:place], *arguments[place + 2 :]]
        self._server = ServeCommand(*arguments)
        return self._as_shown(next(line for line in self._server.stderr if line.startswith("diptych: serving")))

    def ask(self, line: str) -> tuple[int, str]:
        """The exit status of a shell's line with curl in it, and what it printed; `name=$(...)` keeps that instead."""
        if assignment := re.fullmatch(r"(\w+)=\$\((.*)\)", line):
            status, printed = self.ask(assignment[2])
            self._variables[assignment[1]] = printed.strip()
            return status, ""
        assert self._server is not None, f"no server was started before {line}"
        done = subprocess.run(
            ["sh", "-c", self.located(line).replace("curl ", "curl --silent --show-error ")],
            env={**os.environ, **self._variables},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=60,
        )
        return done.returncode, self._as_shown(done.stdout + done.stderr).replace("\r\n", "\n")

    def located(self, text: str) -> str:
        """A page's text with the address at which the server is."""
        return text if self._server is None else text.replace(ADDRESS, self._server.url)

    def close(self) -> None:
        """Stop the server, if there is one."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def _as_shown(self, text: str) -> str:
        assert self._server is not None
        return text.replace(self._server.url, ADDRESS)


def agree(shown: str, printed: str) -> bool:
    """Whether an answer is as the page shows it, whatever is spaces and where lines end.

    `...` stands for anything; numbers with a point may differ by rounding.
    """
    shown, printed = ("".join(text.split()) for text in (shown, printed))
    numbers = re.findall(_NUMBER, shown)
    parts = {"...": ".*?", **dict.fromkeys(numbers, f"({_NUMBER})")}
    pattern = "".join(parts.get(part) or re.escape(part) for part in re.split(rf"({_NUMBER}|\.\.\.)", shown))
    found = re.fullmatch(pattern, printed)
    return found is not None and all(
        abs(float(ours) - float(theirs)) <= _ROUNDING for ours, theirs in zip(numbers, found.groups(), strict=True)
    )
