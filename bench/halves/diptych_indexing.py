"""Photos a second: a library's index of a folder, and the encoding of the same files alone.

    python diptych_indexing.py MODEL

Requests: {"do": "encode" | "index", "photos": folder}.
"""

import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from diptych.checkpoints import load_checkpoint
from diptych.encode.torch_encoder import TorchEncoder
from diptych.library.library import PhotoLibrary
from serve import serve

ENCODER = TorchEncoder(load_checkpoint(None if sys.argv[1] == "postcard" else sys.argv[1]), preprocess="fast")


def measure(request: dict[str, Any]) -> dict[str, Any]:
    folder = Path(request["photos"])
    started = time.perf_counter()
    if request["do"] == "encode":
        count = len(ENCODER.encode_images(sorted(folder.glob("*.jpg"))))
        return {"photos_per_second": count / (time.perf_counter() - started)}
    with tempfile.TemporaryDirectory() as library:
        with PhotoLibrary.open(Path(library) / "library", encoder=ENCODER, create_missing=True) as opened:
            count = opened.index(folder).encoded
        return {"photos_per_second": count / (time.perf_counter() - started)}


if __name__ == "__main__":
    serve(measure)
