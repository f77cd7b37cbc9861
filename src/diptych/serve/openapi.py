"""What OpenAPI says beyond the routes: the shape of errors, an answer of each, and how a key is shown."""

from collections.abc import Iterator
from typing import Any, Final

from fastapi import FastAPI

from diptych.serve.examples import ANSWERS
from diptych.serve.problems import SCHEMA

_KEYS: Final = {
    "bearer": {"type": "http", "scheme": "bearer", "description": "One of the server's keys."},
    "key": {"type": "apiKey", "in": "header", "name": "X-API-Key", "description": "The same."},
}
_FREE: Final = "/healthz"
_JSON: Final = "application/json"


def install(app: FastAPI, *, needs_key: bool) -> None:
    """Complete what the app says of itself at /openapi.json."""
    of_routes = app.openapi

    def completed() -> dict[str, Any]:
        described = of_routes()
        components = described.setdefault("components", {})
        components.setdefault("schemas", {})["Problem"] = SCHEMA
        for operation, answer in _json_answers(described):
            answer["example"] = ANSWERS[operation["operationId"]]
        if needs_key:
            components["securitySchemes"] = _KEYS
            described["security"] = [{name: []} for name in _KEYS]
            described["paths"][_FREE]["get"]["security"] = []
        return described

    app.openapi = completed  # type: ignore[method-assign]  # as FastAPI's documentation has it


def _json_answers(described: dict[str, Any]) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each operation that answers JSON where all went well, and what is said of that JSON."""
    for operations in described["paths"].values():
        for operation in operations.values():
            for status, answer in operation["responses"].items():
                if status.startswith("2") and _JSON in answer.get("content", {}):
                    yield operation, answer["content"][_JSON]
