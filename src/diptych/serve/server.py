"""One process that serves until it is told to stop."""

import socket
from collections.abc import Callable
from functools import partial
from pathlib import Path

import uvicorn

from diptych.api import load
from diptych.checkpoints.postcard import POSTCARD
from diptych.encode.workers import all_cores_thread
from diptych.errors import DiptychError
from diptych.library.library import PhotoLibrary
from diptych.library.paths import default_folder
from diptych.library.walk import LIBRARY_FILE
from diptych.serve import logs
from diptych.serve.addresses import shown_addresses
from diptych.serve.app import answer_unread, build_app, guard
from diptych.serve.config import ServeConfig
from diptych.serve.connections import connection_type, make_room
from diptych.serve.engine import Engine
from diptych.serve.graceful import GracefulServer
from diptych.serve.library_threads import LibraryThreads
from diptych.serve.metrics import Metrics
from diptych.serve.state import Server

_KEEP_ALIVE_SECONDS = 75  # longer than proxies keep theirs, so that they are the ones to close
_LOCKED_SECONDS = 5.0  # that a start waits for a library; commits, of an indexing run too, take far less
_GRACE_SECONDS = 60  # for what was accepted before a stop


def serve(config: ServeConfig, *, say_ready: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM; what was accepted by then is answered first.

    `say_ready` is told, in one line, what is served and where. DiptychError for an address that cannot be listened at,
    a model that cannot be loaded, or a library that cannot be used.
    """
    with _listen(config) as sock:
        server = make_server(config)
        address = shown_addresses(config.host, sock.getsockname()[1], config.root_path)
        settings = uvicorn.Config(
            guard(build_app(server), server),
            http=connection_type(make_room(), partial(answer_unread, server=server)),
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="on",
            forwarded_allow_ips=list(config.trusted_proxies),
            timeout_keep_alive=_KEEP_ALIVE_SECONDS,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        logs.install()
        photos = f" with {server.library.folder}" if server.library else ""
        line = f"serving {server.model_id}{photos} at {address} (Ctrl-C stops)"
        running = GracefulServer(settings, server, when_ready=lambda: say_ready(line))
        running.run(sockets=[sock])


def make_server(config: ServeConfig) -> Server:
    """The server's parts, its model loaded: without a choice that which the library was last indexed with."""
    metrics = Metrics()
    library = _library_folder(config)
    if config.roots and library is None:
        raise DiptychError("--root names folders for a photo library, and there is none: give --library FOLDER.")
    name = config.model or POSTCARD
    if library is not None:
        with PhotoLibrary.open(
            library, model=config.model, create_missing=config.library is not None, patience_seconds=_LOCKED_SECONDS
        ) as opened:
            name = opened.model_name
    # On the thread that computes with all cores, where loading has already gathered its helpers.
    loading = all_cores_thread().submit(load, name, device=config.device, dtype=config.dtype)  # type: ignore[arg-type]
    encoder = loading.result()
    return Server(
        config=config,
        engine=Engine(encoder, config.limits, metrics),
        metrics=metrics,
        model_id=Path(name).name if Path(name).exists() else name,  # where it lies is nobody's business
        model_name=name,
        library=None if library is None else LibraryThreads(library),
    )


def _library_folder(config: ServeConfig) -> Path | None:
    """That which was given, else the user's own where there is one."""
    if config.library is not None:
        return config.library.expanduser()
    own = default_folder()
    return own if (own / LIBRARY_FILE).is_file() else None


def _listen(config: ServeConfig) -> socket.socket:
    """A socket that listens before the model is loaded, so that a port in use is said at once."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        return socket.create_server((config.host, config.port), family=family, backlog=2_048)
    except OSError as error:
        reason = (error.strerror or str(error)).partition(" (while")[0].lower()  # what follows repeats the address
        raise DiptychError(
            f"{config.host}:{config.port} cannot be listened at ({reason}): choose another with --host and --port."
        ) from error
