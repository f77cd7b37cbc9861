"""Tables as wide as the terminal; into a pipe or a file, as wide as they are."""

import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

_UNBROKEN = 10_000  # columns: a program that reads the lines wants none of them wrapped


def console() -> "Console":
    """Where results are printed."""
    from rich.console import Console

    return Console(emoji=False) if is_terminal() else Console(width=_UNBROKEN, emoji=False)


def is_terminal() -> bool:
    """Whether people read along; a daemon may have closed its output altogether."""
    return sys.stdout is not None and sys.stdout.isatty()
