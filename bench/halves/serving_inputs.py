"""What the servers are asked about: captions of which no two are the same, and photographs as data URIs."""

import base64
from pathlib import Path

from captions import WORDS

PARTS = ("adjective", "thing", "doing", "place", "adjective", "thing")
CHOICES = [WORDS[part].split("|" if "|" in WORDS[part] else " ") for part in PARTS]
# Shares no factor with the number of captions (2, 3, 5, 7, 11, 13 and so on), so that none comes twice.
STRIDE = 1_000_000_007


def caption(number: int) -> str:
    """One of four thousand million, of 9 to 13 words. They begin in many ways: no shared beginning helps anybody."""
    chosen, rest = [], number * STRIDE
    for choices in CHOICES:
        rest, at = divmod(rest, len(choices))
        chosen.append(choices[at])
    adjective, thing, doing, place, adjective2, thing2 = chosen
    return f"{adjective} {thing} {doing} {place}, beside the {adjective2} {thing2}"


def data_uri(path: str | Path) -> str:
    return "data:image/jpeg;base64," + base64.b64encode(Path(path).read_bytes()).decode("ascii")
