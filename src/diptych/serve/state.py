"""What all requests of one server share."""

import time
from dataclasses import dataclass, field
from typing import Annotated

from fastapi import Depends, Request

from diptych.serve.access import Access, Guesses
from diptych.serve.classifiers import Classifiers
from diptych.serve.config import ServeConfig
from diptych.serve.engine import Engine
from diptych.serve.fetching import Fetching
from diptych.serve.indexing_jobs import IndexingJobs
from diptych.serve.library_threads import LibraryThreads
from diptych.serve.metrics import Metrics
from diptych.serve.problems import Problem
from diptych.serve.room import Room


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
    room: Room = field(init=False)
    fetching: Fetching = field(init=False)
    classifiers: Classifiers = field(init=False)

    def __post_init__(self) -> None:
        self.access = Access(self.config.api_keys)
        self.room = Room(self.config.limits.held_bytes, self.metrics)
        self.classifiers = Classifiers(self.engine, self.config.limits)
        self.fetching = Fetching(self.config.limits, self.room)

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


async def server_of(request: Request) -> Server:
    """The server that got a request. Asynchronous, since FastAPI sends other functions to a thread."""
    server: Server = request.app.state.server
    return server


Shared = Annotated[Server, Depends(server_of)]
"""The server, as a route asks for it."""
