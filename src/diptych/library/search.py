"""A query against a matrix: exact cosines of everything that the filters let through, the best of them in order."""

import json
import sqlite3
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final, assert_never, cast

import numpy as np

from diptych.calibration import MATCH_THRESHOLD
from diptych.encode.encoder import Encoder, Features
from diptych.errors import TextTooLongError
from diptych.library.background import Background
from diptych.library.database import NoPhotoError
from diptych.library.filters import Filters
from diptych.library.matrix import NO_PHOTO, Ids, Matrix
from diptych.library.paths import LOCATED, Source, source_of
from diptych.library.photos import Model, select_photos, unpack
from diptych.library.query import Photo, Picture, QueryError, Term, Vector, Words
from diptych.library.reading import file_of
from diptych.library.walk import FoundFile

JUDGED: Final = 20
"""How many of the best are looked at, at least, before it is said that nothing matches: the first may be a chance."""
_SHOWN_CHARACTERS: Final = 40  # of words that are too long
_GATHERED_SHARE = 0.1  # of the rows: fewer are copied out and compared, more are compared in place
Numbers = np.ndarray[Any, np.dtype[np.float32]]
Chosen = np.ndarray[Any, np.dtype[np.bool_]]


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A photo that was found: `score` is its cosine with the query, -1 to 1.

    `relevance`, 0 to 1, is how far it stands out for words (`calibration.relevance`); None for other queries.

    `second` is the time of a video's frame that was found, of all its frames the best; `text` is what a catalogue says
    of it, and `fields` are its other columns.
    """

    id: int
    source: Source
    score: float
    width: int
    height: int
    taken_at: str | None
    relevance: float | None = None
    second: float | None = None
    text: str | None = None
    fields: Mapping[str, Any] | None = None

    @property
    def path(self) -> Path:
        """The file. DiptychError for a catalogue's picture that is in none."""
        return self.source.path


def are_without_match(hits: Sequence[Hit]) -> bool:
    """Whether it is known of all of them that they do not stand out."""
    return all(hit.relevance is not None and hit.relevance < MATCH_THRESHOLD for hit in hits)


def query_vector(
    terms: Sequence[Term], database: sqlite3.Connection, model: Model, encoder: Callable[[], Encoder]
) -> Features:
    """(E,) of unit length: the terms' own unit vectors, each times its weight, added up.

    The encoder is only asked for where words or pictures are to be encoded. QueryError where nothing is left of them,
    TextTooLongError for words beyond its context.
    """
    texts = [term.content.text for term in terms if isinstance(term.content, Words)]
    of_texts = iter(_encode_words(encoder(), texts) if texts else ())
    total = np.zeros(model.width, np.float64)
    for term in terms:
        vector: Features
        match term.content:
            case Words():
                vector = next(of_texts)
            case Picture(path):
                vector = picture_vector(encoder(), path)
            case Photo(id):
                vector = photo_vector(database, model, id)
            case Vector(features):
                vector = features
            case _:
                assert_never(term.content)
        total += term.weight * vector
    length = np.linalg.norm(total)
    if length < 1e-6:
        raise QueryError("The terms of the query cancel each other out: nothing is left to look for.")
    return (total / length).astype(np.float32)


def _encode_words(encoder: Encoder, texts: Sequence[str]) -> Features:
    """(N, E) unit rows. TextTooLongError in the words of a search: what is cut would go on unsaid."""
    try:
        return encoder.encode_texts(texts, on_long="error")
    except TextTooLongError as error:
        begin = texts[error.indices[0]][:_SHOWN_CHARACTERS]
        tokens, most = error.tokens, error.context_length
        message = f"The words that begin {begin!r} have {tokens:,} tokens, and the model reads {most}: shorten them."
        raise TextTooLongError(message, indices=error.indices, tokens=tokens, context_length=most) from error


def picture_vector(encoder: Encoder, path: str) -> Features:
    """(E,) of unit length: of a picture, a RAW photo, or a video, whose frames are looked at. Raises ImageError."""
    file = Path(path)
    inputs = file_of(file.parent, FoundFile(file.name, 0, 0)).inputs()
    return _mean(encoder.encode_images([cast(BinaryIO, each) for each in inputs]))


def photo_vector(database: sqlite3.Connection, model: Model, photo: int) -> Features:
    """(E,) of unit length: a photo's own vector, of a video the mean of its frames'. Raises NoPhotoError."""
    rows = database.execute(f"SELECT vector FROM {model.table} WHERE photo_id = ?", (photo,)).fetchall()
    if not rows:
        raise NoPhotoError(f"There is no photo {photo} with a vector of {model.name}.")
    return _mean(np.stack([unpack(row[0], model) for row in rows]))


def _mean(rows: Features) -> Features:
    total = rows.sum(axis=0)
    return (total / max(float(np.linalg.norm(total)), 1e-12)).astype(np.float32)


def allowed_photos(database: sqlite3.Connection, filters: Filters) -> Ids | None:
    """The numbers of the photos that pass; None where all do."""
    if not filters:
        return None
    return np.array([row[0] for row in select_photos(database, "photos.id", filters)], np.int64)


def best_rows(
    matrix: Matrix,
    query: Features,
    *,
    top: int,
    skip: int = 0,
    allowed: Ids | None = None,
    threshold: float | None = None,
    is_wanted: Callable[[Ids, Numbers], Chosen] | None = None,
) -> tuple[Ids, Numbers]:
    """Rows and cosines of the best photos, `skip` left out and then at most `top`; of a video its best frame.

    `is_wanted` is asked of all rows with their cosines.
    """
    rows = None if allowed is None else np.flatnonzero(_is_among(matrix.photos, allowed))
    photos = matrix.photos if rows is None else matrix.photos[rows]
    if rows is not None and len(rows) < _GATHERED_SHARE * len(matrix):
        scores = matrix.rows(rows) @ query
    else:
        scores = matrix.scores(query)
        scores = scores if rows is None else scores[rows]
    if matrix.gone:
        scores[photos == NO_PHOTO] = -np.inf
    if is_wanted is not None:
        scores[~is_wanted(np.arange(len(matrix)) if rows is None else rows, scores)] = -np.inf
    order = _best_photos(scores, photos, top + skip)[skip:]
    order = order[np.isfinite(scores[order]) if threshold is None else scores[order] >= threshold]
    return order if rows is None else rows[order], scores[order]


def is_relevant(background: Background, least: float, rows: Ids, scores: Numbers) -> Chosen:
    """Which rows stand out for a query in words, with which they have these cosines."""
    return background.relevance(rows, scores) >= least


def hits(
    database: sqlite3.Connection, model: Model, matrix: Matrix, rows: Ids, scores: Numbers, relevance: Numbers | None
) -> list[Hit]:
    """The photos of some rows, in their order; those that went meanwhile are left out."""
    found = []
    query = (
        f"SELECT photos.id, width, height, taken_at, second, text, fields, {LOCATED} FROM {model.table} AS vectors "
        "JOIN photos ON photos.id = photo_id JOIN roots ON roots.id = root_id WHERE vectors.id = ?"
    )
    relevances = [None] * len(rows) if relevance is None else relevance.tolist()
    for id, score, relevant in zip(matrix.ids[rows].tolist(), scores.tolist(), relevances, strict=True):
        row = database.execute(query, (id,)).fetchone()
        if row is not None:
            facts = {name: row[name] for name in ("id", "width", "height", "taken_at", "second", "text")}
            fields = None if row["fields"] is None else json.loads(row["fields"])
            found.append(Hit(source=source_of(row), score=score, relevance=relevant, fields=fields, **facts))
    return found


def _is_among(numbers: Ids, allowed: Ids) -> Chosen:
    table = np.zeros(max(numbers.max(initial=0), allowed.max(initial=0)) + 1, np.bool_)
    table[allowed] = True
    return table[numbers]


def _best_photos(scores: Numbers, photos: Ids, count: int) -> Ids:
    """Places of the largest, one a photo, in order."""
    wanted = count
    while True:
        places = _best(scores, wanted)
        _, first = np.unique(photos[places], return_index=True)
        if len(first) >= min(count, len(places)) or wanted >= len(scores):
            return places[np.sort(first)][:count]
        wanted *= 4  # some are frames of one video


def _best(scores: Numbers, count: int) -> Ids:
    """Places of the largest, in order; of equal ones the earlier first, so that pages do not overlap."""
    if 0 < count < len(scores):
        least = np.partition(scores, len(scores) - count)[len(scores) - count]
        above, equal = np.flatnonzero(scores > least), np.flatnonzero(scores == least)
        places = np.concatenate([above, equal[: count - len(above)]])
    else:
        places = np.arange(min(count, len(scores)))
    return places[np.argsort(-scores[places], kind="stable")]
