"""The face of a library, for Python, the command line and the server."""

import os
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final, Self

from diptych.checkpoints.postcard import POSTCARD
from diptych.encode.encoder import Encoder, Features
from diptych.library import photos, upkeep
from diptych.library.background import Background, has_relevance, open_background
from diptych.library.database import PATIENCE_SECONDS, LibraryError, NoVectorsError, connect, create
from diptych.library.duplicates import Duplicates, find_duplicates
from diptych.library.embedding_files import open_embeddings
from diptych.library.encoders import Encoders
from diptych.library.exporting import export_library, exported_model
from diptych.library.filters import Filters, check_names
from diptych.library.importing import ImportReport, Place, import_embeddings
from diptych.library.indexing import IndexReport, index
from diptych.library.kept_lists import KeptLists
from diptych.library.known_roots import known_roots, settle_roots
from diptych.library.label_sets import LabelSets
from diptych.library.lock import only_writer
from diptych.library.matrix import Matrix, open_matrix
from diptych.library.paths import absolute, default_folder, lasting_name
from diptych.library.photo_details import PhotoDetails, photo_details
from diptych.library.photos import Model, VectorDtype
from diptych.library.query import Photo, Picture, QueryError, Term, parse_query
from diptych.library.roots import Root, folder_roots
from diptych.library.search import Hit, allowed_photos, best_rows, hits, is_relevant, photo_vector, query_vector
from diptych.library.thumbnails import SIDE, Thumbnail, photo_thumbnails
from diptych.library.upkeep import CheckReport, Failure

if TYPE_CHECKING:
    from diptych.library.clusters import Clusters
    from diptych.library.labelling import Labelled, LabelRule
    from diptych.library.map import PhotoMap
    from diptych.library.moderation import Moderated
    from diptych.library.policy import Policy
    from diptych.zeroshot import ClassNames, Templates

_BACKGROUND: Final = 60  # images: as much work as the background's 578 texts


class PhotoLibrary:
    """Photos indexed once, found by words or by example. Open it with `PhotoLibrary.open`; for one thread.

    It loads models as they are needed; who has one loaded hands it over when opening.
    """

    def __init__(
        self, folder: Path, database: sqlite3.Connection, *, model: str | None, encoder: Encoder | None, **loading: str
    ) -> None:
        self.folder = folder
        self.label_sets = LabelSets(database)
        self._database = database
        self._model_name = model
        self._encoders = Encoders(encoder, **loading)
        self._lists = KeptLists(database)
        self._matrices: dict[int, Matrix] = {}  # by model
        self._backgrounds: dict[int, tuple[Matrix, Background | None]] = {}  # by model, with the matrix that it is of

    @classmethod
    def open(
        cls,
        folder: str | os.PathLike[str] | None = None,
        *,
        model: str | None = None,
        encoder: Encoder | None = None,
        device: str = "auto",
        dtype: str = "auto",
        create_missing: bool = False,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> Self:
        """The library in `folder`, by default the user's own; LibraryError where there is none.

        `model`, as `diptych.load` takes it, is what it indexes and searches with: by default what was added last, in an
        empty library the model in the package. `encoder` is that model, where it is loaded already. What another
        process has locked is waited for `patience_seconds` long, then LibraryBusyError.
        """
        path = default_folder() if folder is None else Path(folder).expanduser()
        if create_missing:
            create(path)
        database = connect(path, patience_seconds=patience_seconds)
        return cls(path, database, model=model, encoder=encoder, device=device, dtype=dtype)

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
        *roots: str | os.PathLike[str] | Root,
        retry_failures: bool = False,
        vectors: VectorDtype | None = None,
    ) -> IndexReport:
        """`iter_index` to its end; its last report."""
        report = IndexReport()
        for report in self.iter_index(*roots, retry_failures=retry_failures, vectors=vectors):  # noqa: B007
            pass
        return report

    def iter_index(
        self,
        *roots: str | os.PathLike[str] | Root,
        retry_failures: bool = False,
        vectors: VectorDtype | None = None,
    ) -> Iterator[IndexReport]:
        """Bring the library to what folders and catalogues hold, by default all it knows; a report after each commit.

        `vectors` is how a model's vectors are stored from its first photo on, by default as float16, which changes a
        cosine by less than 0.001. Raises LibraryError where another process is indexing, for a folder that never was
        there, or a catalogue that cannot be read.
        """
        with only_writer(self.folder):
            chosen = settle_roots(self._database, [_root(root) for root in roots]) or self.roots()
            # Most runs find nothing new, and need no more than the fingerprint of the weights: that costs no torch.
            name = self.model_name
            model = photos.add_model(self._database, self._encoders.light(name), lasting_name(name), dtype=vectors)
            bulk = partial(self._encoders.bulk, name)
            yield from index(self._database, chosen, bulk, model, retry_failures=retry_failures)
            open_background(self.folder, model, self._matrix(model), self._encoders.light(name))

    def search(
        self,
        query: str | Iterable[Term],
        *,
        top: int = 20,
        skip: int = 0,
        threshold: float | None = None,
        min_relevance: float | None = None,
        filters: Filters | None = None,
        where: str | None = None,
    ) -> list[Hit]:
        """The photos nearest to a query, best first, with their cosines; `skip` pages through them.

        `threshold` is the least cosine; `min_relevance` the least relevance, for queries of words alone. `where` is SQL
        over the table `photos`, beside the typed `filters`. Raises QueryError for a query that says nothing,
        TextTooLongError for words beyond the model's context, FilterError for columns and formats that there are not,
        and LibraryError where the library holds no vectors of the model.
        """
        if top < 1 or skip < 0:
            raise ValueError(f"top is at least 1 and skip at least 0, got {top} and {skip}.")
        model = self.model()
        terms = parse_query(query) if isinstance(query, str) else tuple(query)
        chosen = self._checked(filters)
        allowed = allowed_photos(self._database, replace(chosen, where=where) if where else chosen)
        vector = query_vector(terms, self._database, model, self.encoder)
        matrix = self._matrix(model)
        background = self._background(model, matrix) if has_relevance(terms) else None
        if min_relevance is not None and background is None:
            raise QueryError(
                "Only queries in words, with nothing taken away, have a relevance: leave min_relevance out."
            )
        is_wanted = None
        if min_relevance is not None and background is not None:
            is_wanted = partial(is_relevant, background, min_relevance)
        rows, scores = best_rows(
            matrix, vector, top=top, skip=skip, allowed=allowed, threshold=threshold, is_wanted=is_wanted
        )
        relevance = None if background is None else background.relevance(rows, scores)
        return hits(self._database, model, matrix, rows, scores, relevance)

    def similar(
        self, photo: int | str | os.PathLike[str], *, top: int = 20, filters: Filters | None = None
    ) -> list[Hit]:
        """The photos nearest to one, without itself: by its number, or by the path of any picture or video."""
        number = photo if isinstance(photo, int) else photos.photo_at(self._database, absolute(photo))
        term = Term(Picture(os.fspath(photo))) if number is None else Term(Photo(number))  # type: ignore[arg-type]
        return [hit for hit in self.search([term], top=top + 1, filters=filters) if hit.id != number][:top]

    def duplicates(self, *, threshold: float = 0.97, filters: Filters | None = None) -> list[Duplicates]:
        """Groups of photos that are the same byte for byte, or of at least so high a cosine with the one to keep."""
        if not 0 < threshold <= 1:
            raise ValueError(f"The threshold is a cosine above 0 and at most 1, got {threshold}.")
        return find_duplicates(self._database, self._matrix(), threshold=threshold, filters=self._checked(filters))

    def label(
        self,
        class_names: "ClassNames",
        templates: "Templates" = None,
        *,
        rule: "LabelRule | None" = None,
        filters: Filters | None = None,
    ) -> "Iterator[Labelled]":
        """Each photo with those of the labels that fit it, by path, from the vectors that the library holds.

        Labels and templates are as `build_classifier` takes them.
        """
        from diptych.library.labelling import LabelRule, label_photos
        from diptych.zeroshot import build_classifier

        classifier = build_classifier(self.encoder(items=_BACKGROUND), class_names, templates, progress=True)
        matrix = self._matrix()
        return label_photos(
            self._database, matrix, classifier, filters=self._checked(filters), rule=rule or LabelRule()
        )

    def moderate(self, policy: "Policy", *, filters: Filters | None = None) -> "Iterator[Moderated]":
        """Each photo with how the categories of a policy fit it, by path, from the vectors that the library holds."""
        from diptych.library.moderation import moderate_photos

        encoder, model = self.encoder(items=_BACKGROUND), self.model()
        matrix = self._matrix(model)
        return moderate_photos(self._database, model, matrix, encoder, policy, filters=self._checked(filters))

    def count(self, filters: Filters | None = None) -> int:
        """How many photos pass the filters, with vectors of the model or without."""
        return int(photos.select_photos(self._database, "count(*)", self._checked(filters))[0][0])

    def formats(self) -> list[str]:
        """The formats of the photos, that of the most first."""
        return self._lists.get(upkeep.list_formats)

    def cameras(self) -> list[str]:
        """The cameras that the photos name, that of the most first."""
        return self._lists.get(upkeep.list_cameras)

    def field_names(self) -> list[str]:
        """The columns of catalogues that photos can be filtered by, that of the most first."""
        return self._lists.get(upkeep.list_field_names)

    def clusters(
        self,
        count: int | None = None,
        *,
        vocabulary: Sequence[str] | None = None,
        min_size: int = 2,
        filters: Filters | None = None,
    ) -> "Clusters":
        """The photos in groups that look alike, the largest first, each named by the nearest words of a vocabulary.

        By default `count` comes from how many photos there are, and the words are everyday ones. Those of groups
        smaller than `min_size` are in none.
        """
        from diptych.library.clusters import find_clusters
        from diptych.library.vocabulary import build_names

        matrix = self._matrix()
        named = build_names(self.encoder(items=_BACKGROUND), vocabulary)
        return find_clusters(
            self._database, matrix, named, filters=self._checked(filters), count=count, min_size=min_size
        )

    def map(
        self,
        count: int | None = None,
        *,
        vocabulary: Sequence[str] | None = None,
        filters: Filters | None = None,
    ) -> "PhotoMap":
        """The photos on a plane, alike ones near each other, in groups as `clusters` makes them.

        `map_page.write_page` and `map_image.write_png` make files of it.
        """
        from diptych.library.clusters import chosen_photos
        from diptych.library.map import make_map
        from diptych.library.vocabulary import build_names

        chosen = chosen_photos(self._database, self._matrix(), self._checked(filters))
        return make_map(self, chosen, build_names(self.encoder(items=_BACKGROUND), vocabulary), count=count)

    def vector(self, photo: int) -> Features:
        """(E,) of unit length: a photo's own, of a video the mean of its frames. NoPhotoError for no such photo."""
        return photo_vector(self._database, self.model(), photo)

    def roots(self) -> list[Root]:
        """All that the library was filled from, as it was gone through the last time."""
        return known_roots(self._database)

    @property
    def model_name(self) -> str:
        """What loads the model: as given when the library was opened, else that of the model added last."""
        if self._model_name is not None:
            return self._model_name
        held = photos.models(self._database)
        return held[0].name if held else POSTCARD

    def model(self) -> Model:
        """The model whose vectors are searched. NoVectorsError where the library has none of it."""
        held = photos.models(self._database)
        if not held:
            raise NoVectorsError(f"The library {self.folder} is empty: `diptych index FOLDER` fills it.")
        name = self._model_name
        if self._encoders.given is None and name is None:
            return held[0]
        given = self._encoders.given
        wanted = {name, lasting_name(name or "")} if given is None else {given.fingerprint}
        for model in held:
            if {model.name, model.fingerprint} & wanted:
                return model
        names = ", ".join(model.name for model in held)
        raise NoVectorsError(
            f"The library holds no vectors of {name or 'this model'}, only of {names}: index with it first (--model)."
        )

    def forget_model(self, name: str) -> int:
        """Delete the vectors of a model, and photos that have none of another; how many vectors they were."""
        with only_writer(self.folder):
            for model in photos.models(self._database):
                if model.name in (name, lasting_name(name)):
                    count = photos.forget_model(self._database, model)
                    for kind in ("matrix", "background"):
                        shutil.rmtree(self.folder / f"{kind}-{model.id}", ignore_errors=True)
                    return count
            names = ", ".join(model.name for model in photos.models(self._database))
            raise LibraryError(f"The library holds no vectors of {name}, only of {names or 'none'}.")

    def encoder(self, *, items: int = 1) -> Encoder:
        """The model itself: as given, or loaded when first asked for, for about so many images or ten times the texts.

        LibraryError where the library holds no vectors of the weights that its name has now.
        """
        model, found = self.model(), self._encoders.light(self.model_name, items=items)
        if found.fingerprint != model.fingerprint:
            raise LibraryError(
                f"{model.name} has other weights now than those that the library was last indexed with: "
                "index again, and only what it lacks is computed."
            )
        return found

    def _checked(self, filters: Filters | None) -> Filters:
        """The filters. FilterError where they name a column or a format that there is not."""
        chosen = filters or Filters()
        check_names(chosen, formats=self.formats, columns=self.field_names)
        return chosen

    def _matrix(self, model: Model | None = None) -> Matrix:
        """The vectors of the model as they are now, mapped once for many searches."""
        model = model or self.model()
        self._matrices[model.id] = open_matrix(self._database, self.folder, model, self._matrices.get(model.id))
        return self._matrices[model.id]

    def _background(self, model: Model, matrix: Matrix) -> Background | None:
        """What hits stand out from, read once for as long as the matrix has the same rows."""
        held = self._backgrounds.get(model.id)
        if held is None or held[0].parts is not matrix.parts:
            held = matrix, open_background(self.folder, model, matrix, self.encoder())
            self._backgrounds[model.id] = held
        return held[1]

    def info(self) -> dict[str, Any]:
        """What the library holds and what was last done to it, as plain data."""
        return upkeep.describe_library(self._database, self.folder)

    def describe_roots(self) -> list[dict[str, Any]]:
        """Where its photos are from, as `info` has it."""
        return upkeep.list_roots(self._database)

    def photo(self, photo: int) -> PhotoDetails:
        """What is known of one, with the moments of a video that the model has seen. NoPhotoError for no such photo."""
        model = None
        with suppress(NoVectorsError):
            model = self.model()
        return photo_details(self._database, model, photo)

    def photos(self) -> list[dict[str, Any]]:
        """All photos with what is known of them, by path."""
        return upkeep.list_photos(self._database)

    def thumbnail(self, photo: int, *, side: int = SIDE, second: float | None = None) -> Thumbnail:
        """A small JPEG of a photo, of a video its frame at `second`; made at first view and kept in the library.

        Where there is none it says why, and raises nothing.
        """
        return next(self.thumbnails([(photo, second)], side=side))

    def thumbnails(self, wanted: Iterable[tuple[int, float | None]], *, side: int = SIDE) -> Iterator[Thumbnail]:
        """Those of many photos, or moments of videos, in order; made on all cores."""
        return photo_thumbnails(self._database, self.folder, wanted, side=side)

    def export(self, target: str | os.PathLike[str], *, dtype: VectorDtype | None = None) -> int:
        """Write all vectors of the model with what is known of their photos: to a .parquet file, or to a folder.

        How many they are. `dtype` is theirs in the library by default. What is at the target is replaced as a whole.
        """
        return export_library(self._database, self.model(), Path(target), dtype=dtype)

    def import_(
        self,
        source: str | os.PathLike[str],
        *,
        root: str | os.PathLike[str] | None = None,
        unseen: bool = False,
        path_column: str = "path",
        vector_column: str = "vector",
    ) -> Iterator[ImportReport]:
        """Put the vectors of a file into the library without encoding anything; a report after each commit.

        A file that `export` wrote says all itself. For vectors made elsewhere, by the model that the library was opened
        with, `root` is the folder under which their pictures lie; with `unseen` these need not be there. Each report is
        the same object, grown. LibraryError where the file cannot be read, or its vectors are of another width.
        """
        with open_embeddings(Path(source), path_column=path_column, vector_column=vector_column) as file:
            exported = exported_model(file)
            if exported is None and root is None:
                raise ValueError(f"{source} is no library's export: say under which folder its pictures lie (root).")
            if exported is not None and root is not None:
                raise ValueError(f"{source} says itself where its photos lie: leave root out, and relocate it later.")
            with only_writer(self.folder):
                if exported is not None:
                    model = photos.add_model(self._database, exported, exported.name)
                else:
                    encoder = self._encoders.light(self.model_name)
                    model = photos.add_model(self._database, encoder, self.model_name)
                place = None if root is None else Place(root=absolute(root), unseen=unseen)
                yield from import_embeddings(self._database, file, model, place)
                self._matrix(model)

    def check(self) -> CheckReport:
        """Whether everything in the library is whole."""
        return upkeep.check(self._database, self.folder)

    def remove(self, root: str | os.PathLike[str]) -> int:
        """Forget a root and all its photos, whose files stay; how many they were."""
        with only_writer(self.folder):
            return upkeep.remove_root(self._database, Path(root))

    def relocate(self, old: str | os.PathLike[str], new: str | os.PathLike[str]) -> int:
        """Note that the files of a root lie elsewhere now; how many photos they are."""
        with only_writer(self.folder):
            return upkeep.relocate_root(self._database, Path(old), absolute(new))

    def failures(self) -> list[Failure]:
        """The files that could not be read."""
        return upkeep.list_failures(self._database)


def _root(root: str | os.PathLike[str] | Root) -> Root:
    return folder_roots([root])[0] if isinstance(root, str | os.PathLike) else root
