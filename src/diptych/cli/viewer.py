"""A file, opened as a double click would."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Final

from diptych.errors import DiptychError

_PATIENCE_SECONDS: Final = 2.0  # a viewer that is still there then shows the file; one that failed has said so


def open_in_viewer(target: Path | str) -> None:
    """Have the system show a file, or an address of the web. DiptychError where it cannot."""
    place = str(target.absolute()) if isinstance(target, Path) else target
    if isinstance(target, str) and not target.lower().startswith(("http://", "https://")):
        raise DiptychError(f"{target} is neither a file nor an address, so no viewer can open it.")
    if sys.platform == "win32":
        os.startfile(place)
        return
    command = _command(place)
    try:
        started = subprocess.Popen(
            [command, place], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
    except OSError as error:
        raise DiptychError(f"{command} cannot be started ({error.strerror}).") from error
    try:
        status = started.wait(_PATIENCE_SECONDS)
    except subprocess.TimeoutExpired:
        return
    if status != 0:
        raise DiptychError(f"{command} could not open {place} (exit status {status}).")


def _command(place: str) -> str:
    """The opener of the system; $BROWSER for pages, where it names one program."""
    browser = os.environ.get("BROWSER", "")
    if browser and place.lower().endswith((".html", ".htm")) and shutil.which(browser):
        return browser
    opener = "open" if sys.platform == "darwin" else "xdg-open"
    if shutil.which(opener) is None:
        raise DiptychError(f"{place} cannot be opened from here: there is no {opener}. Open it by hand.")
    return opener
