"""Seconds of the first and the second time over captions, in a new process: python captions_to_ids.py NAME COUNT."""

import hashlib
import json
import sys
import time
from importlib import import_module
from typing import Any

from captions import make_captions

CONTEXT_LENGTH = 77
MODULES = {"diptych": "diptych.tokenizer", "open_clip": "open_clip.tokenizer"}


def diptych_rows(captions: list[str]) -> Any:  # noqa: ANN401 (an array; numpy is imported by whom is measured)
    from diptych.tokenizer import clip_tokenizer, cut, pad

    tokenizer = clip_tokenizer()
    batch = tokenizer.encode_batch(captions)
    return pad([cut(ids, CONTEXT_LENGTH, tokenizer.end_token) for ids in batch], CONTEXT_LENGTH)


def open_clip_rows(captions: list[str]) -> Any:  # noqa: ANN401
    from open_clip.tokenizer import tokenize

    return tokenize(captions, CONTEXT_LENGTH).numpy()


def main() -> None:
    name, captions = sys.argv[1], make_captions(int(sys.argv[2]))
    import_module(MODULES[name])
    tokenise = {"diptych": diptych_rows, "open_clip": open_clip_rows}[name]
    seconds = []
    for _ in range(2):
        start = time.perf_counter()
        rows = tokenise(captions)
        seconds.append(time.perf_counter() - start)
    assert rows.shape == (len(captions), CONTEXT_LENGTH)
    assert rows.dtype == "int64"
    print(json.dumps({"first": seconds[0], "second": seconds[1], "rows": hashlib.sha256(rows.tobytes()).hexdigest()}))


if __name__ == "__main__":
    main()
