"""Send 10,000 hostile requests to a server of its own and tell what is left of it: `python scripts/fuzz_server.py`.

The requests are those of tests/fuzzing.py: made from the OpenAPI by schemathesis, with damaged pictures, and for photos
that there are. Exit status 1 where an answer was not as it must be.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from fuzzing import Fuzzer
from served_holiday import IDS, PHOTOGRAPHS, serve_holiday
from vital_signs import VitalSigns


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        return fuzz(Path(folder), options.requests, options.rounds, options.seed)


def fuzz(folder: Path, requests: int, rounds: int, seed: int) -> int:
    with serve_holiday(folder) as server:
        fuzzer = Fuzzer(server.url, PHOTOGRAPHS, seed=seed)
        print(f"seed {seed}; at the start: {VitalSigns.of(server)}")
        for number in range(1, rounds + 1):
            started = time.monotonic()
            goal = requests * number // rounds
            while fuzzer.sent < goal:
                fuzzer.send_some_of_all(max(100, goal - fuzzer.sent), IDS)
            seconds = time.monotonic() - started
            print(f"after {fuzzer.sent:,} requests ({seconds:.0f} s): {VitalSigns.of(server)}", flush=True)
        failures = [str(line) for line in server.logs() if line["event"] in ("failure", "error")]
    print("statuses:", ", ".join(f"{status} {count:,} times" for status, count in sorted(fuzzer.statuses.items())))
    print("wrong answers:", *(fuzzer.faults or ["none"]), sep="\n  ")
    print("failures in the log:", *(failures or ["none"]), sep="\n  ")
    return 1 if fuzzer.faults or failures else 0


if __name__ == "__main__":
    sys.exit(main())
