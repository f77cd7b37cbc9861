"""Keys from where an operator keeps them: a file, or a variable of the environment."""

import os
import re
import stat
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from diptych.errors import DiptychError, printable

SHORTEST: Final = 16  # characters: shorter ones can be guessed
_VARIABLE: Final = "env:"
_MAKE_ONE: Final = "make one with `openssl rand -hex 32`"


def read_keys(sources: Sequence[str]) -> tuple[str, ...]:
    """The keys of files (one a line; what follows a # is a comment) and of variables (env:NAME, commas between).

    DiptychError for a source that is missing or holds no key, and for a key that is short or not plain ASCII; no
    message repeats a key.
    """
    return tuple(dict.fromkeys(key for source in sources for key in _read(source)))


def _read(source: str) -> list[str]:
    if source.startswith(_VARIABLE):
        name = printable(source.removeprefix(_VARIABLE))
        where = f"The variable {name}"
        parts = enumerate(re.split(r"[\n,]", os.environ.get(name, "")), 1)
    else:
        where = f"The file {printable(source)}"
        parts = enumerate(_lines(source), 1)
    keys = [_checked(key, f"{where}, {number}") for number, part in parts if (key := part.strip())]
    if not keys:
        raise DiptychError(f"{where} holds no key for --api-key: {_MAKE_ONE}.")
    return keys


def _lines(source: str) -> Iterator[str]:
    try:
        if stat.S_IMODE(Path(source).stat().st_mode) & stat.S_IROTH:
            warnings.warn(f"All users of this machine can read the keys in {source}: chmod 600 {source}", stacklevel=2)
        text = Path(source).read_text("utf-8")
    except FileNotFoundError:
        # It may be a key: it is not repeated.
        raise DiptychError(
            "--api-key names a file or env:NAME, and there is no such file; a key itself is not given on the command "
            "line, where every process of this machine can read it."
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        reason = (error.strerror or "it failed").lower() if isinstance(error, OSError) else "it is no UTF-8 text"
        raise DiptychError(f"The keys in {printable(source)} cannot be read: {reason}.") from error
    return (re.split(r"(?:^|\s)#", line)[0] for line in text.removeprefix("\ufeff").splitlines())


def _checked(key: str, where: str) -> str:
    if len(key) < SHORTEST:
        raise DiptychError(f"{where}: a key of {len(key)} characters, and {SHORTEST} are the least: {_MAKE_ONE}.")
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise DiptychError(f"{where}: a key is of letters, digits and signs without spaces: {_MAKE_ONE}.")
    return key
