"""The roots that a library knows, and what those that are named anew have to do with them."""

import sqlite3
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from diptych.library import photos
from diptych.library.catalogue_root import CatalogueRoot
from diptych.library.database import LibraryError, transaction
from diptych.library.paths import restored, stored
from diptych.library.roots import FolderRoot, Root


def known_roots(database: sqlite3.Connection) -> list[Root]:
    """All that a library was filled from, as it was gone through the last time."""
    roots: list[Root] = []
    for path, kind, settings in database.execute("SELECT path, kind, settings FROM roots ORDER BY path"):
        place = Path(restored(path))
        if kind == "folder":
            roots.append(FolderRoot.from_settings(place, settings or "{}"))
        else:
            roots.append(CatalogueRoot.from_settings(place, settings))
    return roots


def settle_roots(database: sqlite3.Connection, roots: Sequence[Root]) -> list[Root]:
    """What to go through for some roots, so that no file is in two: a part of a known one, or one that takes in others.

    Raises LibraryError for a folder that is not there and never was.
    """
    known = {root.path: root for root in known_roots(database)}
    settled: dict[Path, Root] = {}
    for root in roots:
        if root.path not in known and not root.path.exists():
            raise LibraryError(f"There is no {root.kind} {root.path}.")
        if not isinstance(root, FolderRoot):
            settled[root.path] = root
            continue
        if root.path.exists() and not root.path.is_dir():
            raise LibraryError(f"{root.path} is a file: give the folder that holds it.")
        above = next((each for each in root.path.parents if isinstance(known.get(each), FolderRoot)), None)
        if above is not None:
            part = replace(known[above], within=f"{root.path.relative_to(above).as_posix()}/")  # type: ignore[type-var]
            settled.setdefault(root.path, part)
            continue
        _take_in(database, root, [each for each in known.values() if root.path in each.path.parents])
        settled[root.path] = root
    return [root for path, root in settled.items() if not any(each in settled for each in path.parents)]


def _take_in(database: sqlite3.Connection, root: FolderRoot, within: list[Root]) -> None:
    """Make known roots that lie in another a part of it: their photos keep numbers and vectors."""
    for child in within:
        if isinstance(child, FolderRoot):
            with transaction(database):
                number = photos.put_root(database, root.path, kind=root.kind, settings=root.settings)
                [(old,)] = database.execute("SELECT id FROM roots WHERE path = ?", (stored(str(child.path)),))
                prefix = f"{child.path.relative_to(root.path).as_posix()}/"
                photos.absorb_root(database, number, old, prefix)
