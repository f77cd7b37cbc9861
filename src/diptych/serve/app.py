"""The application: routes, guards, and the order in which they are put around each other."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI

from diptych import __version__
from diptych.serve import problems
from diptych.serve.routes import embeddings, health, models, page
from diptych.serve.served_encoder import ServedEncoder
from diptych.serve.state import Server

_ROUTERS = (embeddings.router, models.router, health.router, page.router)


def build_app(server: Server) -> FastAPI:
    """The ASGI application of one server."""

    @asynccontextmanager
    async def running(app: FastAPI) -> AsyncIterator[None]:
        server.engine.start()
        if server.library is not None:
            server.library.start(ServedEncoder(server.engine, asyncio.get_running_loop()))
        yield
        if server.library is not None:
            await server.library.stop()
        await server.engine.stop()

    app = FastAPI(
        title="Diptych",
        version=__version__,
        description="CLIP over HTTP: pictures and texts to vectors, labels and search.",
        docs_url=None,  # its pages would load scripts from elsewhere
        redoc_url=None,
        root_path=server.config.root_path,
        lifespan=running,
    )
    app.state.server = server
    problems.install(app)
    for router in _ROUTERS:
        app.include_router(router)
    app.router.routes.append(page.files)
    return app
