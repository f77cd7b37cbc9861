"""A photo library of given vectors, and searches in it through its own face.

    python diptych_library.py

Requests: {"do": "fill", "vectors": ..., "library": ..., "photos": ..., "files": whether "photos" are there,
"bundled": whether for the model in the package, which has half as many numbers};
{"do": "search", "library": ..., "queries": ..., "rounds": ...}, of words that stand for the vectors of a file: all of
`PhotoLibrary.search` but the text tower.
"""

import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
from resident import resident_megabytes

from diptych.checkpoints import load_checkpoint
from diptych.encode.numpy_encoder import NumpyEncoder
from diptych.library import photos
from diptych.library.database import connect, create, transaction
from diptych.library.library import PhotoLibrary
from diptych.library.metadata import PhotoFacts
from diptych.library.photos import NewPhoto
from diptych.library.walk import FoundFile
from serve import serve

TOP, PHOTOS_A_COMMIT = 10, 10_000
FACTS = PhotoFacts(width=4032, height=3024, format="JPEG", taken_at="2024-05-31T18:20:05", camera="Apple iPhone 15")


class Given:
    """An encoder whose texts are places in a list of vectors."""

    fingerprint = "given"

    def __init__(self, queries: np.ndarray[Any, Any]) -> None:
        self.queries, self.embed_dim = queries, queries.shape[1]

    def encode_texts(self, texts: list[str], **_: Any) -> np.ndarray[Any, Any]:  # noqa: ANN401
        if len(texts) == 1:
            return self.queries[[int(texts[0])]]
        background = np.random.Generator(np.random.PCG64(0)).standard_normal((len(texts), self.embed_dim))
        return (background / np.linalg.norm(background, axis=1, keepdims=True)).astype(np.float32)


def fill(request: dict[str, Any]) -> dict[str, Any]:
    folder, vectors = Path(request["library"]), np.load(request["vectors"], mmap_mode="r")
    create(folder)
    encoder: Any = Given(vectors[:1])
    if request.get("bundled"):  # as if the model in the package had made them
        encoder = NumpyEncoder(load_checkpoint(None, framework="numpy"))
        vectors = vectors[:, : encoder.embed_dim]
        vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    started = time.perf_counter()
    with closing(connect(folder)) as database:
        root = photos.put_root(database, Path(request["photos"]))
        model = photos.add_model(database, encoder, "postcard" if request.get("bundled") else "given")
        for start in range(0, len(vectors), PHOTOS_A_COMMIT):
            with transaction(database):
                for number in range(start, min(start + PHOTOS_A_COMMIT, len(vectors))):
                    found = found_file(number, Path(request["photos"]) if request.get("files") else None)
                    hash = number.to_bytes(16)
                    features = vectors[number : number + 1]
                    photos.put_photo(
                        database, root, model, NewPhoto(found=found, hash=hash, facts=FACTS, features=features)
                    )
    seconds = time.perf_counter() - started
    if not request.get("bundled"):
        with PhotoLibrary.open(folder, encoder=encoder) as library:
            library.search("0", top=TOP)  # which makes what is derived, as the end of an index does
    return {"seconds": seconds}


def found_file(number: int, folder: Path | None) -> FoundFile:
    """A thousand to a folder; as it is on disk, where it is there."""
    path = f"{number // 1000:04d}/IMG_{number:07d}.jpg"
    found = (folder / path).stat() if folder else None
    return FoundFile(path, found.st_size if found else 3_000_000, found.st_mtime_ns if found else 1_700_000_000)


def search(request: dict[str, Any]) -> dict[str, Any]:
    queries = np.load(request["queries"])
    before = resident_megabytes()
    seconds, found = [], []
    with PhotoLibrary.open(request["library"], encoder=Given(queries)) as library:
        library.search("0", top=TOP)
        for _ in range(request["rounds"]):
            found = []
            for number in range(len(queries)):
                started = time.perf_counter()
                hits = library.search(str(number), top=TOP)
                seconds.append(time.perf_counter() - started)
                found.append([int(Path(hit.source).stem.removeprefix("IMG_")) for hit in hits])
    return {"seconds": seconds, "found": found, "megabytes": resident_megabytes(), "megabytes_before": before}


def measure(request: dict[str, Any]) -> dict[str, Any]:
    return {"fill": fill, "search": search}[request["do"]](request)


if __name__ == "__main__":
    serve(measure)
