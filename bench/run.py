"""Diptych beside its peers: same machine, same weights, same inputs, in turns. `make bench`, or

    python bench/run.py [--only classifier,images] [--again] [--quick]

Makes an environment for each peer in .bench/ (several GB, the first time), measures, prints a table, and writes it to
docs/benchmarks.md. Measured benches are kept in .bench/results.json and left out the next time, unless --again.
All of it takes about twenty minutes on two cores.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from types import ModuleType
from typing import Any

import classifier
import curves
import data_loading
import first_label
import images
import library
import loading
import loss
import preprocessing
import serving
import tokenising
import training
import where_time_goes
from environments import make_environment
from machine import describe_machine
from report import document, table, write_into
from setting import HERE, Setting

BENCHES: dict[str, ModuleType] = {
    "classifier": classifier,
    "images": images,
    "tokenising": tokenising,
    "first-label": first_label,
    "loading": loading,
    "preprocessing": preprocessing,
    "where-time-goes": where_time_goes,
    "loss": loss,
    "data": data_loading,
    "training": training,
    "curves": curves,
    "library": library,
    "serving": serving,
}
ROOT = HERE.parent
WORK, PAGE = ROOT / ".bench", ROOT / "docs" / "benchmarks.md"


def main() -> None:
    arguments = parse()
    chosen = arguments.only.split(",") if arguments.only else list(BENCHES)
    if unknown := [name for name in chosen if name not in BENCHES]:
        sys.exit(f"There is no bench {', '.join(unknown)}: choose from {', '.join(BENCHES)}.")
    kept = WORK / ("quick.json" if arguments.quick else "results.json")
    results: dict[str, Any] = json.loads(kept.read_text()) if kept.exists() else {}
    missing = [name for name in chosen if arguments.again or arguments.quick or name not in results]
    if missing:
        setting = make_setting(arguments)
        machine = describe_machine(setting)
        for name in missing:
            print(f"Measuring {name}", flush=True)
            results[name] = measure(BENCHES[name], setting, machine)
            kept.write_text(json.dumps(results, indent=1))
    tables = {name: bench.rows(results[name]["result"]) for name, bench in BENCHES.items() if name in results}
    print("\n\n".join(f"{name}\n{table(tables[name])}" for name in chosen))
    if not arguments.quick:
        write_into(PAGE, document(results, tables))


def measure(bench: ModuleType, setting: Setting, machine: dict[str, Any]) -> dict[str, Any]:
    """A bench's result, with when it was measured, on what, and how busy that was just before."""
    started, before = time.time(), os.getloadavg()[0]
    result = bench.run(setting)
    return {
        "when": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(started)),
        "took_seconds": time.time() - started,
        "load": [before, os.getloadavg()[0]],
        "machine": machine,
        "result": result,
    }


def make_setting(arguments: argparse.Namespace) -> Setting:
    WORK.mkdir(exist_ok=True)
    weights = WORK / "weights"
    # In a process of its own: what this one holds would count as the peak memory of those that it starts.
    subprocess.run([sys.executable, str(HERE / "weights.py"), str(weights)], check=True)
    return Setting(
        python=sys.executable,
        open_clip=arguments.open_clip_python
        or make_environment(WORK / "open_clip", HERE / "requirements-open-clip.txt"),
        transformers=arguments.transformers_python
        or make_environment(WORK / "transformers", HERE / "requirements-transformers.txt"),
        weights={name: weights / name for name in ("diptych", "huggingface", "openclip")},
        work=WORK,
        is_quick=arguments.quick,
        data=tuple(arguments.data),
    )


def parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", help=f"some of {', '.join(BENCHES)}, between commas")
    parser.add_argument("--again", action="store_true", help="measure what has been measured before, too")
    parser.add_argument("--quick", action="store_true", help="a few items, one round: to see that everything runs")
    parser.add_argument("--data", metavar="PATH", action="append", default=[], help="pairs to load, too; several times")
    parser.add_argument("--open-clip-python", metavar="PATH", help="a Python that has open_clip_torch")
    parser.add_argument("--transformers-python", metavar="PATH", help="a Python that has transformers and torch")
    return parser.parse_args()


if __name__ == "__main__":
    main()
