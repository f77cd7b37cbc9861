"""The real command in a process of its own."""

import json
import os
import re
import subprocess
import sys
from typing import Any

# Root without these two of its capabilities (Linux: CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH) is a user like others, who
# can still read what is root's own, as another user could not where Python lies in root's home.
_DROP = """
import ctypes, os, sys
for capability in (1, 2):
    if ctypes.CDLL(None, use_errno=True).prctl(24, capability, 0, 0, 0):  # PR_CAPBSET_DROP
        sys.exit(f"capability {capability} cannot be dropped: {os.strerror(ctypes.get_errno())}")
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
_PROGRESS = re.compile(r"\w+: [\d,]+(/[\d,]+)? \w+, .*")


def environment(**changes: str) -> dict[str, str]:
    """This process's environment, as wide a terminal as tables want, and what a test adds."""
    return {**os.environ, "COLUMNS": "120", **changes}


def diptych(*arguments: object, **changes: str) -> subprocess.CompletedProcess[str]:
    """Run `diptych` and wait; whatever it does, it never ends in a traceback."""
    return _run([sys.executable], arguments, changes)


def run_without_privileges(*arguments: object, **changes: str) -> subprocess.CompletedProcess[str]:
    """`diptych` as one to whom the modes of files apply, as they do not to root."""
    return _run([sys.executable, "-c", _DROP] if os.geteuid() == 0 else [sys.executable], arguments, changes)


def _run(python: list[str], arguments: tuple[object, ...], changes: dict[str, str]) -> subprocess.CompletedProcess[str]:
    command = [*python, "-m", "diptych", *map(str, arguments)]
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
