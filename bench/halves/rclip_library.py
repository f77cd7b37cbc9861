"""rclip's own store of given vectors, and searches in it by rclip's own loop.

    python rclip_library.py

Requests as of diptych_library.py, with the file of rclip's database as "library". Searches are all of `RClip.search`
but the text tower, whose weights would have to be fetched: its place is taken by vectors of a file.
"""

import os
import time
from pathlib import Path
from typing import Any

import numpy as np
from rclip.db import DB, NewImage
from rclip.main import RClip
from resident import resident_megabytes

from serve import serve

TOP, PHOTOS_A_COMMIT = 10, 50_000  # rclip's DB_IMAGES_BEFORE_COMMIT
BATCH_SIZE = 8  # of indexing: nothing is encoded here


class Given:
    """rclip's Model, whose texts are places in a list of vectors."""

    def __init__(self, queries: np.ndarray[Any, Any]) -> None:
        self.queries = queries

    def compute_features_for_queries(self, queries: list[str]) -> np.ndarray[Any, Any]:
        return self.queries[int(queries[0])] if queries else np.zeros(self.queries.shape[1], np.float32)


def fill(request: dict[str, Any]) -> dict[str, Any]:
    vectors = np.load(request["vectors"], mmap_mode="r")
    started = time.perf_counter()
    database = DB(request["library"])
    for number, vector in enumerate(vectors):
        path = f"{request['photos']}/{number // 1000:04d}/IMG_{number:07d}.jpg"
        found = os.stat(path) if request.get("files") else None  # noqa: PTH116
        image = NewImage(
            filepath=path,
            modified_at=found.st_mtime if found else 1.7e9,
            size=found.st_size if found else 3_000_000,
            vector=vector.tobytes(),
            hash=f"{number:032x}",
        )
        database.upsert_image(image, commit=number % PHOTOS_A_COMMIT == 0)
    database.close()
    return {"seconds": time.perf_counter() - started}


def search(request: dict[str, Any]) -> dict[str, Any]:
    queries = np.load(request["queries"])
    before = resident_megabytes()
    database = DB(request["library"])
    rclip = RClip(Given(queries), database, BATCH_SIZE, None)
    seconds, found = [], []
    rclip.search("0", request["photos"], TOP)
    for _ in range(request["rounds"]):
        found = []
        for number in range(len(queries)):
            started = time.perf_counter()
            hits = rclip.search(str(number), request["photos"], TOP)
            seconds.append(time.perf_counter() - started)
            found.append([int(Path(hit.filepath).stem.removeprefix("IMG_")) for hit in hits])
    return {"seconds": seconds, "found": found, "megabytes": resident_megabytes(), "megabytes_before": before}


def measure(request: dict[str, Any]) -> dict[str, Any]:
    return {"fill": fill, "search": search}[request["do"]](request)


if __name__ == "__main__":
    serve(measure)
