"""HEAD, which asks for what GET would answer without its body."""

from starlette.types import ASGIApp, Receive, Scope, Send


class HeadGuard:
    """Has every HEAD answered as a GET. The HTTP server itself keeps the body back: it knows what was asked."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] == "http" and scope["method"] == "HEAD":
            scope = {**scope, "method": "GET"}
        await self._app(scope, receive, send)
