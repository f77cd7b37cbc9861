"""A key, or a session that one opened, for everything but the sign of life and the way in."""

from typing import Final

from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from diptych.serve.access import Access
from diptych.serve.guards.prefix import own_path
from diptych.serve.problems import Problem

COOKIE: Final = "diptych_session"
_FREE: Final = frozenset({"/healthz", "/login", "/logout"})
_FREE_FILES: Final = "/web/"  # the page's own, which are in every copy of the package


class KeyGuard:
    """Lets in who shows a key; people are sent to the login page, programs are told what to send."""

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app, self._access = app, access

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Look for a key, then pass on."""
        if scope["type"] != "http" or self._access.is_open or self._may_pass(scope):
            return await self._app(scope, receive, send)
        if own_path(scope) == "/" and scope["method"] in ("GET", "HEAD"):
            # Relative: a proxy may have put the server under a prefix.
            return await RedirectResponse("login", 303)(scope, receive, send)
        return await _needs_key().response()(scope, receive, send)

    def _may_pass(self, scope: Scope) -> bool:
        path = own_path(scope)
        if path in _FREE or path.startswith(_FREE_FILES):
            return True
        headers = Headers(scope=scope)
        given = _given_key(headers)
        if given is not None:
            return self._access.is_key(given)
        token = HTTPConnection(scope).cookies.get(COOKIE)
        if token is not None and self._access.has_session(token):
            return True
        # A link elsewhere leads here without the cookie (SameSite=Strict). The page shows nothing by itself, and what
        # it asks for is asked with the cookie.
        return path == "/" and headers.get("sec-fetch-site") in ("cross-site", "same-site")


def _given_key(headers: Headers) -> bytes | None:
    """The key that a program has sent."""
    scheme, _, key = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return key.strip().encode("latin-1")
    key = headers.get("x-api-key", "")
    return key.strip().encode("latin-1") if key else None


def _needs_key() -> Problem:
    return Problem(
        401,
        "not-signed-in",
        "A key is needed",
        "Send one of the server's keys as `Authorization: Bearer KEY`, or sign in at login.",
        headers={"WWW-Authenticate": "Bearer"},
    )
