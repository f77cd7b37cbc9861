"""The real command in a process of its own."""

import json
import os
import re
import subprocess
import sys
from typing import Any

_PROGRESS = re.compile(r"\w+: [\d,]+(/[\d,]+)? \w+, .*")


def environment(**changes: str) -> dict[str, str]:
    """This process's environment, as wide a terminal as tables want, and what a test adds."""
    return {**os.environ, "COLUMNS": "120", **changes}


def diptych(*arguments: object, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run `diptych` and wait; whatever it does, it never ends in a traceback."""
    command = [sys.executable, "-m", "diptych", *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, encoding="utf-8", env=environment(**changes), timeout=120)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def succeeded(*arguments: object, **changes: str) -> str:
    """What a run that ends well prints, with nothing on stderr but how far it is, where that takes long."""
    done = diptych(*arguments, **changes)
    said = [line for line in done.stderr.splitlines() if not _PROGRESS.fullmatch(line)]
    assert (done.returncode, said) == (0, [])
    return done.stdout


def printed_json(*arguments: object) -> Any:  # noqa: ANN401
    """The JSON that a run that ends well prints."""
    return json.loads(succeeded(*arguments, "--json"))
