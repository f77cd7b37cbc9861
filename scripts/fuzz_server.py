"""Send 10,000 hostile requests to a server of its own and tell what is left of it: `python scripts/fuzz_server.py`.

The requests are those of tests/fuzzing.py: made from the OpenAPI by schemathesis, with damaged pictures, and for photos
that there are. Exit status 1, and a line of what is wrong, where an answer was not as it must be, good requests are
answered otherwise than before, the server is not ready, or its memory grew by more than the bound, which is told.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

import httpx

from fuzz_rounds import LAST, MOST_GROWTH, Round, fuzz
from served_holiday import serve_holiday
from vital_signs import KEEPS_LITTLE

_ROW = "{:>8}  {:>7}  {:>9}  {:>10}  {:>7}"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    print(f"seed {options.seed}; memory may grow by {MOST_GROWTH / 1e6:.0f} MB in the last {LAST:,} requests")
    print(_ROW.format("requests", "seconds", "memory MB", "open files", "threads"))
    try:
        with tempfile.TemporaryDirectory() as folder, serve_holiday(Path(folder), env=KEEPS_LITTLE) as server:
            result = fuzz(server, requests=options.requests, rounds=options.rounds, seed=options.seed, tell=tell)
    except httpx.HTTPError as error:
        print(f"fuzz_server: the server does not answer good requests any more ({error!r})", file=sys.stderr)
        return 1
    print("statuses:", ", ".join(f"{status} {count:,} times" for status, count in sorted(result.statuses.items())))
    for problem in result.problems:
        print(f"fuzz_server: {' '.join(problem.split())}", file=sys.stderr)
    return 1 if result.problems else 0


def tell(done: Round) -> None:
    signs = done.signs
    row = (f"{done.sent:,}", f"{done.seconds:.0f}", f"{signs.memory / 1e6:.0f}", signs.open_files, signs.threads)
    print(_ROW.format(*row), flush=True)


if __name__ == "__main__":
    sys.exit(main())
