"""After thousands of hostile requests the server is as it was. `scripts/fuzz_server.py` sends 10,000."""

from collections.abc import Iterator
from dataclasses import replace

import pytest

from fuzz_rounds import LAST, MOST_GROWTH, Round, fuzz, growth
from known_good import GoodAnswers
from serve_command import ServeCommand
from served_holiday import serve_holiday
from vital_signs import KEEPS_LITTLE, VitalSigns


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServeCommand]:
    with serve_holiday(tmp_path_factory.mktemp("fuzzed"), env=KEEPS_LITTLE) as running:
        yield running


def test_hostile_requests_leave_the_server_as_it_was(server: ServeCommand) -> None:
    assert GoodAnswers.of(server).label == "cat"
    result = fuzz(server, requests=3_000, rounds=3, seed=1)  # half a minute on a quiet machine of two cores
    assert result.problems == []
    assert result.rounds[-1].sent >= 3_000
    first, last = result.rounds[0].signs, result.rounds[-1].signs
    # Threads begin when they are first needed; each of the four that search opens three files.
    assert last.open_files <= first.open_files + 12, result.rounds
    assert last.threads <= first.threads + 8, result.rounds


def test_memory_that_grows_in_the_last_requests_is_a_problem() -> None:
    signs = VitalSigns(memory=500_000_000, open_files=1, threads=1, is_ready=True)
    early = [Round(sent=sent, seconds=1, signs=replace(signs, memory=1)) for sent in (500, 999)]
    begin = Round(sent=1_000, seconds=1, signs=signs)
    end = Round(sent=1_000 + LAST, seconds=1, signs=replace(signs, memory=signs.memory + MOST_GROWTH))
    assert growth([*early, begin, end]) == []
    more = replace(end, signs=replace(signs, memory=signs.memory + MOST_GROWTH + 1))
    (problem,) = growth([*early, begin, more])
    assert problem.startswith("memory grew by ")


def test_a_good_request_that_is_answered_otherwise_is_a_problem(server: ServeCommand) -> None:
    before = GoodAnswers.of(server)
    assert GoodAnswers.of(server).differences(before) == []
    other = replace(before, label="dog", found="coffee.png", text_features=-before.text_features)
    assert [each.split(" is ")[0] for each in other.differences(before)] == [
        "the label",
        "the photo found",
        "a text's embedding",
    ]
