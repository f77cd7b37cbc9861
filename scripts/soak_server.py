"""Put a server of its own under mixed load for an hour and tell what is left of it: `python scripts/soak_server.py`.

The load is that of tests/soaking.py: texts, pictures, labels, searches, bad requests, clients that go away. Exit status
1 where an answer was wrong, or something is left in hand at the end.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))

from served_holiday import serve_holiday
from soaking import Soak, settled, soak
from vital_signs import VitalSigns


def tell(load: Soak, signs: VitalSigns) -> None:
    print(f"{time.strftime('%H:%M')}, {load.answers.total():,} requests: {signs}", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--parts", type=int, default=12, help="how many times to look in between")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, serve_holiday(Path(folder)) as server:
        print(f"at the start: {VitalSigns.of(server)}")
        load, signs = soak(server, 60 * options.minutes, options.parts, tell)
        in_hand = settled(server)
        print(f"at the end: {signs[-1]}")
        failures = [str(line) for line in server.logs() if line["event"] in ("failure", "error")]
        status = server.stop()
    for (kind, answer), count in sorted(load.answers.items()):
        print(f"{kind} {answer or ''}: {count:,}")
    print("wrong answers:", *(load.faults[:20] or ["none"]), sep="\n  ")
    print("failures in the log:", *(failures or ["none"]), sep="\n  ")
    print(
        "left in hand:", *([f"{name} {value:g}" for name, value in in_hand.items() if value] or ["nothing"]), sep="\n  "
    )
    return 1 if load.faults or failures or any(in_hand.values()) or status else 0


if __name__ == "__main__":
    sys.exit(main())
