"""One process that serves until it is told to stop."""

import socket
from collections.abc import Callable

import uvicorn

from diptych.api import load
from diptych.errors import DiptychError
from diptych.serve.app import build_app
from diptych.serve.config import ServeConfig
from diptych.serve.engine import Engine
from diptych.serve.metrics import Metrics
from diptych.serve.state import Server

_GRACE_SECONDS = 60  # for what was accepted before a stop


def serve(config: ServeConfig, *, say_ready: Callable[[str, str], None]) -> None:
    """Serve until SIGINT or SIGTERM; what was accepted by then is answered first.

    `say_ready` is told the model and the address. DiptychError for an address that cannot be listened at, a model that
    cannot be loaded, or a library that cannot be used.
    """
    with _listen(config) as sock:
        server = make_server(config)
        address = f"http://{_shown_host(config.host)}:{sock.getsockname()[1]}{config.root_path}/"
        settings = uvicorn.Config(
            build_app(server),
            log_config=None,
            access_log=False,
            server_header=False,
            ws="none",
            lifespan="on",
            root_path=config.root_path,
            timeout_graceful_shutdown=_GRACE_SECONDS,
        )
        running = uvicorn.Server(settings)
        say_ready(server.model_id, address)
        running.run(sockets=[sock])


def make_server(config: ServeConfig) -> Server:
    """The server's parts, its model loaded."""
    metrics = Metrics()
    encoder = load(config.model, device=config.device, dtype=config.dtype)  # type: ignore[arg-type]
    engine = Engine(encoder, config.limits, metrics)
    return Server(config=config, engine=engine, metrics=metrics, model_id=config.model or "postcard")


def _listen(config: ServeConfig) -> socket.socket:
    """A socket that listens before the model is loaded, so that a port in use is said at once."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        return socket.create_server((config.host, config.port), family=family, backlog=2_048)
    except OSError as error:
        reason = (error.strerror or str(error)).lower()
        raise DiptychError(
            f"{config.host}:{config.port} cannot be listened at ({reason}): choose another with --host and --port."
        ) from error


def _shown_host(host: str) -> str:
    return f"[{host}]" if ":" in host else host
