"""The path that a proxy has put the server under, taken out of the way."""

from starlette.types import ASGIApp, Receive, Scope, Send


def own_path(scope: Scope) -> str:
    """The path of a request as the routes have it, without the proxy's prefix."""
    path: str = scope["path"]
    root: str = scope["root_path"]
    return path[len(root) :] if root and path.startswith(root) else path


class PrefixGuard:
    """Gives every path the prefix, as ASGI wants it, whether or not the proxy has taken it off."""

    def __init__(self, app: ASGIApp, root_path: str) -> None:
        self._app, self._root = app, root_path

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http":
            return await self._app(scope, receive, send)
        root, path = self._root, scope["path"]
        if root:
            if path == root:  # without its slash, addresses on the page would be those beside it
                headers = [(b"location", f"{root}/".encode()), (b"content-length", b"0")]
                await send({"type": "http.response.start", "status": 308, "headers": headers})
                return await send({"type": "http.response.body"})
            path = path if path.startswith(root + "/") else root + path
        return await self._app({**scope, "root_path": root, "path": path}, receive, send)
