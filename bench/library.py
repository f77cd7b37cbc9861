"""A photo library beside rclip's store and loop and LanceDB: the same vectors of 512 numbers and the same queries.

No model is part of the searches: rclip's weights cannot be had here, so each side is given the queries' vectors, and
all else that it does for a search is timed. Also: new process to first hit, indexing against encoding alone, bytes a
photo, a run over what has not changed, and recall through the library against brute force.
"""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from environments import make_environment, versions
from processes import HALVES, Half, run_command
from setting import HERE, Row, Setting, spread, summary

SIZES, QUICK_SIZES = (20_000, 100_000, 1_000_000), (1_000, 3_000)
KINDS = ("real", "random")
LARGE = 1_000_000  # rows: one kind and one round, since rclip takes seconds for each search
QUERIES, SEARCH_ROUNDS, COMMAND_ROUNDS, INDEX_ROUNDS = 20, 3, 5, 3
LATENCY_BARS = {100_000: 10.0, 1_000_000: 80.0}  # milliseconds
MOST_FOR_PQ = 100_000  # rows: beyond, LanceDB takes minutes to make that index
WORDS = "two dogs in snow"


def run(setting: Setting) -> dict[str, Any]:
    pythons = {"rclip": rclip_python(setting), "lancedb": lancedb_python(setting)}
    work = setting.work / "library"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    try:
        return {
            "versions": {name: versions(python, (name, "numpy")) for name, python in pythons.items()},
            "searches": {
                f"{kind} {size}": searches(setting, pythons, work, kind, size)
                for size in (QUICK_SIZES if setting.is_quick else SIZES)
                for kind in (KINDS if size < LARGE else KINDS[1:])
            },
            "cold": cold(setting, pythons, work),
            "unchanged": unchanged(setting, pythons, work),
            "indexing": {name: indexing(setting, work, name) for name in ("postcard", "ViT-B/32")},
            "retrieval": {
                f"{Path(path).name}, vectors kept as {dtype}": retrieval(setting, path, dtype)
                for path in setting.data
                for dtype in ("float16", "float32")
            },
        }
    finally:
        shutil.rmtree(work)


def rclip_python(setting: Setting) -> str:
    """An environment with rclip, whose last version wants Python 3.12 or 3.13; older ones do with an older rclip."""
    found = [shutil.which(name) for name in ("python3.13", "python3.12")]
    works = [path for path in found if path and not subprocess.run([path, "-V"], capture_output=True).returncode]
    python = works[0] if works else sys.executable
    return make_environment(setting.work / "rclip", HERE / "requirements-rclip.txt", python)


def lancedb_python(setting: Setting) -> str:
    return make_environment(setting.work / "lancedb", HERE / "requirements-lancedb.txt")


def make_vectors(setting: Setting, work: Path, kind: str, size: int) -> tuple[dict[str, str], list[list[int]]]:
    """Files of vectors and queries, and the true ten nearest of each query."""
    files = {"vectors": str(work / f"{kind}-{size}.npy"), "queries": str(work / f"{kind}-{size}-queries.npy")}
    photos = setting.photos("small", 40 if setting.is_quick else 400)
    with Half(setting.python, "library_vectors.py", *photos) as half:
        made = half.ask(kind=kind, count=size, file=files["vectors"], queries=QUERIES, queries_file=files["queries"])
    return files, made["nearest"]


def searches(setting: Setting, pythons: dict[str, str], work: Path, kind: str, size: int) -> dict[str, Any]:
    """Of each side: milliseconds of a search, share of the true ten nearest, peak memory, bytes a photo."""
    files, nearest = make_vectors(setting, work, kind, size)
    rounds = 1 if setting.is_quick or size >= LARGE else SEARCH_ROUNDS
    sides: dict[str, tuple[str, str, Path, list[dict[str, Any]]]] = {
        "diptych": (setting.python, "diptych_library.py", work / "library", [{}]),
        "rclip": (pythons["rclip"], "rclip_library.py", work / "rclip.db", [{}]),
        "lancedb": (pythons["lancedb"], "lancedb_library.py", work / "lance", lancedb_ways(size)),
    }
    measured: dict[str, Any] = {"matrix_megabytes": size * 512 * 4 / 1e6}
    for name, (python, script, library, ways) in sides.items():
        common = {"library": str(library), "photos": "/photos", **files}
        with Half(python, script) as half:
            filled = half.ask(do="fill", **common)
        for way in ways:
            built = None
            if kind_of_index := way.get("kind"):
                with Half(python, script) as half:
                    built = half.ask(do="index", kind=kind_of_index, **common)["seconds"]
            with Half(python, script) as half:  # a process of its own, for its memory
                found = half.ask(do="search", rounds=rounds, is_exact=not kind_of_index, **common)
            measured[" ".join(filter(None, (name, kind_of_index)))] = {
                "milliseconds": summary([1000 * seconds for seconds in found["seconds"]]),
                "recall": recall(found["found"], nearest),
                "megabytes": found["megabytes"],
                "megabytes_before": found["megabytes_before"],
                "fill_seconds": filled["seconds"],
                "build_seconds": built,
                "bytes": bytes_per_photo(library, size),
            }
        shutil.rmtree(library) if library.is_dir() else library.unlink()
    for file in files.values():
        Path(file).unlink()
    return measured


def lancedb_ways(size: int) -> list[dict[str, Any]]:
    """All rows, its default index, and the quickest to make of those that find nearly all."""
    return [{}, *([{"kind": "IVF_PQ"}] if size <= MOST_FOR_PQ else []), {"kind": "IVF_SQ"}]


def recall(found: list[list[int]], nearest: list[list[int]]) -> float:
    return sum(len({*one} & {*true}) for one, true in zip(found, nearest, strict=True)) / sum(map(len, nearest))


def bytes_per_photo(library: Path, count: int) -> dict[str, float]:
    """By what lies in it: of a folder each entry, else the file itself."""
    if library.is_file():
        return {library.name: library.stat().st_size / count}
    sizes = {}
    for entry in library.iterdir():
        files = [file for file in entry.rglob("*") if file.is_file()] if entry.is_dir() else [entry]
        sizes[entry.name] = sum(file.stat().st_size for file in files) / count
    return sizes


def cold(setting: Setting, pythons: dict[str, str], work: Path) -> dict[str, Any]:
    """New process to first hit among 10,000 photos, everything in the page cache. rclip's without its model."""
    size = 1_000 if setting.is_quick else 10_000
    files, _ = make_vectors(setting, work, "real", size)
    library, database = work / "cold", work / "cold.db"
    with Half(setting.python, "diptych_library.py") as half:
        half.ask(do="fill", library=str(library), photos="/photos", bundled=True, **files)
    with Half(pythons["rclip"], "rclip_library.py") as half:
        half.ask(do="fill", library=str(database), photos="/photos", **files)
    ours = Path(setting.python).with_name("diptych")
    commands = {
        "diptych": [ours, "search", WORDS, "--library", library, "--top", "1"],
        "rclip": [pythons["rclip"], HALVES / "rclip_once.py", "search", database, "/photos", files["queries"]],
    }
    return {"photos": size, **times_of(setting, commands)}


def times_of(setting: Setting, commands: dict[str, list[str | Path]]) -> dict[str, Any]:
    """Seconds and megabytes of commands by turns; the first time, which warms the caches, is not counted."""
    runs: dict[str, list[dict[str, Any]]] = {name: [] for name in commands}
    for _ in range(2 if setting.is_quick else COMMAND_ROUNDS + 1):
        for name, command in commands.items():
            runs[name].append(run_command(*command))
    return {
        name: {
            "seconds": summary([each["seconds"] for each in found[1:]]),
            "megabytes": summary([each["megabytes"] for each in found[1:]]),
        }
        for name, found in runs.items()
    }


def unchanged(setting: Setting, pythons: dict[str, str], work: Path) -> dict[str, Any]:
    """Both commands over 100,000 files that have not changed; rclip's without its model."""
    size = 2_000 if setting.is_quick else 100_000
    files, _ = make_vectors(setting, work, "random", size)
    photos, library, database = work / "photos", work / "unchanged", work / "unchanged.db"
    for number in range(size):
        path = photos / f"{number // 1000:04d}" / f"IMG_{number:07d}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    with Half(setting.python, "diptych_library.py") as half:
        half.ask(do="fill", library=str(library), photos=str(photos), files=True, bundled=True, **files)
    with Half(pythons["rclip"], "rclip_library.py") as half:
        half.ask(do="fill", library=str(database), photos=str(photos), files=True, **files)
    commands: dict[str, list[str | Path]] = {
        "diptych": [Path(setting.python).with_name("diptych"), "index", photos, "--library", library],
        "rclip": [pythons["rclip"], HALVES / "rclip_once.py", "index", database, photos, files["queries"]],
    }
    return {"photos": size, **times_of(setting, commands)}


def indexing(setting: Setting, work: Path, name: str) -> dict[str, Any]:
    """Photos a second of a library's index, and of the same encoder alone, by turns."""
    folder = work / f"to index {name.replace('/', '-')}"
    folder.mkdir()
    for path in map(Path, setting.photos("small", 40 if setting.is_quick else 1_000)):
        (folder / path.name).hardlink_to(path)
    rates: dict[str, list[float]] = {"encode": [], "index": []}
    model = name if name == "postcard" else setting.weights["diptych"]
    with Half(setting.python, "diptych_indexing.py", model) as half:
        half.ask(do="encode", photos=str(folder))
        for _ in range(1 if setting.is_quick else INDEX_ROUNDS):
            for way, found in rates.items():
                found.append(half.ask(do=way, photos=str(folder))["photos_per_second"])
    return {way: summary(found) for way, found in rates.items()}


def retrieval(setting: Setting, path: str, dtype: str) -> dict[str, Any]:
    with Half(setting.python, "diptych_retrieval.py") as half:
        return half.ask(pairs=path, most=50 if setting.is_quick else None, vectors=dtype)


def rows(result: dict[str, Any]) -> list[Row]:
    lines = []
    for name, found in result["searches"].items():
        lines += search_rows(name, found)
    lines += [memory_row(name, found) for name, found in result["searches"].items()]
    name, found = list(result["searches"].items())[-1]
    lines.append(bytes_row(found))
    lines += command_rows(result)
    for name, found in result["indexing"].items():
        ratio = found["index"]["median"] / found["encode"]["median"]
        what = f"index against encoding alone, {name}"
        said = f"{spread(found['index'], '/s')} of {spread(found['encode'], '/s')}"
        lines.append(Row(what=what, diptych=said, reached=f"{ratio:.0%}", aim=">= 90%", is_met=ratio >= 0.9))
    return lines + [retrieval_row(name, found) for name, found in result["retrieval"].items()]


def search_rows(name: str, found: dict[str, Any]) -> list[Row]:
    """A line for each peer and way."""
    kind, size = name.split()
    ours, lines = found["diptych"]["milliseconds"], []
    bar = LATENCY_BARS.get(int(size))
    for peer, other in found.items():
        if peer in ("diptych", "matrix_megabytes"):
            continue
        theirs = other["milliseconds"]
        is_first = peer == "rclip"
        lines.append(
            Row(
                what=f"search among {int(size):,} {kind} vectors, against {peer}",
                diptych=f"{spread(ours, ' ms')}, recall@10 {found['diptych']['recall']:.3f}",
                peer=f"{spread(theirs, ' ms')}, recall@10 {other['recall']:.3f}" + built(other),
                reached=f"{theirs['median'] / ours['median']:.1f} times",
                aim=f"<= {bar:g} ms" if bar and is_first else "",
                is_met=ours["median"] <= bar if bar and is_first else None,
            )
        )
    return lines


def built(found: dict[str, Any]) -> str:
    return f", index built in {found['build_seconds']:.1f} s" if found["build_seconds"] is not None else ""


def memory_row(name: str, found: dict[str, Any]) -> Row:
    kind, size = name.split()
    ratio = found["diptych"]["megabytes"] / found["matrix_megabytes"]
    is_large = int(size) == max(LATENCY_BARS)  # elsewhere Python itself is most of it
    others = [f"{peer} {other['megabytes']:.0f} MB" for peer, other in found.items() if peer in ("rclip", "lancedb")]
    return Row(
        what=f"peak memory of a search among {int(size):,} {kind} vectors of {found['matrix_megabytes']:.0f} MB",
        diptych=f"{found['diptych']['megabytes']:.0f} MB",
        peer=", ".join(others),
        reached=f"{ratio:.2f} of the matrix",
        aim="<= 1.2" if is_large else "",
        is_met=ratio <= 1.2 if is_large else None,
    )


def bytes_row(found: dict[str, Any]) -> Row:
    """Of the largest library measured."""
    ours = found["diptych"]["bytes"]
    database = sum(size for name, size in ours.items() if name.startswith("library.db"))
    others = {peer: sum(found[peer]["bytes"].values()) for peer in ("rclip", "lancedb", "lancedb IVF_SQ")}
    return Row(
        what="bytes a photo on disk, 512 numbers each",
        diptych=f"{database:,.0f} (database), {sum(ours.values()):,.0f} with what is derived",
        peer=", ".join(f"{peer} {size:,.0f}" for peer, size in others.items()),
        reached=f"{sum(ours.values()) / others['rclip']:.2f} of rclip's",
    )


def command_rows(result: dict[str, Any]) -> list[Row]:
    lines = []
    for name, what, bar in (
        ("cold", "new process to first hit among {} photos (rclip's without its model)", 1.0),
        ("unchanged", "index of {} unchanged files (rclip's without its model)", 5.0),
    ):
        found = result[name]
        said = {
            side: f"{spread_seconds(found[side]['seconds'])}, {found[side]['megabytes']['median']:.0f} MB"
            for side in ("diptych", "rclip")
        }
        seconds = found["diptych"]["seconds"]["median"]
        lines.append(
            Row(
                what=what.format(f"{found['photos']:,}"),
                diptych=said["diptych"],
                peer=said["rclip"],
                reached=f"{seconds:.2f} s",
                aim=f"<= {bar:g} s",
                is_met=seconds <= bar,
            )
        )
    return lines


def spread_seconds(found: dict[str, Any]) -> str:
    return f"{found['median']:.2f} s" + f" ({found['min']:.2f}..{found['max']:.2f})" * (len(found["all"]) > 1)


def retrieval_row(name: str, found: dict[str, Any]) -> Row:
    said = {side: ", ".join(f"{found[side][cut]:.2%}" for cut in found[side]) for side in ("library", "brute")}
    return Row(
        what=f"recall@1, 5, 10 of {found['captions']:,} captions among {found['photos']:,} photos of {name}, "
        "against brute force",
        diptych=said["library"],
        peer=said["brute"],
        reached=f"{found['same_orders']:.2%} of the lists of ten are the same",
        aim="equal",
        is_met=found["library"] == found["brute"],
    )
