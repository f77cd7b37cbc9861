"""After thousands of hostile requests the server is as it was. `scripts/fuzz_server.py` sends 10,000."""

from collections.abc import Iterator

import httpx
import pytest

from fuzzing import Fuzzer
from serve_command import ServeCommand
from served_holiday import IDS, PHOTOGRAPHS, serve_holiday
from vital_signs import VitalSigns

_ROUNDS, _REQUESTS = 3, 1_000  # half a minute on a machine of two cores that has nothing else to do
# The cache of texts grows to 64 MB, threads keep the arenas in which they decode, and the library its pages: it levels
# off. A picture that leaked its pixels would cost 60 kB each time, and bodies as much: hundreds of MB in these rounds.
_GROWTH = 100_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeCommand]:
    with serve_holiday(tmp_path_factory.mktemp("fuzzed")) as running:
        yield running


def label_cat(server: ServeCommand) -> dict[str, float]:
    """The probabilities that the server gives a cat."""
    cat = PHOTOGRAPHS[0].read_bytes()
    answer = httpx.post(
        f"{server.url}/v1/classify", files={"image": cat}, data={"labels": ["dog", "cat"]}, trust_env=False, timeout=60
    )
    return {label["name"]: label["probability"] for label in answer.json()["results"][0]["labels"]}


def test_hostile_requests_leave_the_server_as_it_was(server: ServeCommand) -> None:
    before = label_cat(server)
    fuzzer = Fuzzer(server.url, PHOTOGRAPHS, seed=1)
    signs = []
    for _ in range(_ROUNDS):
        fuzzer.send_some_of_all(_REQUESTS, IDS)
        signs.append(VitalSigns.of(server))  # which is told by a server that is ready
    assert fuzzer.faults == []
    assert fuzzer.sent > _ROUNDS * _REQUESTS * 0.7  # where little can be asked for, less is generated
    assert label_cat(server) == pytest.approx(before)
    assert signs[-1].memory - signs[0].memory < _GROWTH, signs
    # Threads begin when they are first needed; each of the four that search opens three files.
    assert signs[-1].open_files <= signs[0].open_files + 12, signs
    assert signs[-1].threads <= signs[0].threads + 8, signs
    assert not [line for line in server.logs() if line["event"] in ("failure", "error")]
