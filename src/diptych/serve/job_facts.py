"""A run of the indexer, as the API answers it."""

from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, Field

from diptych.serve.indexing_jobs import IndexingJob


class Job(BaseModel):
    """A run of the indexer."""

    id: str
    state: Literal["running", "done", "failed", "stopped"]
    roots: list[str]
    total: int = Field(description="Files to look into; 0 while they are being looked for.")
    done: int
    failed: int = Field(description="Files that could not be read: /v1/library/failures.")
    moved: int = Field(description="Photos whose files are somewhere else now.")
    removed: int = Field(description="Photos whose files are gone, counted at the end.")
    rate: float | None = Field(description="Files a second.")
    eta_seconds: float | None
    started_at: datetime
    ended_at: datetime | None
    detail: str = Field(description="What there is to say once it has ended.")


def describe_job(job: IndexingJob) -> Job:
    """A job as it is now."""
    same = ("id", "state", "total", "done", "failed", "moved", "removed", "rate", "eta_seconds", "detail")
    return Job(
        roots=list(job.roots),
        started_at=datetime.fromtimestamp(job.started_at, UTC),
        ended_at=None if job.ended_at is None else datetime.fromtimestamp(job.ended_at, UTC),
        **{name: getattr(job, name) for name in same},
    )
