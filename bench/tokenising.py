"""Tokenising 100,000 captions into (N, 77) int64 rows: Diptych against open_clip, in their own environments.

    python bench/tokenising.py PEER_PYTHON [--rounds 5]

PEER_PYTHON is a Python that has open_clip_torch. Each round starts both in new processes, one after the other, and
times the whole batch from cold caches (`first`: Diptych reads its vocabulary in it, open_clip at import) and again
(`second`). Prints a JSON object, then a line for people. Both must give the same rows.
"""

import argparse
import hashlib
import json
import os
import platform
import random
import statistics
import subprocess
import sys
import time
from importlib import import_module
from typing import Any

import numpy as np
import numpy.typing as npt

COUNT, CONTEXT_LENGTH = 100_000, 77

PATTERNS = (
    "a photo of a {adjective} {thing}.",
    "{adjective} {thing} {doing} {place}",
    "A {adjective} {thing} and a {thing2} {doing} {place}, {year}",
    "The {thing}'s {adjective} {thing2} - stock photo #{number}",
    "{Place}: {thing} {doing} with two {thing2}s, photographed by {name} in {year}",
    "itap of my {thing} {doing} {place}!",
    "a close-up photo of the {adjective} {thing} {doing} {place} on a {adjective2} day, high resolution, {number}px",
)
PATTERNS_MARKED_UP = (
    "Café {Place} &amp; {thing} “{adjective}”",
    "{name}’s {thing} — {adjective} {thing2}… 🐶",
    "Crème brûlée &quot;{thing}&quot; à {Place} &#39;{number}",
)
WORDS = {
    "adjective": (
        "small big red blue old new happy sleepy wet rusty wooden golden blurry bright dark tiny fluffy plastic "
        "beautiful vintage modern abandoned colourful striped frozen empty crowded quiet handmade weird"
    ),
    "thing": (
        "dog cat horse bicycle aeroplane lighthouse teapot violin tabby goldfish hen ostrich bulbul jay magpie "
        "vulture salamander axolotl bullfrog turtle iguana alligator triceratops kingsnake boa mamba tarantula "
        "tick grouse peacock quail macaw hornbill toucan goose platypus wallaby koala wombat jellyfish coral "
        "flatworm snail lobster crab stork flamingo bittern crane pelican albatross chihuahua papillon beagle "
        "bloodhound whippet terrier poodle dalmatian husky corgi dingo hyena fox tiger cheetah bear mongoose "
        "ladybug weevil bee cricket mantis cicada dragonfly starfish hare porcupine marmot beaver zebra warthog "
        "hippopotamus bison ibex gazelle llama otter badger sloth orangutan lemur abacus accordion ambulance "
        "apron backpack balloon banjo barn barrel bathtub binoculars bookcase bottle bow bridge broom bucket "
        "cannon canoe cardigan carousel castle cello chainsaw clock coffeemaker drum envelope espresso ferry "
        "fountain guitar hammer harp helmet jeep kimono ladle lampshade laptop limousine mailbox maraca "
        "microscope mosque necklace obelisk oboe parachute pier pretzel cheeseburger broccoli zucchini mushroom "
        "strawberry pineapple pizza burrito volcano cliff geyser lakeside daisy acorn"
    ),
    "doing": "running sleeping standing jumping resting waiting shining floating parked playing sitting lying flying",
    "place": (
        "in the snow|on the beach|under a tree|in the kitchen|at night|near the harbour|on a wooden table|by the "
        "lake|in front of the museum|at the market|on a rooftop|in the fog|behind the old school|along the "
        "railway"
    ),
    "name": "Anna James Yuki Mohamed Lucia Peter Ingrid Wei Fatima Carlos Olga Kofi Priya Tom Zofia",
}


def make_captions(count: int = COUNT) -> list[str]:
    """Captions like those of the web, the same at every run; one in twenty has accents, entities or emoji."""
    rng = random.Random(0)
    words = {key: text.split("|" if "|" in text else " ") for key, text in WORDS.items()}
    captions = []
    for _ in range(count):
        pattern = rng.choice(PATTERNS_MARKED_UP if rng.random() < 0.05 else PATTERNS)
        drawn = {key: rng.choice(choices) for key, choices in words.items()}
        drawn |= {"thing2": rng.choice(words["thing"]), "adjective2": rng.choice(words["adjective"])}
        drawn |= {"Place": drawn["place"].split()[-1].title()}
        captions.append(pattern.format(**drawn, year=rng.randint(1950, 2025), number=rng.randint(1, 999_999)))
    return captions


def diptych_rows(captions: list[str]) -> npt.NDArray[np.int64]:
    from diptych.tokenizer import clip_tokenizer, cut, pad

    tokenizer = clip_tokenizer()
    batch = tokenizer.encode_batch(captions)
    return pad([cut(ids, CONTEXT_LENGTH, tokenizer.end_token) for ids in batch], CONTEXT_LENGTH)


def open_clip_rows(captions: list[str]) -> npt.NDArray[np.int64]:
    from open_clip.tokenizer import tokenize

    rows: npt.NDArray[np.int64] = tokenize(captions, CONTEXT_LENGTH).numpy()
    return rows


MODULES = {"diptych": "diptych.tokenizer", "open_clip": "open_clip.tokenizer"}
TOKENISERS = {"diptych": diptych_rows, "open_clip": open_clip_rows}

FIRST_USE = {
    "bare python": "pass",
    "numpy": "import numpy",
    "diptych.tokenizer imported": "import diptych.tokenizer",
    "diptych, a plain caption": "from diptych.tokenizer import *; clip_tokenizer().encode('a photo of a dog')",
    "diptych, an accented caption": "from diptych.tokenizer import *; clip_tokenizer().encode('un café')",
}
FIRST_USE_OF_PEER = {
    "open_clip, a plain caption": "from open_clip.tokenizer import tokenize; tokenize(['a photo of a dog'])",
}


def measure_here(name: str) -> dict[str, float | str]:
    """What a new process measures: seconds of the first and the second time over all captions."""
    import_module(MODULES[name])
    captions, seconds = make_captions(), []
    for _ in range(2):
        start = time.perf_counter()
        rows = TOKENISERS[name](captions)
        seconds.append(time.perf_counter() - start)
    assert rows.shape == (COUNT, CONTEXT_LENGTH)
    assert rows.dtype == np.int64
    return {"first": seconds[0], "second": seconds[1], "rows": hashlib.sha256(rows.tobytes()).hexdigest()}


def measure(python: str, name: str) -> dict[str, Any]:
    command = [python, "-W", "ignore", __file__, "--measure-here", name]
    result: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    return result


def seconds_to_run(python: str, code: str) -> float:
    start = time.perf_counter()
    subprocess.run([python, "-W", "ignore", "-c", code], check=True)
    return time.perf_counter() - start


def compare(peer_python: str, rounds: int) -> dict[str, Any]:
    pythons = {"diptych": sys.executable, "open_clip": peer_python}
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in pythons}
    first_use = [(sys.executable, *item) for item in FIRST_USE.items()]
    first_use += [(peer_python, *item) for item in FIRST_USE_OF_PEER.items()]
    first_use_seconds: dict[str, list[float]] = {what: [] for _, what, _ in first_use}
    for _ in range(rounds):
        for name, python in pythons.items():
            runs[name].append(measure(python, name))
        for python, what, code in first_use:
            first_use_seconds[what].append(seconds_to_run(python, code))
    seconds = {
        name: {turn: statistics.median(run[turn] for run in runs[name]) for turn in ("first", "second")}
        for name in runs
    }
    return {
        "captions": COUNT,
        "rounds": rounds,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}",
        "seconds": seconds,
        "ratio": {turn: seconds["open_clip"][turn] / seconds["diptych"][turn] for turn in ("first", "second")},
        "same_rows": len({run["rows"] for name in runs for run in runs[name]}) == 1,
        "first_use_seconds": {what: statistics.median(times) for what, times in first_use_seconds.items()},
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("peer_python", nargs="?", help="a Python that has open_clip_torch")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--measure-here", choices=TOKENISERS, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure_here:
        print(json.dumps(measure_here(arguments.measure_here)))
        return
    if not arguments.peer_python:
        parser.error("name a Python that has open_clip_torch")
    result = compare(arguments.peer_python, arguments.rounds)
    print(json.dumps(result, indent=2))
    ours, theirs = result["seconds"]["diptych"]["first"], result["seconds"]["open_clip"]["first"]
    print(
        f"{COUNT:,} captions to ({CONTEXT_LENGTH},) rows: diptych {ours:.2f} s ({COUNT / ours:,.0f}/s), "
        f"open_clip {theirs:.2f} s ({COUNT / theirs:,.0f}/s): {theirs / ours:.1f} times as fast, "
        f"{'the same rows' if result['same_rows'] else 'DIFFERENT ROWS'}"
    )
    sys.exit(0 if result["same_rows"] else 1)


if __name__ == "__main__":
    main()
