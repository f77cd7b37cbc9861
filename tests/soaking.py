"""Mixed load for as long as one likes: good requests, bad ones, and clients that go away."""

import base64
import io
import json
import random
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
from PIL import Image

from serve_command import ServeCommand
from served_holiday import IDS, PHOTOGRAPHS
from vital_signs import VitalSigns

_CLIENTS = 6
_PATIENCE_SECONDS = 300
_TEXTS = 2_000  # different ones, so that the cache of texts is full early
_IN_HAND = r"^(diptych_(?:waiting_items|held_bytes|requests_in_flight).*) (\S+)$"
_LEAST_OF_A_PART = 300  # answers, on however slow a machine: what is kept at first must be there after the first part
_LABELS = ["cat", "dog", "cup of coffee", "rocket"]


class Soak:
    """Asks a server in many ways until told to stop; `answers` counts kinds and statuses, `faults` what was wrong."""

    def __init__(self, server: ServeCommand) -> None:
        self.answers: Counter[tuple[str, int]] = Counter()
        self.faults: list[str] = []
        self._server = server
        self._pictures = [_small(photograph.read_bytes(), side) for photograph in PHOTOGRAPHS for side in (96, 400)]
        self._lock = threading.Lock()
        self._is_over = threading.Event()
        self._seen = 0

    @contextmanager
    def going_on(self) -> Iterator[None]:
        """Ask on several threads during the block."""
        threads = [threading.Thread(target=self._ask_on, args=(seed,), daemon=True) for seed in range(_CLIENTS)]
        for thread in threads:
            thread.start()
        try:
            yield
        finally:
            self._is_over.set()
            for thread in threads:
                thread.join(60)

    def wait_for_more(self, least: int) -> None:
        """Until so many answers have come since the last time."""
        until = time.monotonic() + _PATIENCE_SECONDS
        while (seen := self._count()) < self._seen + least and time.monotonic() < until:
            time.sleep(0.1)
        self._seen = seen

    def _count(self) -> int:
        with self._lock:
            return self.answers.total()

    def _ask_on(self, seed: int) -> None:
        chance = random.Random(seed)
        kinds = [kind for kind, share in _KINDS for _ in range(share)]
        client = self._client()
        while not self._is_over.is_set():
            if chance.random() < 0.05:  # some keep their connection for long, some do not
                client.close()
                client = self._client()
            try:
                chance.choice(kinds)(self, client, chance)
            except Exception as error:  # noqa: BLE001 (whatever it is, it is a fault)
                self.faults.append(f"{type(error).__name__}: {error}")
        client.close()

    def _client(self) -> httpx.Client:
        return httpx.Client(base_url=self._server.url, timeout=60, trust_env=False)

    def _note(self, kind: str, answer: httpx.Response, *, allowed: Sequence[int] = (200, 429)) -> bool:
        """Whether it was answered well."""
        with self._lock:
            self.answers[kind, answer.status_code] += 1
        if answer.status_code not in allowed:
            self.faults.append(f"{kind}: {answer.status_code}: {answer.text[:300]}")
        if answer.status_code == 429:
            self._is_over.wait(float(answer.headers["Retry-After"]))
        return answer.status_code == 200

    # ---- kinds of requests

    def embed_texts(self, client: httpx.Client, chance: random.Random) -> None:
        texts = [f"photo {chance.randrange(_TEXTS)} of a cat" for _ in range(chance.choice((1, 1, 1, 8, 64)))]
        answer = client.post("/v1/embeddings", json={"input": texts, "encoding_format": "base64"})
        if self._note("texts", answer) and [item["index"] for item in answer.json()["data"]] != list(range(len(texts))):
            self.faults.append(f"{len(texts)} texts: {answer.text[:300]}")

    def embed_image(self, client: httpx.Client, chance: random.Random) -> None:
        item = {"image": base64.b64encode(chance.choice(self._pictures)).decode()}
        self._note("images", client.post("/v1/embeddings", json={"input": [item], "encoding_format": "base64"}))

    def classify(self, client: httpx.Client, chance: random.Random) -> None:
        cat = self._pictures[1]
        answer = client.post("/v1/classify", files={"image": cat}, data={"labels": _LABELS, "top": "1"})
        if self._note("classify", answer) and answer.json()["results"][0]["labels"][0]["name"] != "cat":
            self.faults.append(f"a cat: {answer.text[:300]}")

    def search(self, client: httpx.Client, chance: random.Random) -> None:
        answer = client.post("/v1/search", json={"query": "a cat", "top": chance.randint(1, 3)})
        if self._note("search", answer) and answer.json()["hits"][0]["name"] != PHOTOGRAPHS[0].name:
            self.faults.append(f"a search for a cat: {answer.text[:300]}")

    def look(self, client: httpx.Client, chance: random.Random) -> None:
        what = chance.choice(("", "/thumbnail", "/original"))
        self._note("photos", client.get(f"/v1/photos/{chance.choice(IDS)}{what}"))

    def ask_badly(self, client: httpx.Client, chance: random.Random) -> None:
        picture = chance.choice(self._pictures)
        cut = base64.b64encode(picture[: chance.randrange(len(picture) // 2)]).decode()
        for_body = ({"input": [{"image": cut}]}, {"input": ["a"] * 3_000}, {"inputs": 1}, {"input": "a " * 2_000})
        answer = client.post("/v1/embeddings", json=chance.choice(for_body))
        self._note("bad", answer, allowed=(422,))

    def go_away(self, client: httpx.Client, chance: random.Random) -> None:
        place = urlsplit(self._server.url)
        body = json.dumps({"input": [{"image": base64.b64encode(self._pictures[1]).decode()}] * 4}).encode()
        lines = ("POST /v1/embeddings HTTP/1.1", f"Host: {place.netloc}", f"Content-Length: {len(body)}")
        head = "\r\n".join((*lines, "Content-Type: application/json", "", "")).encode()
        sent = (head + body)[: chance.choice((20, len(head) + 10, len(head) + len(body)))]
        with socket.create_connection((place.hostname or "", place.port or 0), timeout=60) as connection:
            connection.sendall(sent)
            self._is_over.wait(chance.random() / 50)
        with self._lock:
            self.answers["gone", 0] += 1


Kind = Callable[[Soak, httpx.Client, random.Random], None]
_KINDS: tuple[tuple[Kind, int], ...] = (
    (Soak.embed_texts, 6),
    (Soak.embed_image, 4),
    (Soak.classify, 4),
    (Soak.search, 4),
    (Soak.look, 3),
    (Soak.ask_badly, 3),
    (Soak.go_away, 2),
)


def _small(data: bytes, side: int) -> bytes:
    with Image.open(io.BytesIO(data)) as opened:
        image = opened.convert("RGB")
    image.thumbnail((side, side))
    file = io.BytesIO()
    image.save(file, "JPEG")
    return file.getvalue()


def settled(server: ServeCommand, seconds: float = 60) -> dict[str, float]:
    """What a server still has in hand once nobody asks any more: nothing, if it forgets nobody."""
    until = time.monotonic() + seconds
    while True:
        metrics = httpx.get(f"{server.url}/metrics", trust_env=False, timeout=60).text
        found = re.findall(
            r"^(diptych_(?:waiting_items|held_bytes|requests_in_flight).*) (\S+)$", metrics, re.MULTILINE
        )
        in_hand = {name: float(value) for name, value in found}
        in_hand["diptych_requests_in_flight"] -= 1  # this one
        if not any(in_hand.values()) or time.monotonic() > until:
            return in_hand
        time.sleep(0.2)


def soak(
    server: ServeCommand, seconds: float, parts: int, tell: Callable[[Soak, VitalSigns], None] | None = None
) -> tuple[Soak, list[VitalSigns]]:
    """Load for so long, and the vital signs after each of so many parts, of which `tell` hears, and after all."""
    load, signs = Soak(server), []
    with load.going_on():
        for _ in range(parts):
            time.sleep(seconds / parts)
            load.wait_for_more(_LEAST_OF_A_PART)
            signs.append(VitalSigns.of(server))
            if tell is not None:
                tell(load, signs[-1])
    return load, [*signs, VitalSigns.of(server)]
