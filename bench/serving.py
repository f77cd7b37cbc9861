"""Servers under load: `diptych serve`, infinity-emb, and transformers behind FastAPI one request at a time.

Text and image embeddings of the same Hugging Face folder of ViT-B/32, for 1, 8 and 64 clients that ask again as soon as
they have an answer. All servers are up, and are measured in turns. No two texts are the same, so that no cache helps;
images are JPEGs of 640 x 480 in data URIs. Then a lone request beside a direct call of the encoder.
"""

import statistics
from contextlib import ExitStack
from itertools import count
from typing import Any

import numpy as np

from environments import make_environment, versions
from photos import make_photos
from processes import Half
from servers import Server, recipes, started
from setting import HERE, Row, Setting, summary

PHOTOS, SIZE = 256, (640, 480)
KINDS, CLIENTS = ("texts", "images"), (1, 8, 64)
ROUNDS, SECONDS, WARM_UP = 5, 4.0, 1.0
LONE = 20  # requests and calls a round
OURS = ("diptych", "diptych float32")
# What infinity's "auto" and transformers compute in on a CPU.
PEER_DTYPE = "float32"
AIMS = {("texts", "plain", 64): 3.0}  # times as many requests a second
CAPTIONS = 1_000_000  # of which a measurement asks at most


def run(setting: Setting) -> dict[str, Any]:
    pythons = {
        name: make_environment(setting.work / name, HERE / f"requirements-{name.replace('_', '-')}.txt")
        for name in ("infinity", "plain_server", "locust")
    }
    folder = setting.work / "photos" / "screen"
    photos = make_photos(folder, setting.work / "wheels", 16 if setting.is_quick else PHOTOS, SIZE)
    with ExitStack() as stack:
        load = stack.enter_context(Half(pythons["locust"], "serving_load.py", *photos))
        lone = stack.enter_context(Half(setting.python, "diptych_lone.py", setting.weights["huggingface"], *photos))
        servers = {
            name: stack.enter_context(started(recipe, setting.work / f"{name}.log"))
            for name, recipe in recipes(setting, pythons["infinity"], pythons["plain_server"]).items()
        }
        return {
            "versions": {
                "infinity": versions(pythons["infinity"], ("infinity_emb", "torch", "transformers", "fastapi")),
                "plain": versions(pythons["plain_server"], ("transformers", "torch", "fastapi", "uvicorn")),
                "load": versions(pythons["locust"], ("locust", "gevent")),
            },
            "dtype": servers["diptych"].get("/v1/models")["data"][0]["dtype"],
            "cosines": cosines(servers, lone),
            "generator": generator(setting, load, servers["diptych"]),
            "points": points(setting, load, servers),
            "lone": {kind: beside_a_call(setting, lone, servers["diptych"], kind) for kind in KINDS},
        }


def cosines(servers: dict[str, Server], lone: Half) -> dict[str, dict[str, float]]:
    """Of one item's embedding with that of the plain server: all have the same weights."""
    found: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        item = lone.ask(show=kind, number=0)["item"]
        rows = {name: np.array(server.embedding(kind, item)) for name, server in servers.items()}
        lengths = {name: float(np.linalg.norm(row)) for name, row in rows.items()}
        found[kind] = {
            name: float(row @ rows["plain"]) / lengths[name] / lengths["plain"] for name, row in rows.items()
        }
    return found


def generator(setting: Setting, load: Half, server: Server) -> dict[str, Any]:
    """What the load generator reaches where the server has next to nothing to do."""
    url = server.address + server.recipe.health
    wanted = {"fields": None, "kind": "texts", "first": 0, "clients": max(CLIENTS)}
    return load.ask(url=url, **wanted, **durations(setting))


def durations(setting: Setting) -> dict[str, float]:
    return {"warm_up": 0.5, "seconds": 1.0} if setting.is_quick else {"warm_up": WARM_UP, "seconds": SECONDS}


def points(setting: Setting, load: Half, servers: dict[str, Server]) -> dict[str, dict[str, Any]]:
    """By kind and clients, then by server: rates, latencies and what the load generator took of the processor."""
    runs: dict[str, dict[str, list[dict[str, Any]]]] = {}
    numbers = count(1)  # each measurement has captions of its own, the same for all servers
    for _ in range(1 if setting.is_quick else ROUNDS):
        for kind in KINDS:
            for clients in CLIENTS:
                first = next(numbers) * CAPTIONS
                found = runs.setdefault(f"{kind} {clients}", {name: [] for name in servers})
                for name, server in servers.items():
                    fields = dict(server.recipe.kind(kind).fields)
                    wanted = {"kind": kind, "first": first, "fields": fields, "clients": clients}
                    found[name].append(load.ask(url=server.url(kind), **wanted, **durations(setting)))
    return {point: {name: summed(each) for name, each in found.items()} for point, found in runs.items()}


def summed(runs: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "per_second": summary([run["per_second"] for run in runs]),
        **{part: summary([run["milliseconds"][part] for run in runs]) for part in ("p50", "p95", "p99")},
        "cpu_milliseconds": summary([run["cpu_milliseconds"] for run in runs]),
    }


def beside_a_call(setting: Setting, lone: Half, server: Server, kind: str) -> dict[str, Any]:
    """Milliseconds of a request and of a call, by turns: medians of each round."""
    rounds, each = (2, 5) if setting.is_quick else (ROUNDS + 1, LONE)
    times: dict[str, list[float]] = {"request": [], "call": []}
    for number in range(rounds):
        for way, url in (("request", server.url(kind)), ("call", None)):
            seconds = lone.ask(url=url, kind=kind, first=number * each, count=each)["seconds"]
            times[way].append(1000 * statistics.median(seconds))
    return {way: summary(found[1:]) for way, found in times.items()}  # the first round warms up


def rows(result: dict[str, Any]) -> list[Row]:
    lines = []
    for point, found in result["points"].items():
        kind, clients = point.split()
        for name in OURS:
            dtype = result["dtype"] if name == "diptych" else "float32"
            lines += [
                load_row(kind, int(clients), dtype, found[name], peer, found[peer]) for peer in ("infinity", "plain")
            ]
    lines += [lone_row(kind, result["dtype"], found) for kind, found in result["lone"].items()]
    return [*lines, *cosine_rows(result), generator_row(result), versions_row(result)]


def load_row(kind: str, clients: int, dtype: str, ours: dict[str, Any], peer: str, theirs: dict[str, Any]) -> Row:
    """One line: requests a second, and how long an answer takes."""
    ratio = ours["per_second"]["median"] / theirs["per_second"]["median"]
    aim = AIMS.get((kind, peer, clients), 1.0 if peer == "infinity" else None)
    clients_said = f"{clients} client" + "s" * (clients > 1)
    return Row(
        what=f"{kind}, {clients_said}: {dtype}, against {peer} ({PEER_DTYPE})",
        diptych=said(ours),
        peer=said(theirs),
        reached=f"{ratio:.2f} times",
        aim=f">= {aim:g} times" if aim else "",
        is_met=ratio >= aim if aim else None,
    )


def said(found: dict[str, Any]) -> str:
    rate = found["per_second"]
    several = f" ({rate['min']:.1f}..{rate['max']:.1f})" if len(rate["all"]) > 1 else ""
    parts = ", ".join(f"{found[part]['median']:.0f}" for part in ("p50", "p95", "p99"))
    return f"{rate['median']:.1f}/s{several}; p50, p95, p99: {parts} ms"


def lone_row(kind: str, dtype: str, found: dict[str, Any]) -> Row:
    request, call = found["request"]["median"], found["call"]["median"]
    return Row(
        what=f"one of the {kind} alone, {dtype}: a request beside a direct call",
        diptych=f"{request:.1f} ms",
        peer=f"{call:.1f} ms",
        reached=f"{request - call:+.1f} ms ({request / call - 1:+.0%})",
        aim="<= 5 ms or 10%",
        is_met=request - call <= max(5.0, 0.1 * call),
    )


def cosine_rows(result: dict[str, Any]) -> list[Row]:
    return [
        Row(
            what=f"embedding of {kind}: cosine with the plain server's",
            diptych=f"{result['dtype']} {found['diptych']:.5f}, float32 {found['diptych float32']:.5f}",
            peer=f"infinity {found['infinity']:.5f}",
            reached="",
        )
        for kind, found in result["cosines"].items()
    ]


def generator_row(result: dict[str, Any]) -> Row:
    """How far the load generator is from its own limit."""
    every = [found for point in result["points"].values() for found in point.values()]
    share = max(found["cpu_milliseconds"]["median"] * found["per_second"]["median"] / 1000 for found in every)
    alone = result["generator"]
    return Row(
        what=f"locust: GET /healthz of Diptych with {max(CLIENTS)} clients",
        diptych=f"{alone['per_second']:.0f}/s, {alone['cpu_milliseconds']:.2f} ms of a core for each",
        reached=f"at most {share:.0%} of a core in the measurements",
    )


def versions_row(result: dict[str, Any]) -> Row:
    found = {name: ", ".join(map(" ".join, each.items())) for name, each in result["versions"].items()}
    return Row(
        what="versions",
        peer=f"infinity: {found['infinity']}; plain: {found['plain']}",
        reached=f"load: {found['load']}",
    )
