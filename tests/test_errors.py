"""What an error tells to do can be done."""

import sys
from pathlib import Path

import pytest

from diptych.errors import needs_extra


def test_a_missing_extra_is_added_by_the_pip_of_this_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    python, pip = tmp_path / "own env" / "python", tmp_path / "own env" / "pip"
    pip.parent.mkdir()
    pip.touch(mode=0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    for path, command in ((str(pip.parent), "pip"), (str(tmp_path), f"'{python}' -m pip")):
        monkeypatch.setenv("PATH", path)
        said = str(needs_extra("diptych serve", "fastapi", "serve"))
        assert said == f"diptych serve needs fastapi, which is not installed: {command} install 'diptych[serve]'."
