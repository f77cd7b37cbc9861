"""`POST /v1/index`, and how far it is: `/v1/jobs`."""

from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from diptych.library.lock import LibraryHeldError, only_writer
from diptych.serve.bodies import json_body, read_json
from diptych.serve.indexing_child import Order
from diptych.serve.job_facts import Job, describe_job
from diptych.serve.library_threads import LibraryThreads
from diptych.serve.problems import Problem
from diptych.serve.root_names import RootNames
from diptych.serve.state import Shared

router = APIRouter(tags=["library"])


class IndexRequest(BaseModel):
    """Which roots to bring up to date."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"roots": ["holiday"]}]}, extra="forbid")
    roots: Annotated[list[str], Field(min_length=1, max_length=1_000)] | None = Field(
        default=None, description="Names, as /v1/library has them; by default all."
    )
    retry_failures: bool = Field(default=False, description="Try files again that could not be read.")


_ALL_ROOTS: Final = IndexRequest()  # what no body asks for


class Jobs(BaseModel):
    """The runs since the server's start, the newest first."""

    jobs: list[Job]


@router.post("/v1/index", status_code=202, openapi_extra=json_body(IndexRequest, is_required=False))
async def start_indexing(request: Request, server: Shared, response: Response) -> Job:
    """Bring the library to what its roots hold now. It goes on in the background: ask for the job again."""
    library = server.need_library()
    asked = await read_json(request, IndexRequest, _ALL_ROOTS)
    names = await library.run(lambda opened: RootNames(server.config.roots, opened.roots()))
    roots = list(names) if asked.roots is None else [names.find(name) for name in dict.fromkeys(asked.roots)]
    if not roots:
        detail = "The library knows no folder yet: start the server with one that may be indexed, --root NAME=FOLDER."
        raise Problem(422, "no-roots", "There is nothing to index", detail)
    if not server.jobs.is_running:
        await library.run_beside(partial(_check_is_free, library))
    order = Order(
        library=str(library.folder),
        model=server.model_name,
        device=server.config.device,
        dtype=server.config.dtype,
        roots=tuple(str(root.path) for root in roots),
        retry_failures=asked.retry_failures,
    )
    job = server.jobs.start(
        order,
        [root.name for root in roots],
        lambda text: names.without_paths(text.replace(str(library.folder), "the library")),
    )
    response.headers["Location"] = f"{server.config.root_path}/v1/jobs/{job.id}"
    return describe_job(job)


@router.get("/v1/jobs")
async def list_jobs(server: Shared) -> Jobs:
    """All jobs since the server's start, the newest first."""
    server.need_library()
    return Jobs(jobs=[describe_job(job) for job in server.jobs.newest_first])


@router.get("/v1/jobs/{id}")
async def get_job(id: str, server: Shared) -> Job:
    """How far a job is, or how it ended."""
    server.need_library()
    return describe_job(server.jobs.find(id))


@router.delete("/v1/jobs/{id}")
async def stop_job(id: str, server: Shared) -> Job:
    """Have a job keep what is done and end. The next one goes on where it was."""
    server.need_library()
    return describe_job(await server.jobs.stop(id))


def _check_is_free(library: LibraryThreads) -> None:
    try:
        with only_writer(library.folder):
            pass
    except LibraryHeldError as error:
        detail = "Another process of this machine is writing to the library: wait for its end. Searching goes on."
        raise Problem(409, "library-held", "The library is held", detail) from error
