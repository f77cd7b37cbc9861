"""Where the browser for tests of the page is."""

import os
import shutil
from importlib.util import find_spec


def find_chromium() -> str | None:
    """The program that DIPTYCH_CHROMIUM or the PATH names; None where it or Playwright's Python package is missing."""
    if find_spec("playwright") is None:
        return None
    return os.environ.get("DIPTYCH_CHROMIUM") or shutil.which("chromium")
