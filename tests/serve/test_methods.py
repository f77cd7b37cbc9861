"""Which methods each address takes, as the header Allow of a refusal says it."""

import importlib
import pkgutil
import re

import httpx
import pytest
from starlette.routing import Route

from diptych.serve import routes
from serve_command import StartServer

METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
ROUTERS = [
    module.router
    for found in pkgutil.iter_modules(routes.__path__)
    if hasattr(module := importlib.import_module(f"{routes.__name__}.{found.name}"), "router")
]
PATTERNS = {route.path for router in ROUTERS for route in router.routes if isinstance(route, Route)}
PATHS = sorted({re.sub(r"{.*?}", "1", pattern) for pattern in PATTERNS} | {"/openapi.json", "/web/app.js"})


@pytest.mark.parametrize("path", PATHS)
def test_allow_names_the_methods_that_an_address_takes(client: httpx.Client, path: str) -> None:
    answers = {method: client.request(method, path) for method in sorted(METHODS)}
    taken = {method for method, answer in answers.items() if answer.status_code != 405}
    assert taken
    for method in METHODS - taken:
        assert set(answers[method].headers["allow"].split(", ")) == taken, method
    assert answers["PUT"].json()["detail"].startswith("This address takes no PUT: send ")


def test_allow_is_the_same_under_a_proxy_s_path(start_server: StartServer) -> None:
    with httpx.Client(base_url=start_server("--root-path", "/clip").url, timeout=60, trust_env=False) as client:
        assert client.put("v1/label-sets/x").headers["allow"] == "DELETE, GET, HEAD"
        assert client.put("web/app.js").headers["allow"] == "GET, HEAD"
