"""No telemetry: a server that is used in every way opens no connection and looks up no name."""

import json
import os
import time
from collections.abc import Callable
from pathlib import Path

import httpx

from serve_command import StartServer
from served_photos import photograph, write_holiday

# Python imports a module of this name at its start: in the server, and in every process that it starts.
WATCH = """
import json, os, sys

def note(event, args):
    if event in ("start", "socket.bind", "urllib.Request", "http.client.connect") or event.startswith(
        ("socket.connect", "socket.send", "socket.get")
    ) and event != "socket.gethostname":
        shown = [each for each in args if isinstance(each, (str, int, tuple)) or each is None]
        line = json.dumps({"event": event, "process": os.getpid(), "args": shown}, default=repr)
        os.write(notes, (line + "\\n").encode())

notes = os.open(os.environ["NOTES"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
note("start", ())
sys.addaudithook(note)
"""
CLASSIFIED = {"labels": ["a cat", "a dog"]}


def test_a_server_in_use_reaches_for_nobody(tmp_path: Path, start_server: StartServer) -> None:
    (tmp_path / "hook").mkdir()
    (tmp_path / "hook" / "sitecustomize.py").write_text(WATCH)
    path = os.pathsep.join([str(tmp_path / "hook"), *filter(None, [os.environ.get("PYTHONPATH")])])
    # The tests themselves tell Hugging Face's packages to stay offline; a user need not.
    env = {"PYTHONPATH": path, "NOTES": str(tmp_path / "notes"), "HF_HUB_OFFLINE": ""}
    holiday = write_holiday(tmp_path / "holiday")
    server = start_server("--library", tmp_path / "library", "--root", f"holiday={holiday}", env=env)
    with httpx.Client(base_url=server.url, timeout=60, trust_env=False) as client:
        use(client)
    assert server.stop() == 0

    notes = [json.loads(line) for line in (tmp_path / "notes").read_text().splitlines()]
    started = {note["process"] for note in notes if note["event"] == "start"}
    assert server.process.pid in started
    assert len(started) >= 2  # that which indexes too
    # All that has to do with addresses is that the server listens at its own.
    reached = [(note["event"], note["args"]) for note in notes if note["event"] != "start"]
    assert reached == [("socket.bind", [["127.0.0.1", 0]])]


def use(client: httpx.Client) -> None:
    """All that makes a server work, and a request that would have it fetch an address."""
    cat = {"image": photograph("chelsea")}
    job = client.post("/v1/index", json={"roots": ["holiday"]}).json()
    wait_until(lambda: client.get(f"/v1/jobs/{job['id']}").json()["state"] == "done")
    for answer in (
        *(client.get(path) for path in ("/", "/web/style.css", "/openapi.json", "/readyz", "/metrics", "/v1/server")),
        client.post("/v1/classify", files=cat, data=CLASSIFIED),
        client.post("/v1/similarity", files=cat, data={"texts": ["a cat"]}),
        client.post("/v1/embeddings", json={"input": ["a cat", "a dog"]}),
        client.post("/v1/label-sets", json={"name": "pets", **CLASSIFIED}),
        client.post("/v1/search", json={"query": "a cat"}),
        client.post("/v1/similar", files=cat),
        client.get("/v1/photos/1/thumbnail"),
        client.get("/v1/photos/1/original"),
    ):
        assert answer.is_success, answer.text
    address = {"images": ["http://example.com/cat.jpg"], **CLASSIFIED}
    refused = client.post("/v1/classify", json=address).json()["results"][0]["error"]
    assert refused["type"] == "urn:diptych:problem:addresses-not-fetched"
    assert client.get("/v1/nothing").status_code == 404


def wait_until(is_so: Callable[[], bool], seconds: float = 120) -> None:
    until = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.05)
