"""The servers that are measured, each in a process of its own on a free port of this machine."""

import json
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from processes import ENVIRONMENT, HALVES
from setting import Setting

READY_SECONDS, STOP_SECONDS = 180, 30
OFFLINE = {"DO_NOT_TRACK": "1"}


@dataclass(frozen=True, kw_only=True)
class Kind:
    """How a server is asked for embeddings of one kind: where, and what stands in the body beside the input."""

    path: str
    fields: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a server is started (`{port}` stands for its port), and how it is asked."""

    command: tuple[str, ...]
    health: str
    texts: Kind
    images: Kind
    environment: Mapping[str, str] = field(default_factory=dict)

    def kind(self, name: str) -> Kind:
        return {"texts": self.texts, "images": self.images}[name]


def recipes(setting: Setting, infinity: str, plain: str) -> dict[str, Recipe]:
    """By name; `infinity` and `plain` are the Pythons of their environments. All have the same Hugging Face folder."""
    folder = str(setting.weights["huggingface"])
    return {
        "diptych": diptych(setting, folder, "auto"),
        "diptych float32": diptych(setting, folder, "float32"),
        "infinity": Recipe(
            # Warm-up is ours; BetterTransformer does not go with this torch.
            command=(
                *(str(Path(infinity).with_name("infinity_emb")), "v2", "--model-id", folder),
                *("--served-model-name", "clip", "--host", "127.0.0.1", "--port", "{port}"),
                *("--no-bettertransformer", "--no-model-warmup"),
            ),
            health="/health",
            texts=Kind(path="/embeddings", fields={"model": "clip"}),
            images=Kind(path="/embeddings", fields={"model": "clip", "modality": "image"}),
        ),
        "plain": Recipe(
            command=(plain, str(HALVES / "plain_server.py"), folder, "{port}"),
            health="/healthz",
            texts=Kind(path="/texts"),
            images=Kind(path="/images"),
        ),
    }


def diptych(setting: Setting, folder: str, dtype: str) -> Recipe:
    program = str(Path(setting.python).with_name("diptych"))
    return Recipe(
        command=(program, "serve", "--model", folder, "--port", "{port}", "--dtype", dtype),
        health="/healthz",
        texts=Kind(path="/v1/embeddings"),
        images=Kind(path="/v1/embeddings"),
        environment={"DIPTYCH_LIBRARY": "", "XDG_DATA_HOME": str(setting.work / "no library")},
    )


@dataclass(frozen=True, kw_only=True)
class Server:
    """A recipe at work."""

    recipe: Recipe
    address: str

    def url(self, kind: str) -> str:
        return self.address + self.recipe.kind(kind).path

    def get(self, path: str) -> dict[str, Any]:
        return answer(self.address + path)

    def embedding(self, kind: str, item: str) -> list[float]:
        body = json.dumps({**self.recipe.kind(kind).fields, "input": item}).encode()
        found = answer(urllib.request.Request(self.url(kind), body, {"Content-Type": "application/json"}))
        embedding: list[float] = found["data"][0]["embedding"]
        return embedding


@contextmanager
def started(recipe: Recipe, log: Path) -> Iterator[Server]:
    """The server from when it is ready to the end of the block; what it prints goes to `log`."""
    port = free_port()
    server = Server(recipe=recipe, address=f"http://127.0.0.1:{port}")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [part.format(port=port) for part in recipe.command],
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**ENVIRONMENT, **OFFLINE, **recipe.environment},
        )
    try:
        if not is_ready(server, process):
            raise RuntimeError(f"{recipe.command[0]} did not start:\n{log.read_text(errors='replace')[-2_000:]}")
        yield server
    finally:
        stop(process)


def is_ready(server: Server, process: subprocess.Popen[bytes]) -> bool:
    """Whether it answers, once it does; False when it has ended or takes too long."""
    deadline = time.monotonic() + READY_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        try:
            server.get(server.recipe.health)
            return True
        except (urllib.error.URLError, ConnectionError):
            time.sleep(0.1)
    return False


def stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def answer(request: str | urllib.request.Request) -> dict[str, Any]:
    with urllib.request.urlopen(request, timeout=READY_SECONDS) as response:
        found: dict[str, Any] = json.load(response)
        return found


def free_port() -> int:
    """One that nobody listens at now."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port
