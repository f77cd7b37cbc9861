"""What can go wrong, as a small tree: everything Diptych raises on purpose is a `DiptychError` or a `ValueError`."""

import shlex
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path


class DiptychError(Exception):
    """A problem the user can act on; its text is one line: what is wrong, what was got, what to do."""


class CheckpointError(DiptychError):
    """Weights that cannot be found, read, or fitted to a model of this family."""


class TorchNeededError(CheckpointError):
    """Weights that only torch can read or compute, where it was to be done without."""


class ImageError(DiptychError):
    """An image that cannot be opened, is too large, truncated, or not what it claims to be."""


class TooManyPixelsError(ImageError):
    """An image of more pixels than may be decoded; `pixels` says how many it has."""

    def __init__(self, message: str, *, pixels: int) -> None:
        super().__init__(message)
        self.pixels = pixels


class TextTooLongError(DiptychError, ValueError):
    """Texts of more tokens than the model's context holds, where cutting was not allowed.

    `indices` says which, `tokens` how many the first of them has, `context_length` how many the model reads.
    """

    def __init__(self, message: str, *, indices: Sequence[int], tokens: int, context_length: int) -> None:
        super().__init__(message)
        self.indices, self.tokens, self.context_length = tuple(indices), tokens, context_length


class FetchError(DiptychError):
    """A download that failed, was refused, or did not match its checksum."""


def needs_extra(what: str, package: str, extra: str) -> DiptychError:
    """The error for a package of an extra that is not installed; raise it from the ImportError."""
    return DiptychError(f"{what} needs {package}, which is not installed: {_pip()} install 'diptych[{extra}]'.")


def _pip() -> str:
    """The pip of this environment. Another would not find Diptych there, and look for some package of that name."""
    found = shutil.which("pip")
    is_own = found is not None and Path(found).parent == Path(sys.executable).parent
    return "pip" if is_own else f"{shlex.quote(sys.executable)} -m pip"


def printable(name: str) -> str:
    """A name as a line may show it: itself, or with escapes for what would break the line or is not Unicode text."""
    return name if name.isprintable() else ascii(name)
