"""A server with a small library of real photographs."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from diptych.demo.photographs import find_photographs
from diptych.library.library import PhotoLibrary
from serve_command import ServeCommand

NAMES = ("chelsea.png", "coffee.png", "rocket.jpg")
PHOTOGRAPHS = [photograph for photograph in find_photographs() if photograph.name in NAMES]
IDS = range(1, len(PHOTOGRAPHS) + 1)


@contextmanager
def serve_holiday(folder: Path, *, env: dict[str, str] | None = None) -> Iterator[ServeCommand]:
    """`diptych serve` with these photographs indexed, as the root holiday."""
    root = folder / "holiday"
    root.mkdir()
    for photograph in PHOTOGRAPHS:
        shutil.copy(photograph, root)
    with PhotoLibrary.open(folder / "library", dtype="float32", create_missing=True) as library:
        library.index(root)
    with ServeCommand("--library", folder / "library", "--root", f"holiday={root}", env=env) as server:
        yield server
