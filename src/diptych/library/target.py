"""What a verb is pointed at, a folder of photos or a library, as a library that holds the vectors."""

import hashlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from diptych.checkpoints.postcard import POSTCARD
from diptych.files import cache_dir
from diptych.library.database import LibraryError
from diptych.library.filters import Filters
from diptych.library.indexing import IndexReport
from diptych.library.library import PhotoLibrary
from diptych.library.paths import absolute, default_folder
from diptych.library.roots import FolderRoot, Root
from diptych.library.upkeep import Failure
from diptych.library.walk import LIBRARY_FILE

_CACHE = "folders"


@dataclass(frozen=True, kw_only=True)
class Target:
    """A library; of a folder, where it lies and which root is to be brought up to date first.

    `is_own` says that the library is one in the cache, made for this folder alone.
    """

    library: PhotoLibrary
    folder: Path | None = None
    root: Root | None = None
    is_own: bool = False

    @property
    def filters(self) -> Filters:
        """What lets only the folder's photos through."""
        return Filters(folder=str(self.folder)) if self.folder else Filters()

    def refresh(self) -> Iterator[IndexReport]:
        """Bring the folder's root up to date: only new and changed photos are opened. Nothing for a whole library."""
        if self.root is not None:
            yield from self.library.iter_index(self.root)

    def failures(self) -> list[Failure]:
        """The files below the folder that could not be read."""
        found = self.library.failures()
        return [each for each in found if self.folder is None or Path(each.source).is_relative_to(self.folder)]


def open_target(
    place: str | os.PathLike[str] | None,
    *,
    library: str | os.PathLike[str] | None = None,
    model: str | None = None,
    device: str = "auto",
    dtype: str = "auto",
) -> Target:
    """Where the vectors of a folder's photos are, or will be.

    `place` is a library's folder, or None for `library` itself: all of it as it stands. Any other folder that lies
    under a root of `library` (by default the user's own) with vectors of the model is served from there. The rest get
    an index of their own in the cache folder, so that nothing is added to the user's library unasked.
    """
    opening = partial(PhotoLibrary.open, device=device, dtype=dtype)
    if place is None or (absolute(place) / LIBRARY_FILE).is_file():
        return Target(library=opening(library if place is None else place, model=model))
    folder = _existing(place)
    own = default_folder() if library is None else Path(library).expanduser()
    if (own / LIBRARY_FILE).is_file():
        opened = opening(own, model=model)
        if (root := _usable_root(opened, folder)) is not None:
            return Target(library=opened, folder=folder, root=root)
        opened.close()
    key = hashlib.sha256(os.fsencode(folder)).hexdigest()[:16]
    cached = opening(cache_dir(_CACHE, key), model=model or POSTCARD, create_missing=True)
    return Target(library=cached, folder=folder, root=FolderRoot(path=folder), is_own=True)


def _usable_root(library: PhotoLibrary, folder: Path) -> Root | None:
    """The root that a folder is or lies under, of a library that holds vectors of the model."""
    root = next((root for root in library.roots() if folder.is_relative_to(root.path)), None)
    if root is not None:
        try:
            library.model()
        except LibraryError:
            return None
    return root


def _existing(place: str | os.PathLike[str]) -> Path:
    folder = absolute(place)
    if folder.is_dir():
        return folder
    if folder.exists():
        raise LibraryError(f"{folder} is a file: give the folder that holds it.")
    raise LibraryError(f"There is no folder {folder}.")
