"""Rounds of hostile requests to a server, and what is wrong with it afterwards."""

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fuzzing import Fuzzer
from known_good import GoodAnswers
from serve_command import ServeCommand
from served_holiday import IDS, PHOTOGRAPHS
from vital_signs import VitalSigns

LAST = 2_000  # requests, at the end, during which memory may not grow
# Bytes, 4 kB a request: 8 kB leaked by each picture are 23 MB. Of a server that keeps little (vital_signs.py) it was
# 2 MB at most, in runs with two seeds.
MOST_GROWTH = 8_000_000


@dataclass(frozen=True, kw_only=True)
class Round:
    """What was sent until its end, how long it took, and how the server is then."""

    sent: int
    seconds: float
    signs: VitalSigns


@dataclass(kw_only=True)
class Fuzzed:
    """The rounds so far, the answers' statuses, and what is wrong, a line each."""

    rounds: list[Round] = field(default_factory=list)
    statuses: Counter[int]
    problems: list[str] = field(default_factory=list)


def fuzz(
    server: ServeCommand, *, requests: int, rounds: int, seed: int, tell: Callable[[Round], None] = lambda _: None
) -> Fuzzed:
    """About so many requests in so many rounds, each of which `tell` hears of.

    httpx.HTTPError where the server does not answer good requests any more.
    """
    fuzzer = Fuzzer(server.url, PHOTOGRAPHS, seed=seed)
    before = GoodAnswers.of(server)
    result = Fuzzed(statuses=fuzzer.statuses)
    for number in range(1, rounds + 1):
        started = time.monotonic()
        send_until(requests * number // rounds, fuzzer)
        done = Round(sent=fuzzer.sent, seconds=time.monotonic() - started, signs=VitalSigns.of(server))
        result.rounds.append(done)
        tell(done)
    failures = [f"in the log: {line}" for line in server.logs() if is_failure(line)]
    changes = [f"a good request is answered otherwise: {each}" for each in GoodAnswers.of(server).differences(before)]
    result.problems += [*fuzzer.faults, *failures, *changes, *growth(result.rounds)]
    if not all(each.signs.is_ready for each in result.rounds):
        result.problems.append("/readyz does not say that the server is ready")
    return result


def is_failure(line: dict[str, Any]) -> bool:
    """Whether a line of the log tells of one. To wait too long for another writer is none: machines may be slow."""
    return line["event"] in ("failure", "error") and "locked" not in line.get("detail", "")


def send_until(goal: int, fuzzer: Fuzzer) -> None:
    """Send until so many requests were answered in all, or none is answered any more."""
    before = -1
    while before < fuzzer.sent < goal:
        before = fuzzer.sent
        fuzzer.send_some_of_all(max(100, goal - before), IDS)


def growth(rounds: Sequence[Round]) -> list[str]:
    """In a line, that memory grew by more than MOST_GROWTH in the last requests; nothing where it did not."""
    last = rounds[-1]
    first = next(each for each in reversed(rounds) if each.sent <= last.sent - LAST or each is rounds[0])
    grown = last.signs.memory - first.signs.memory
    if grown <= MOST_GROWTH:
        return []
    return [
        f"memory grew by {grown / 1e6:.0f} MB in the last {last.sent - first.sent:,} requests: "
        f"{MOST_GROWTH / 1e6:.0f} MB at most"
    ]
