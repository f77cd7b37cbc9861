"""Which web pages may reach the server through a browser: its own, and those that the operator names.

A page elsewhere gets at a server on this machine in two ways: it sends requests to the server's address (its Origin and
Sec-Fetch-Site give it away), or it has its own name answer with that address (DNS rebinding: the Host header gives it
away). Programs send neither of the first two headers, and are not asked for them.
"""

import ipaddress
import socket
from functools import lru_cache
from typing import Final
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from diptych.serve.config import ServeConfig
from diptych.serve.guards.prefix import own_path
from diptych.serve.problems import Problem

_PAGES: Final = frozenset({"/", "/login"})  # what a link elsewhere may lead to
_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_MAY_SEND: Final = "authorization, content-type, x-api-key, x-request-id"
_MAY_READ: Final = "location, retry-after, x-request-id"


class SiteGuard:
    """Refuses requests for other names than the server's, and requests of other sites' pages."""

    def __init__(self, app: ASGIApp, config: ServeConfig) -> None:
        self._app = app
        self._names = _own_names(config)
        self._takes_addresses = config.is_any_address
        self._origins = frozenset(origin.rstrip("/").lower() for origin in config.allowed_origins)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look at the headers, then pass on."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        is_listed = origin is not None and origin.lower() in self._origins
        try:
            self._check_host(headers)
            if not is_listed:
                _check_site(scope, headers, origin)
        except Problem as problem:
            return await problem.response()(scope, receive, send)
        if origin is None or not is_listed:
            return await self._app(scope, receive, send)
        if scope["method"] == "OPTIONS" and "access-control-request-method" in headers:
            return await _answer_preflight(origin, send)
        return await self._app(scope, receive, _readable_by(origin, send))

    def _check_host(self, headers: Headers) -> None:
        given = headers.getlist("host")
        name = _host_and_port(given[0])[0] if len(given) == 1 else None
        if name is None:
            raise _other_site("The request has no Host header that names one host.")
        if name in self._names or (self._takes_addresses and _is_address(name)):
            return
        raise _other_site(
            f"This server does not go by the name {name[:100]!r}: use its address, or start it with --allow-host NAME."
        )


def _own_names(config: ServeConfig) -> frozenset[str]:
    machine = socket.gethostname()
    names = {"localhost", "127.0.0.1", "::1", machine, f"{machine}.local", config.host, *config.allowed_hosts}
    return frozenset(name.strip("[]").rstrip(".").lower() for name in names)


def _check_site(scope: Scope, headers: Headers, origin: str | None) -> None:
    """A Problem for what a page of another site has sent."""
    if origin is not None and not _is_same(origin, headers["host"]):
        raise _other_site("A page of another site sent this: name it with --allow-origin if it may use this server.")
    if headers.get("sec-fetch-site", "none") in ("none", "same-origin"):
        return
    is_link = scope["method"] in ("GET", "HEAD") and headers.get("sec-fetch-mode") == "navigate"
    if not (is_link and headers.get("sec-fetch-dest") == "document" and own_path(scope) in _PAGES):
        raise _other_site("A page of another site asked for this, which only the server's own page may.")


def _is_same(origin: str, host: str) -> bool:
    """Whether an Origin is the host that was asked, port and all."""
    scheme, sign, authority = origin.partition("://")
    default = _DEFAULT_PORTS.get(scheme)
    if not sign or default is None:  # "null" too: a page from a file, or in a sandbox
        return False
    name, port = _host_and_port(authority)
    own_name, own_port = _host_and_port(host)
    return name is not None and (name, port or default) == (own_name, own_port or default)


@lru_cache(256)
def _host_and_port(authority: str) -> tuple[str | None, int | None]:
    """The name in lower case, without brackets or a last dot, and the port; (None, None) for what is neither."""
    try:
        parts = urlsplit(f"//{authority}")
        name, port = parts.hostname, parts.port
    except ValueError:
        return None, None
    if not name or parts.netloc != authority or "@" in authority:
        return None, None
    return name.rstrip("."), port


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def _other_site(detail: str) -> Problem:
    return Problem(403, "other-site", "Not from here", detail)


async def _answer_preflight(origin: str, send: Send) -> None:
    headers = MutableHeaders(
        {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Methods": "GET, POST, DELETE",
            "Access-Control-Allow-Headers": _MAY_SEND,
            "Access-Control-Max-Age": "600",
            "Vary": "Origin",
        }
    )
    await send({"type": "http.response.start", "status": 204, "headers": headers.raw})
    await send({"type": "http.response.body"})


def _readable_by(origin: str, send: Send) -> Send:
    """Let a listed page read the answer. Without credentials: it shows a key of its own, never the user's cookie."""

    async def send_readable(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(raw=message["headers"])
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = _MAY_READ
            headers.add_vary_header("Origin")
        await send(message)

    return send_readable
