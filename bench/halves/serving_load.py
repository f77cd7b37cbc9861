"""Load on a server by locust: clients that each ask again as soon as they have an answer.

    python serving_load.py PHOTO...

Requests: {"url": ..., "fields": {...} beside "input" in each body, or null to GET; "kind": "texts" or "images",
"first": number of the first caption, "clients": ..., "seconds": least time to measure, "warm_up": least time before}.
"""

import json
import sys
import time
from collections.abc import Iterator
from itertools import count
from typing import Any

import gevent
from locust import FastHttpUser, task
from locust.contrib.fasthttp import FastHttpSession
from locust.env import Environment
from locust.exception import StopUser
from serving_inputs import caption, data_uri

from serve import serve

PHOTOS = [data_uri(path) for path in sys.argv[1:]]
HEADERS = {"Content-Type": "application/json"}
TIMEOUT_SECONDS = 120.0


def bodies(kind: str, first: int, fields: dict[str, Any] | None) -> Iterator[str | None]:
    for number in count(first):
        if fields is None:
            yield None
        else:
            yield json.dumps({**fields, "input": caption(number) if kind == "texts" else PHOTOS[number % len(PHOTOS)]})


class Point:
    """One measurement: how many clients ask what of whom, and when and after how long each had its answers."""

    def __init__(self, request: dict[str, Any]) -> None:
        self.request = request
        self.bodies = bodies(request["kind"], request["first"], request["fields"])
        self.method = "GET" if request["fields"] is None else "POST"
        self.answers: list[tuple[float, float]] = []
        self.failures: list[str] = []
        self.waiting = 0
        self.is_over = False

    def ask(self, client: FastHttpSession) -> None:
        """One request of one client, or its end."""
        if self.is_over:
            raise StopUser
        self.waiting += 1
        client.request(self.method, self.request["url"], name="", data=next(self.bodies), headers=HEADERS)
        self.waiting -= 1

    def answered(self, response_time: float, exception: Exception | None, **_: object) -> None:
        self.answers.append((time.perf_counter(), response_time / 1000))
        if exception:
            self.failures.append(str(exception))


def measure(request: dict[str, Any]) -> dict[str, Any]:
    """Counted is what comes after each client has had an answer, until as many have come and `seconds` have gone."""
    point = Point(request)

    class Client(FastHttpUser):
        host = request["url"]
        network_timeout = connection_timeout = TIMEOUT_SECONDS

        @task
        def ask(self) -> None:
            point.ask(self.client)

    environment = Environment(user_classes=[Client])
    environment.events.request.add_listener(point.answered)
    runner = environment.create_local_runner()
    runner.start(request["clients"], spawn_rate=request["clients"])
    warm = wait_for(point, 0, request["warm_up"])
    cpu = time.process_time()
    last = wait_for(point, warm + 1, request["seconds"])
    cpu = time.process_time() - cpu
    point.is_over = True
    while point.waiting:  # the next measurement should not wait for what this one has left
        gevent.sleep(0.01)
    runner.quit()
    if point.failures:
        raise RuntimeError(f"{len(point.failures)} requests to {request['url']} failed, the first: {point.failures[0]}")
    return figures(point.answers[warm : last + 1], cpu)


def wait_for(point: Point, first: int, seconds: float) -> int:
    """Until `seconds` have gone and every client could have had an answer since number `first`; the last one's."""
    end = time.perf_counter() + seconds
    while time.perf_counter() < end or len(point.answers) < first + point.request["clients"]:
        gevent.sleep(0.01)
    return len(point.answers) - 1


def figures(answers: list[tuple[float, float]], cpu: float) -> dict[str, Any]:
    """From one answer's time to another's, so that servers that answer many at once are not cut in the middle."""
    seconds = answers[-1][0] - answers[0][0]
    counted = sorted(latency for _, latency in answers[1:])
    return {
        "per_second": len(counted) / seconds,
        "milliseconds": {
            f"p{part}": 1000 * counted[min(len(counted) * part // 100, len(counted) - 1)] for part in (50, 95, 99)
        },
        "cpu_milliseconds": 1000 * cpu / len(counted),
    }


if __name__ == "__main__":
    serve(measure)
