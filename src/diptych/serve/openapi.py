"""What OpenAPI says beyond the routes: the shape of errors, and how a key is shown."""

from typing import Any, Final

from fastapi import FastAPI

from diptych.serve.problems import SCHEMA

_KEYS: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "One of the server's keys."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same."},
}
_FREE: Final = "/healthz"


def install(app: FastAPI, *, needs_key: bool) -> None:
    """Complete what the app says of itself at /openapi.json."""
    of_routes = app.openapi

    def completed() -> dict[str, Any]:
        described = of_routes()
        components = described.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = SCHEMA
        if needs_key:
            components["securitySchemes"] = _KEYS
            described["security"] = [{name: []} for name in _KEYS]
            described["paths"][_FREE]["get"]["security"] = []
        return described

    app.openapi = completed  # type: ignore[method-assign]  # as FastAPI's documentation has it
