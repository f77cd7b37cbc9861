"""A Hugging Face Hub on 127.0.0.1: as much of its HTTP interface as huggingface_hub uses to fetch files."""

import hashlib
import json
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Self
from urllib.parse import unquote, urlsplit


@dataclass(kw_only=True)
class Repository:
    """Files by name, at commits by revision; the last commit is `main`."""

    files: dict[str, bytes]
    commit: str = "a" * 40
    revisions: dict[str, str] = field(default_factory=dict)
    is_gated: bool = False


class FakeHub:
    """Serves `repositories` until the end of the `with` block; `requests` has "METHOD path" of each request."""

    def __init__(self, repositories: Mapping[str, Repository]) -> None:
        self.requests: list[str] = []
        self._repositories = repositories
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def fetched(self) -> set[str]:
        """The names of the files whose content was asked for."""
        return {request.rsplit("/", 1)[1] for request in self.requests if "/resolve/" in request and "GET" in request}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                hub.requests.append(f"{self.command} {self.path}")
                status, body, headers = hub._answer(unquote(urlsplit(self.path).path))
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command == "GET":
                    self.wfile.write(body)

            do_HEAD = do_GET  # noqa: N815 (http.server's name)

            def log_message(self, format: str, *args: object) -> None:
                pass

        return Handler

    def _answer(self, path: str) -> tuple[int, bytes, dict[str, str]]:
        parts = path.removeprefix("/api/models").removeprefix("/").split("/")
        owner, name, kind, revision = (*parts, "", "", "")[:4]
        repository = self._repositories.get(f"{owner}/{name}")
        if repository is None:
            return 401, b"", {"X-Error-Code": "RepoNotFound"}
        commit = {"main": repository.commit, "": repository.commit, **repository.revisions}.get(revision, revision)
        if commit not in {repository.commit, *repository.revisions.values()}:
            return 404, b"", {"X-Error-Code": "RevisionNotFound"}
        if kind == "tree":
            entries = [
                {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
                for name, content in repository.files.items()
            ]
            return 200, json.dumps(entries).encode(), {"Content-Type": "application/json"}
        if kind != "resolve":
            siblings = [{"rfilename": name} for name in repository.files]
            info = {"id": f"{owner}/{name}", "sha": commit, "siblings": siblings, "private": False, "tags": []}
            return 200, json.dumps(info).encode(), {"Content-Type": "application/json"}
        if repository.is_gated:
            return 403, b"", {"X-Error-Code": "GatedRepo"}
        content = repository.files.get(path.split("/", 5)[5])
        if content is None:
            return 404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit}
        return 200, content, {"ETag": f'"{hashlib.sha1(content).hexdigest()}"', "X-Repo-Commit": commit}

    def __enter__(self) -> Self:
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
