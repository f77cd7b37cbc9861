"""A LanceDB table of given vectors, and searches in it: all rows compared, or by an index.

    python lancedb_library.py

Requests: {"do": "fill", "vectors": ..., "library": ...}; {"do": "index", "library": ..., "kind": "IVF_SQ" ...};
{"do": "search", "library": ..., "queries": ..., "rounds": ..., "is_exact": ...}. Searches are by cosine and give back
the number, path and distance of each row, with nothing set but that.
"""

import time
from typing import Any

import lancedb
import numpy as np
import pyarrow as pa
from resident import resident_megabytes

from serve import serve

TOP, ROWS_AT_ONCE = 10, 50_000


def table(request: dict[str, Any]) -> Any:  # noqa: ANN401
    return lancedb.connect(request["library"]).open_table("photos")


def fill(request: dict[str, Any]) -> dict[str, Any]:
    vectors = np.load(request["vectors"], mmap_mode="r")
    width = vectors.shape[1]
    fields = [("id", pa.int64()), ("path", pa.string()), ("vector", pa.list_(pa.float32(), width))]
    started = time.perf_counter()
    made = lancedb.connect(request["library"]).create_table("photos", schema=pa.schema(fields), mode="overwrite")
    for start in range(0, len(vectors), ROWS_AT_ONCE):
        chunk = np.ascontiguousarray(vectors[start : start + ROWS_AT_ONCE])
        numbers = range(start, start + len(chunk))
        paths = [f"{number // 1000:04d}/IMG_{number:07d}.jpg" for number in numbers]
        column = pa.FixedSizeListArray.from_arrays(pa.array(chunk.reshape(-1)), width)
        made.add(pa.table({"id": pa.array(numbers, pa.int64()), "path": paths, "vector": column}))
    return {"seconds": time.perf_counter() - started}


def index(request: dict[str, Any]) -> dict[str, Any]:
    started = time.perf_counter()
    table(request).create_index(metric="cosine", index_type=request["kind"])
    return {"seconds": time.perf_counter() - started}


def search(request: dict[str, Any]) -> dict[str, Any]:
    queries = np.load(request["queries"])
    before = resident_megabytes()
    opened = table(request)
    seconds, found = [], []

    def nearest(query: np.ndarray[Any, Any]) -> list[int]:
        asked = opened.search(query).distance_type("cosine").select(["id", "path", "_distance"]).limit(TOP)
        asked = asked.bypass_vector_index() if request["is_exact"] else asked
        return asked.to_arrow()["id"].to_pylist()

    nearest(queries[0])
    for _ in range(request["rounds"]):
        found = []
        for query in queries:
            started = time.perf_counter()
            found.append(nearest(query))
            seconds.append(time.perf_counter() - started)
    return {"seconds": seconds, "found": found, "megabytes": resident_megabytes(), "megabytes_before": before}


def measure(request: dict[str, Any]) -> dict[str, Any]:
    return {"fill": fill, "index": index, "search": search}[request["do"]](request)


if __name__ == "__main__":
    serve(measure)
