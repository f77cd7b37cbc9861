"""What all requests of one server share."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from diptych.serve.access import Access, Guesses
from diptych.serve.classifiers import Classifiers
from diptych.serve.config import ServeConfig
from diptych.serve.engine import Engine
from diptych.serve.fetching import Fetching
from diptych.serve.indexing_jobs import IndexingJobs
from diptych.serve.labels import fault_of
from diptych.serve.library_threads import LibraryThreads
from diptych.serve.metrics import Metrics
from diptych.serve.problems import Problem


@dataclass(kw_only=True)
class Server:
    """One server: its configuration, its model, its counters, its photos."""

    config: ServeConfig
    engine: Engine
    metrics: Metrics
    model_id: str
    model_name: str  # what loads it
    library: LibraryThreads | None = None
    jobs: IndexingJobs = field(default_factory=IndexingJobs)
    started: float = field(default_factory=time.time)
    access: Access = field(init=False)
    guesses: Guesses = field(default_factory=Guesses)
    is_stopping: bool = False
    fetching: Fetching = field(init=False)
    classifiers: Classifiers = field(init=False)  # from the start of the loop on

    def __post_init__(self) -> None:
        self.access = Access(self.config.api_keys)
        self.fetching = Fetching(self.config.limits)

    @property
    def has_library(self) -> bool:
        """Whether photos can be searched."""
        return self.library is not None

    def need_library(self) -> LibraryThreads:
        """The photo library; a Problem where there is none."""
        if self.library is None:
            detail = "This server has no photo library: start it with --library FOLDER."
            raise Problem(404, "no-library", "No photo library", detail)
        return self.library

    def check_model(self, name: str | None) -> None:
        """A Problem for any model but this one."""
        if name not in (None, self.model_id):
            detail = f"This server has no model {name[:100]!r}, only {self.model_id!r}: give that, or leave it out."
            raise Problem(404, "no-such-model", "No such model", detail)

    def check_count(self, name: str, count: int, most: int, things: str) -> None:
        """A Problem for more things than one request may bring."""
        if count > most:
            detail = f"{name} holds {count:,} {things}, and {most:,} are the most in one request: send several."
            raise Problem(422, "too-many-items", "Too many items", detail)

    def check_texts(self, texts: Sequence[str]) -> None:
        """A Problem that names the texts that cannot be used."""
        most = self.config.limits.text_characters
        items = [
            {"index": index, "detail": fault} for index, text in enumerate(texts) if (fault := fault_of(text, most))
        ]
        if items:
            detail = f"{len(items)} of {len(texts)} texts are empty or too long: write 1 to {most:,} characters."
            raise Problem(422, "bad-text", "A text cannot be used", detail, items=items[:20])


async def server_of(request: Request) -> Server:
    """The server that got a request. Asynchronous, since FastAPI sends other functions to a thread."""
    server: Server = request.app.state.server
    return server


Shared = Annotated[Server, Depends(server_of)]
"""The server, as a route asks for it."""
