"""Clients that ask until a server lets nobody in any more, and know whether each answer was the right one."""

import base64
import http.client
import io
import json
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import httpx
import numpy as np
from PIL import Image

from diptych import DualEncoder
from diptych.demo.photographs import find_photographs
from diptych.encode.encoder import Features

TOO_LATE = "lost on a kept connection that was silent for long"  # the server need not wait for such
_SILENT_SECONDS = 0.5
_ROUNDING = 1e-5  # rows computed in another company differ by the rounding of float32 sums


def _small(data: bytes) -> bytes:
    file = io.BytesIO()
    with Image.open(io.BytesIO(data)) as image:
        image.convert("RGB").resize((160, 120)).save(file, "JPEG")
    return file.getvalue()


PICTURES = [_small(photograph.read_bytes()) for photograph in find_photographs()[:6]]


@dataclass(frozen=True, kw_only=True)
class Kind:
    """What a client sends each time: how many texts, whether the pictures too, and these as uploads or in base64."""

    texts: int
    has_pictures: bool = False
    uploads: bool = False

    def request(self, url: str, texts: Sequence[str]) -> httpx.Request:
        """The request for these texts, of which no two are the same."""
        if self.uploads:
            files = [("image", (f"{i}.jpg", picture)) for i, picture in enumerate(PICTURES)]
            return httpx.Request("POST", f"{url}/v1/similarity", data={"texts": list(texts)}, files=files)
        images = [{"image": base64.b64encode(picture).decode()} for picture in PICTURES if self.has_pictures]
        return httpx.Request("POST", f"{url}/v1/embeddings", json={"input": [*texts, *images]})

    def is_right(self, answer: dict[str, Any], texts: Features, pictures: Features) -> bool:
        """Whether it is whole, and what the encoder itself gives for these texts and the pictures."""
        if self.uploads:
            found, expected = answer["cosines"], pictures @ texts.T
        else:
            found = [item["embedding"] for item in answer["data"]]
            expected = np.concatenate([texts, pictures]) if self.has_pictures else texts
        return np.shape(found) == expected.shape and bool(np.allclose(found, expected, atol=_ROUNDING))


class Hammer:
    """A client of one kind, which notes how each of its requests ended, and what was answered when."""

    def __init__(self, url: str, number: int, kind: Kind, *, keeps_alive: bool) -> None:
        self.url, self.number, self.kind, self.keeps_alive = url, number, kind, keeps_alive
        self.ends: Counter[str] = Counter()
        self.times: list[float] = []  # of answers
        self.thread = threading.Thread(target=self._ask_on, daemon=True)
        self._answers: list[tuple[list[str], bytes]] = []
        self._sent = 0.0
        self.thread.start()

    def count_wrong(self, encoder: DualEncoder, pictures: Features) -> int:
        """How many answers were not those of the encoder, which gives these rows for the pictures."""
        rows = encoder.encode_texts([text for texts, _ in self._answers for text in texts])
        rows_of_each = rows.reshape(len(self._answers), self.kind.texts, encoder.embed_dim)
        return sum(
            not self.kind.is_right(json.loads(body), texts, pictures)
            for texts, (_, body) in zip(rows_of_each, self._answers, strict=True)
        )

    def _ask_on(self) -> None:
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        is_reused = False
        while True:
            end = self._ask(connection)
            if is_reused and end != "answered":
                is_late = end.startswith("lost") and self._sent - self.times[-1] > _SILENT_SECONDS
                end = TOO_LATE if is_late else f"{end} on a kept connection"
            self.ends[end] += 1
            is_reused = self.keeps_alive and connection.sock is not None
            if end not in ("answered", TOO_LATE) and not is_reused:
                return
            if not is_reused:
                connection.close()

    def _ask(self, connection: http.client.HTTPConnection) -> str:
        texts = [f"client {self.number}, request {self.ends.total()}, text {i}" for i in range(self.kind.texts)]
        request = self.kind.request(self.url, texts)
        try:
            if connection.sock is None:
                connection.connect()
        except ConnectionError:
            return "refused"
        try:
            self._send(connection, request)
            answer = connection.getresponse()
            body = answer.read()
        except (OSError, http.client.HTTPException) as error:
            return f"lost: {type(error).__name__}"
        if answer.status != 200:
            return f"status {answer.status}"
        self.times.append(time.monotonic())
        self._answers.append((texts, body))
        return "answered"

    def _send(self, connection: http.client.HTTPConnection, request: httpx.Request) -> None:
        try:
            connection.request("POST", request.url.path, request.read(), dict(request.headers))
        finally:
            self._sent = time.monotonic()
