"""The application: routes, guards, and the order in which they are put around each other."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.routing import Mount, Route
from starlette.types import ASGIApp

from diptych import __version__
from diptych.serve import faults, openapi, problems
from diptych.serve.guards.body import BodyGuard
from diptych.serve.guards.head import HeadGuard
from diptych.serve.guards.headers import HeaderGuard
from diptych.serve.guards.keys import KeyGuard
from diptych.serve.guards.prefix import PrefixGuard
from diptych.serve.guards.sites import SiteGuard
from diptych.serve.logs import RequestLog
from diptych.serve.problems import Problem
from diptych.serve.routes import (
    classify,
    embeddings,
    health,
    jobs,
    label_sets,
    library,
    login,
    models,
    page,
    photos,
    search,
    similarity,
)
from diptych.serve.state import Server

_ROUTERS = (
    classify.router,
    embeddings.router,
    health.router,
    jobs.router,
    label_sets.router,
    library.router,
    login.router,
    models.router,
    page.router,
    photos.router,
    search.router,
    similarity.router,
)


def build_app(server: Server) -> FastAPI:
    """The ASGI application of one server."""

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        server.engine.start()
        server.classifiers.start()
        if server.library is not None:
            server.library.start(server.classifiers.encoder)
        yield
        server.classifiers.close()
        server.fetching.close()
        if server.library is not None:
            await server.jobs.close()
            await server.library.stop()
        await server.engine.stop()

    app = FastAPI(
        title="Diptych",
        version=__version__,
        description="CLIP over HTTP: pictures and texts to vectors, labels and search.",
        docs_url=None,  # its pages would load scripts from elsewhere
        redoc_url=None,
        redirect_slashes=False,  # its redirects would name the host that a proxy hides
        lifespan=running,
        responses=problems.RESPONSES,
        generate_unique_id_function=lambda route: route.name,  # what generated clients call their functions
    )
    app.state.server = server
    for router in _ROUTERS:
        app.include_router(router)
    app.router.routes.append(page.files)
    problems.install(app, _routes(app))
    faults.install(app)
    openapi.install(app, needs_key=not server.access.is_open)
    return app


def _routes(app: FastAPI) -> list[Route | Mount]:
    """All routes one by one: FastAPI keeps those of a router folded together."""
    own = [route for route in app.routes if isinstance(route, Route | Mount)]
    return own + [route for router in _ROUTERS for route in router.routes if isinstance(route, Route)]


def guard(app: FastAPI, server: Server) -> ASGIApp:
    """The application with its guards, from the inside out.

    No body is read before a key was shown, no key is taken from a page of another site, and whoever is refused gets the
    headers and is logged like everybody else.
    """
    guarded: ASGIApp = BodyGuard(HeadGuard(app), server.config.limits, server.room)
    guarded = KeyGuard(guarded, server.access)
    guarded = SiteGuard(guarded, server.config)
    guarded = HeaderGuard(guarded)
    guarded = RequestLog(guarded, server.metrics, _routes(app))
    return PrefixGuard(guarded, server.config.root_path)


def answer_unread(problem: Problem, server: Server) -> ASGIApp:
    """The answer to what came before it was a request, with the headers and the line in the log that others get."""
    return RequestLog(HeaderGuard(problem.response()), server.metrics, ())
