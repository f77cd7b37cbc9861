"""`GET /v1/library`: what there is to search, where it is from, and what of it could not be read."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from diptych.library.database import NoVectorsError
from diptych.library.library import PhotoLibrary
from diptych.serve.job_facts import Job, describe_job
from diptych.serve.root_names import RootNames
from diptych.serve.state import Shared

router = APIRouter(prefix="/v1/library", tags=["library"])
_MOST_NAMES = 200  # cameras, columns


class RootFacts(BaseModel):
    """A folder, or a table of pictures, and what the library has of it."""

    name: str
    kind: Literal["folder", "table"]
    photos: int
    failures: int
    scanned_at: datetime | None = Field(description="When it was last gone through to the end.")


class LibraryFacts(BaseModel):
    """What the library holds. Formats, columns and cameras are what filters may ask for."""

    photos: int
    model: str
    has_vectors: bool = Field(description="Whether the photos can be searched with this model.")
    roots: list[RootFacts]
    formats: list[str]
    fields: list[str] = Field(description="Columns of tables.")
    cameras: list[str]
    job: Job | None = Field(description="The indexing that runs, or that ran last.")


class Failure(BaseModel):
    """A file that could not be read, and why."""

    root: str
    name: str
    reason: str


class Failures(BaseModel):
    """Some of them, and how many there are in all."""

    failures: list[Failure]
    total: int


@router.get("")
async def describe_library(server: Shared) -> LibraryFacts:
    """What can be searched, and by what it can be filtered."""

    def describe(library: PhotoLibrary) -> dict[str, Any]:
        names = RootNames(server.config.roots, library.roots())
        return {
            "photos": library.count(),
            "has_vectors": _has_vectors(library),
            "roots": list(_roots(library, names)),
            "formats": library.formats(),
            "fields": library.field_names()[:_MOST_NAMES],
            "cameras": library.cameras()[:_MOST_NAMES],
        }

    facts = await server.need_library().run(describe)
    jobs = server.jobs.newest_first[:1]
    return LibraryFacts(model=server.model_id, job=describe_job(jobs[0]) if jobs else None, **facts)


@router.get("/failures")
async def list_failures(
    server: Shared,
    top: Annotated[int, Query(ge=1, le=1_000)] = 100,
    skip: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> Failures:
    """The files that could not be read, by path. They are tried again once they change, or when asked for."""

    def describe(library: PhotoLibrary) -> Failures:
        names = RootNames(server.config.roots, library.roots())
        found = library.failures()
        shown = []
        for each in found[skip : skip + top]:
            root, name = names.place(each.source)
            shown.append(Failure(root=root, name=name, reason=names.without_paths(each.reason)))
        return Failures(failures=shown, total=len(found))

    return await server.need_library().run(describe)


def _has_vectors(library: PhotoLibrary) -> bool:
    try:
        library.model()
    except NoVectorsError:
        return False
    return True


def _roots(library: PhotoLibrary, names: RootNames) -> Iterator[RootFacts]:
    known = {each["path"]: each for each in library.describe_roots()}
    for root in names:
        facts = known.get(str(root.path), {})
        scanned = facts.get("scanned_at")
        yield RootFacts(
            name=root.name,
            kind=facts.get("kind", "folder"),
            photos=facts["photos"] if facts else library.count(root.filters),
            failures=facts.get("failures", 0),
            scanned_at=None if scanned is None else datetime.fromtimestamp(scanned, UTC),
        )
