"""`POST /v1/search` and `/v1/similar`: photos of the library by words, by pictures, or by both."""

from collections.abc import Sequence
from functools import partial

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from diptych.library.background import has_relevance
from diptych.library.library import PhotoLibrary
from diptych.library.query import MOST_TERMS, Picture, QueryError, Term, Vector, parse_query
from diptych.library.search import JUDGED, Hit, are_without_match
from diptych.serve.bodies import both_bodies, read_request
from diptych.serve.checks import check_count, check_texts
from diptych.serve.hits import FoundPhotos, describe_hit
from diptych.serve.image_inputs import encode_all
from diptych.serve.root_names import RootNames
from diptych.serve.search_requests import ImageTerm, SearchRequest, SimilarRequest
from diptych.serve.state import Server, Shared

router = APIRouter(tags=["search"])


@router.post("/v1/search", response_model=FoundPhotos, openapi_extra=both_bodies(SearchRequest))
async def search_photos(request: Request, server: Shared) -> Response:
    """The photos nearest to a query: words and photos in the library's language, pictures beside it, or both."""
    library = server.need_library()
    asked, uploads = await read_request(request, SearchRequest)
    images = [*(asked.images or ()), *uploads]
    terms = [*_said(asked.query or "", server), *await _shown(images, server)]
    if not terms:
        raise QueryError('Say what to find, in words ("two dogs in snow") or by a picture (images).')
    if len(terms) > MOST_TERMS:
        raise QueryError(f"The query has {len(terms)} terms; {MOST_TERMS} are the most.")
    # A path in a request would have the server read any file.
    assert not any(isinstance(term.content, Picture) for term in terms)
    return _json(await library.run(partial(_search, asked, terms, server)))


@router.post("/v1/similar", response_model=FoundPhotos, openapi_extra=both_bodies(SimilarRequest))
async def find_similar(request: Request, server: Shared) -> Response:
    """The photos that look most like one of the library, without itself, or like a picture."""
    library = server.need_library()
    asked, uploads = await read_request(request, SimilarRequest)
    images = [*([asked.image] if asked.image else ()), *uploads]
    if len(images) + (asked.photo is not None) != 1:
        raise QueryError("Give one photo's number (photo) or one picture (image), to find the like of.")
    terms = await _shown(images, server)
    return _json(await library.run(partial(_similar, asked, terms, server)))


def _said(query: str, server: Server) -> Sequence[Term]:
    """The terms of a query, none of them a path."""
    if not query.strip():
        return ()
    check_texts("text", [[query]], server.config.limits)
    terms = parse_query(query)
    if any(isinstance(term.content, Picture) for term in terms):
        raise QueryError("img: names a file, which a server does not read: send the picture itself (images).")
    return terms


async def _shown(images: Sequence[str | bytes | ImageTerm], server: Server) -> list[Term]:
    """A term for each picture; a Problem that names all that cannot be read."""
    check_count("images", len(images), server.config.limits.images)
    sources = [each.image if isinstance(each, ImageTerm) else each for each in images]
    features = await encode_all(sources, server)
    weights = [each.weight if isinstance(each, ImageTerm) else 1.0 for each in images]
    return [Term(Vector(row), weight) for row, weight in zip(features, weights, strict=True)]


def _search(asked: SearchRequest, terms: Sequence[Term], server: Server, library: PhotoLibrary) -> bytes:
    names = RootNames(server.config.roots, library.roots())
    found = library.search(
        terms,
        top=asked.top if asked.skip else max(asked.top, JUDGED),
        skip=asked.skip,
        threshold=asked.threshold,
        min_relevance=asked.min_relevance,
        filters=asked.filters.resolve(names),
    )
    is_known = bool(found) and asked.skip == 0 and has_relevance(terms)
    return _answer(found[: asked.top], names, are_without_match(found) if is_known else None)


def _similar(asked: SimilarRequest, terms: Sequence[Term], server: Server, library: PhotoLibrary) -> bytes:
    names = RootNames(server.config.roots, library.roots())
    filters = asked.filters.resolve(names)
    if asked.photo is not None:
        return _answer(library.similar(asked.photo, top=asked.top, filters=filters), names, None)
    return _answer(library.search(terms, top=asked.top, filters=filters), names, None)


def _answer(hits: Sequence[Hit], names: RootNames, nothing_matches: bool | None) -> bytes:
    return orjson.dumps({"hits": [describe_hit(hit, names) for hit in hits], "nothing_matches": nothing_matches})


def _json(content: bytes) -> Response:
    return Response(content, media_type="application/json")
