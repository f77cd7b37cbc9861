"""A lone request beside a direct call: python diptych_lone.py FOLDER PHOTO...

Requests: {"url": whom to ask, or null to call; "kind": "texts" or "images", "first": number of the first, "count"}; or
{"show": kind, "number"} for what such a request brings.
"""

import http.client
import json
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from serving_inputs import caption, data_uri

import diptych
from serve import serve

encoder = diptych.load(sys.argv[1])
PHOTOS = sys.argv[2:]


def item(kind: str, number: int) -> str:
    return caption(number) if kind == "texts" else data_uri(PHOTOS[number % len(PHOTOS)])


def call(kind: str, number: int) -> float:
    """Seconds of a direct call."""
    photo = Path(PHOTOS[number % len(PHOTOS)]).read_bytes()
    start = time.perf_counter()
    if kind == "texts":
        encoder.encode_texts([caption(number)])
    else:
        encoder.encode_images([photo])
    return time.perf_counter() - start


def ask(connection: http.client.HTTPConnection, path: str, kind: str, number: int) -> float:
    """Seconds of a request on an open connection, its answer read but not parsed."""
    body = json.dumps({"input": item(kind, number)})
    start = time.perf_counter()
    connection.request("POST", path, body, {"Content-Type": "application/json"})
    answer = connection.getresponse()
    answer.read()
    seconds = time.perf_counter() - start
    if answer.status != 200:
        raise RuntimeError(f"{path} answered {answer.status}")
    return seconds


def measure(request: dict[str, Any]) -> dict[str, Any]:
    if "show" in request:
        return {"item": item(request["show"], request["number"])}
    numbers = range(request["first"], request["first"] + request["count"])
    if request["url"] is None:
        return {"seconds": [call(request["kind"], number) for number in numbers]}
    parts = urlsplit(request["url"])
    connection = http.client.HTTPConnection(parts.netloc)
    connection.connect()
    try:
        return {"seconds": [ask(connection, parts.path, request["kind"], number) for number in numbers]}
    finally:
        connection.close()


if __name__ == "__main__":
    serve(measure)
