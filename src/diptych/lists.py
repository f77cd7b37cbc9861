"""Lists that people write: one text a line, or JSON."""

import json
from pathlib import Path


def read_list(path: Path, *, kind: str) -> object:
    """The lines of a file, stripped, without blank ones and # comments; of a .json file, whatever it holds.

    Raises ValueError in one line that calls it "the `kind` file" where it cannot be read, is not UTF-8 or not JSON.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise ValueError(f"The {kind} file {path} cannot be read: {reason}.") from error
    if path.suffix.lower() != ".json":
        return [line for line in map(str.strip, text.splitlines()) if line and not line.startswith("#")]
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"The {kind} file {path} is not JSON: {error}.") from error
