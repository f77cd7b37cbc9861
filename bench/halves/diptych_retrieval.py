"""Recall of captions' photos through a library, and by brute force over the same model's features.

    python diptych_retrieval.py

Requests: {"pairs": path, "most": how many of the pairs, "vectors": the dtype they are kept in}. Its photos
are written to a folder and indexed.
"""

import sys
import tempfile
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from diptych.checkpoints import load_checkpoint
from diptych.encode.torch_encoder import TorchEncoder
from diptych.library.library import PhotoLibrary
from diptych.library.query import Term, Words
from serve import serve

sys.path.append(str(Path(__file__).parents[1]))
from shards import pairs_in

CUTS = (1, 5, 10)


def measure(request: dict[str, Any]) -> dict[str, Any]:
    encoder = TorchEncoder(load_checkpoint(None), dtype="float32", preprocess="fast")
    captions: list[tuple[int, str]] = []
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "photos"
        folder.mkdir()
        for number, (image, texts) in enumerate(islice(pairs_in(request["pairs"]), request["most"])):
            (folder / f"{number:05d}.jpg").write_bytes(image)
            captions += [(number, text) for text in texts]
        paths = sorted(folder.glob("*.jpg"))
        with PhotoLibrary.open(Path(made) / "library", encoder=encoder, create_missing=True) as library:
            library.index(folder, vectors=request["vectors"])
            found = [
                [int(hit.path.stem) for hit in library.search([Term(Words(text))], top=CUTS[-1])]
                for _, text in captions
            ]
        cosines = encoder.encode_texts([text for _, text in captions]) @ encoder.encode_images(paths).T
    brute = np.argsort(-cosines, axis=1, kind="stable")[:, : CUTS[-1]].tolist()
    wanted = [number for number, _ in captions]
    return {
        "photos": len(paths),
        "captions": len(captions),
        "library": recalls(found, wanted),
        "brute": recalls(brute, wanted),
        "same_orders": sum(one == other for one, other in zip(found, brute, strict=True)) / len(captions),
    }


def recalls(found: list[list[int]], wanted: list[int]) -> dict[str, float]:
    return {
        str(cut): sum(number in numbers[:cut] for numbers, number in zip(found, wanted, strict=True)) / len(wanted)
        for cut in CUTS
    }


if __name__ == "__main__":
    serve(measure)
