"""The face of a library, for Python, the command line and the server."""

import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from diptych.encode.encoder import Encoder
from diptych.library import photos, upkeep
from diptych.library.database import LibraryError, connect, create
from diptych.library.duplicates import Duplicates, find_duplicates
from diptych.library.filters import Filters
from diptych.library.indexing import IndexOptions, IndexReport, index
from diptych.library.lock import only_writer
from diptych.library.matrix import open_matrix
from diptych.library.paths import restored
from diptych.library.photos import Model
from diptych.library.query import Photo, Term, parse_query
from diptych.library.search import Hit, allowed_photos, best_rows, hits, query_vector
from diptych.library.upkeep import CheckReport


@dataclass(frozen=True, kw_only=True)
class Failure:
    """A file that could not be read as it was, and why; it is tried again once it changes."""

    path: Path
    reason: str


class PhotoLibrary:
    """Photos indexed once, found by words or by example. Open it with `PhotoLibrary.open`; for one thread."""

    def __init__(self, folder: Path, database: sqlite3.Connection) -> None:
        self.folder = folder
        self._database = database

    @classmethod
    def open(cls, folder: str | os.PathLike[str] | None = None, *, create_missing: bool = False) -> Self:
        """The library in `folder`, by default the user's own. LibraryError where there is none."""
        path = default_folder() if folder is None else Path(folder)
        if create_missing:
            create(path)
        return cls(path, connect(path))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Let go of the database."""
        self._database.close()

    def index(
        self,
        folders: Iterable[str | os.PathLike[str]],
        encoder: Encoder,
        *,
        name: str = "postcard",
        options: IndexOptions | None = None,
    ) -> Iterator[IndexReport]:
        """Bring the library to what the folders hold; a report after each commit, the last at the end.

        `name` is what loads the encoder's weights again, for a search that is not given an encoder.
        """
        paths = [_folder(path) for path in folders]
        with only_writer(self.folder):
            model = photos.add_model(self._database, encoder, name)
            yield from index(self._database, paths, encoder, model, options or IndexOptions())
            open_matrix(self._database, self.folder, model)

    def search(
        self,
        query: str | Iterable[Term],
        encoder: Callable[[], Encoder],
        *,
        model: str | None = None,
        filters: Filters | None = None,
        top: int = 20,
        skip: int = 0,
        threshold: float = -2.0,
    ) -> list[Hit]:
        """The photos nearest to a query, best first, with their cosines; `skip` pages through them.

        `encoder` is asked for only where there are words or pictures to encode. Raises LibraryError where the library
        holds no vectors of the model.
        """
        chosen = self.model(model)
        terms = parse_query(query) if isinstance(query, str) else tuple(query)

        def fitting() -> Encoder:
            loaded = encoder()
            if loaded.fingerprint != chosen.fingerprint:
                raise LibraryError(
                    f"The library's vectors are of {chosen.name}, and the model given is another: index with it first, "
                    "or search with the library's own."
                )
            return loaded

        vector = query_vector(terms, self._database, chosen, fitting)
        allowed = allowed_photos(self._database, filters or Filters())
        matrix = open_matrix(self._database, self.folder, chosen)
        rows, scores = best_rows(matrix, vector, top=top, skip=skip, allowed=allowed, threshold=threshold)
        return hits(self._database, chosen, matrix, rows, scores)

    def similar(self, photo: int, *, model: str | None = None, top: int = 20) -> list[Hit]:
        """The photos nearest to one of the library, without itself."""
        found = self.search([Term(Photo(photo))], _no_encoder, model=model, top=top + 1)
        return [hit for hit in found if hit.id != photo][:top]

    def duplicates(self, *, threshold: float = 0.97, model: str | None = None) -> list[Duplicates]:
        """Groups of photos that are the same byte for byte, or of at least so high a cosine."""
        return find_duplicates(
            self._database, open_matrix(self._database, self.folder, self.model(model)), threshold=threshold
        )

    def model(self, name: str | None = None) -> Model:
        """The model of this name or fingerprint; without a name, the one that was added last."""
        held = photos.models(self._database)
        if not held:
            raise LibraryError(f"The library {self.folder} is empty: `diptych index FOLDER` fills it.")
        for model in held:
            if name in (None, model.name, model.fingerprint):
                return model
        names = ", ".join(model.name for model in held)
        raise LibraryError(f"The library holds no vectors of {name}, only of {names}: index with --model {name} first.")

    def default_model_name(self) -> str:
        """What the library was last indexed with; of an empty one, the model in the package."""
        held = photos.models(self._database)
        return held[0].name if held else "postcard"

    def info(self) -> dict[str, Any]:
        """What the library holds, as plain data."""
        roots = self._database.execute(
            "SELECT path, (SELECT count(*) FROM photos WHERE root_id = roots.id) AS photos, "
            "(SELECT count(*) FROM failures WHERE root_id = roots.id) AS failures, scanned_at FROM roots ORDER BY path"
        )
        return {
            "folder": str(self.folder),
            "bytes": sum(file.stat().st_size for file in self.folder.rglob("*") if file.is_file()),
            "roots": [{**dict(row), "path": restored(row["path"])} for row in roots],
            "models": [
                {
                    "name": model.name,
                    "fingerprint": model.fingerprint,
                    "width": model.width,
                    "dtype": model.dtype,
                    "vectors": self._database.execute(f"SELECT count(*) FROM {model.table}").fetchone()[0],
                }
                for model in photos.models(self._database)
            ],
        }

    def photos(self) -> list[dict[str, Any]]:
        """All photos with what is known of them, by path."""
        return upkeep.listed(self._database)

    def check(self) -> CheckReport:
        """Whether everything in the library is whole."""
        return upkeep.check(self._database, self.folder)

    def remove(self, root: str | os.PathLike[str]) -> int:
        """Forget a root and all its photos, whose files stay; how many they were."""
        with only_writer(self.folder):
            return upkeep.remove_root(self._database, _absolute(root))

    def relocate(self, old: str | os.PathLike[str], new: str | os.PathLike[str]) -> int:
        """Note that the files of a root lie elsewhere now; how many photos they are."""
        with only_writer(self.folder):
            return upkeep.relocate_root(self._database, _absolute(old), _absolute(new))

    def failures(self) -> list[Failure]:
        """The files that could not be read."""
        rows = self._database.execute(
            "SELECT roots.path, failures.path, reason FROM failures JOIN roots ON roots.id = root_id ORDER BY 1, 2"
        )
        return [Failure(path=Path(restored(root)) / restored(path), reason=reason) for root, path, reason in rows]


def default_folder() -> Path:
    """$DIPTYCH_LIBRARY, else diptych/library in the user's data directory (the XDG specification's)."""
    if chosen := os.environ.get("DIPTYCH_LIBRARY"):
        return Path(chosen).expanduser()
    base = Path(os.environ.get("XDG_DATA_HOME", ""))
    return (base if base.is_absolute() else Path.home() / ".local" / "share") / "diptych" / "library"


def _folder(path: str | os.PathLike[str]) -> Path:
    """Absolute, links resolved: so a folder named in two ways is one root."""
    folder = _absolute(path)
    if folder.exists() and not folder.is_dir():
        raise LibraryError(f"{folder} is a file: give the folder that holds it.")
    return folder


def _absolute(path: str | os.PathLike[str]) -> Path:
    return Path(os.fsdecode(path)).expanduser().resolve()


def _no_encoder() -> Encoder:
    raise AssertionError("nothing is to be encoded")
