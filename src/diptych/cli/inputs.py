"""What people name on the command line, to images: files, folders, globs and http(s) addresses."""

import glob
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from diptych.errors import FetchError
from diptych.images import PICTURE_SUFFIXES, ImageSource

MAX_DOWNLOAD_BYTES = 50_000_000
DOWNLOAD_SECONDS = 30.0


@dataclass(frozen=True, kw_only=True)
class Picture:
    """Something to look at and what to call it."""

    name: str
    source: ImageSource


def find_pictures(arguments: list[str]) -> list[Picture]:
    """Every picture that the arguments name, in their order; addresses are not fetched yet."""
    pictures: list[Picture] = []
    for argument in arguments:
        pictures += [Picture(name=name, source=name) for name in _expand(argument)]
    return pictures


def fetched(pictures: list[Picture], failed: dict[int, str]) -> Iterator[ImageSource]:
    """The sources in order, addresses as bytes; one that cannot be fetched is noted in `failed` and yields no bytes."""
    for index, picture in enumerate(pictures):
        if not _is_address(picture.name):
            yield picture.source
            continue
        from diptych.fetch import fetch_bytes

        try:
            yield fetch_bytes(
                picture.name, max_bytes=MAX_DOWNLOAD_BYTES, timeout_seconds=DOWNLOAD_SECONDS, allow_private=True
            )
        except FetchError as error:
            failed[index] = str(error)
            yield b""


def _expand(argument: str) -> Iterator[str]:
    if not argument:
        raise ValueError("A photo's name is empty: is a variable unset?")
    if _is_address(argument):
        yield argument
        return
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]+://", argument):
        raise ValueError(f"Only http:// and https:// addresses are fetched, got {argument!r}: download the file first.")
    path = Path(os.path.expanduser(argument))  # noqa: PTH111 (the method raises where "~x" is a file and no user)
    if path.is_dir():
        found = sorted(p for p in path.rglob("*") if p.suffix.lower() in PICTURE_SUFFIXES and _is_shown(p, path))
        if not found:
            raise ValueError(f"There are no pictures in folder {argument} (looked for .jpg, .png, .heic and the like).")
        yield from map(str, found)
    elif not path.exists() and any(c in argument for c in "*?["):
        matches = sorted(name for name in glob.glob(str(path), recursive=True) if Path(name).is_file())  # noqa: PTH207
        if not matches:
            raise ValueError(f"No file matches {argument!r}.")
        yield from matches
    else:
        yield str(path)


def _is_shown(path: Path, root: Path) -> bool:
    return path.is_file() and not any(part.startswith(".") for part in path.relative_to(root).parts)


def _is_address(argument: str) -> bool:
    return argument.lower().startswith(("http://", "https://"))
