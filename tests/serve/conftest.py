"""A running server for whoever tests one: the bundled model in float32, no library."""

from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import pytest

from serve_command import ServeCommand, StartServer


@pytest.fixture(scope="session")
def served() -> Iterator[ServeCommand]:
    """One server for all tests that change nothing in it."""
    with ServeCommand() as server:
        yield server


@pytest.fixture
def start_server() -> Iterator[StartServer]:
    """Servers of a test's own."""
    with ExitStack() as servers:
        yield lambda *options, env=None: servers.enter_context(ServeCommand(*options, env=env))


@pytest.fixture(scope="session")
def client(served: ServeCommand) -> Iterator[httpx.Client]:
    """Requests to that server."""
    with httpx.Client(base_url=served.url, timeout=60, trust_env=False) as client:
        yield client
