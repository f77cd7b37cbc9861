"""What may befall a library: kills, full disks, clocks that go back, files and folders that change under its hands.

The real command indexes small pictures with a small model; what it leaves behind is looked at from outside.
"""

import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from io import BytesIO
from itertools import accumulate, pairwise
from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
from PIL import Image

import formats
import self_signalling
from diptych.checkpoints import load_checkpoint
from diptych.demo.photographs import find_photographs
from diptych.encode.torch_encoder import TorchEncoder
from diptych.library.database import connect
from diptych.library.library import PhotoLibrary
from diptych.library.schema import VERSION
from self_signalling import signal_when_filled

KILLS: Final = 20
POOL: Final = 1_400
FILES: Final = 1_100
KILLED_FILES: Final = 650
MOST_IN_A_COMMIT: Final = 500 + 8 - 1  # photos; a batch is 8, and the count is looked at after each
PATIENCE: Final = 120.0  # seconds: nothing here takes so long, whatever else the machine does
SMALLEST_STEP: Final = 2.0**-11  # of float16, for numbers below 1

# A process forked from one that has torch begins to work at once, so that kills fall into the work.
FORKED: Final = multiprocessing.get_context("forkserver")
FORKED.set_forkserver_preload(["diptych.cli.app", "diptych.encode.torch_encoder", "diptych.library.library"])


def command(arguments: list[str], said: str, library: str, stops_at: str | None) -> None:
    """The real command, in a process of its own; what it prints goes to a file.

    It stops by SIGSTOP as soon as the table `stops_at` has rows.
    """
    from diptych.cli import main

    if stops_at is not None:
        signal_when_filled(library, stops_at, signal.SIGSTOP)
    descriptor = os.open(said, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    for stream in (1, 2):
        os.dup2(descriptor, stream)
    sys.argv = ["diptych", *arguments]
    main()


@dataclass(frozen=True)
class Place:
    """A folder of photos, a library to be, and the model that reads one into the other."""

    photos: Path
    library: Path
    model: Path

    @property
    def index(self) -> list[str]:
        names = {"--library": self.library, "--model": self.model, "--dtype": "float32"}
        return ["index", str(self.photos), *(str(each) for pair in names.items() for each in pair)]

    @property
    def said(self) -> Path:
        return self.library.with_suffix(".said")

    def start(self, *, stops_at: str | None = None) -> Any:  # noqa: ANN401 (a process of the context)
        process = FORKED.Process(target=command, args=(self.index, str(self.said), str(self.library), stops_at))
        process.start()
        return process

    def start_and_stop(self, table: str) -> Any:  # noqa: ANN401
        """A run that stands still since the table has rows."""
        process = self.start(stops_at=table)
        self.wait_for(lambda: state_of(process.pid) == "T")
        return process

    def run(self) -> None:
        """A run that is let be, and ends well."""
        process = self.start()
        process.join(PATIENCE)
        assert process.exitcode == 0, self.said.read_text()

    def query(self, sql: str) -> list[Any]:
        """Rows of the database, by another reader than Diptych's; none before there are tables."""
        path = self.library / "library.db"
        with suppress(sqlite3.OperationalError), closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as reader:
            return reader.execute(sql).fetchall()
        return []

    def count(self) -> int:
        return sum(row[0] for row in self.query("SELECT count(*) FROM vectors_1"))

    def wait_for(self, is_so: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not is_so():
            assert time.monotonic() < end, self.said.read_text()
            time.sleep(0.005)


def state_of(process_id: int) -> str:
    """The letter that says what a process does: T of one that was stopped."""
    return Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[0]


def diptych(*arguments: object) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, "-m", "diptych", *map(str, arguments)], capture_output=True, text=True, timeout=PATIENCE
    )
    assert "Traceback" not in done.stderr, done.stderr
    return done


def hash_of(content: bytes) -> bytes:
    return hashlib.sha256(content).digest()[:16]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return formats.write_open_clip("vit", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="module")
def encoder(model: Path) -> TorchEncoder:
    return TorchEncoder(load_checkpoint(model), device="cpu", dtype="float32", preprocess="fast")


@pytest.fixture(scope="module")
def pool() -> list[bytes]:
    """Different small JPEG files, pieces of photographs."""
    dice = random.Random(4)
    sources = [Image.open(path).convert("RGB").resize((320, 240)) for path in find_photographs()]
    contents = []
    for number in range(POOL):
        left, top = dice.randrange(320 - 64), dice.randrange(240 - 48)
        file = BytesIO()
        sources[number % len(sources)].crop((left, top, left + 64, top + 48)).save(file, "JPEG")
        contents.append(file.getvalue() + b"\0" * (number % 7))
    return list(dict.fromkeys(contents))


@pytest.fixture(scope="module")
def vectors(pool: list[bytes], encoder: TorchEncoder) -> dict[bytes, np.ndarray[Any, Any]]:
    """What each of them encodes to, by its hash: freshly, in one go."""
    return {hash_of(content): row for content, row in zip(pool, encoder.encode_images(pool), strict=True)}


@pytest.fixture
def place(tmp_path: Path, model: Path) -> Iterator[Place]:
    (tmp_path / "photos").mkdir()
    yield Place(tmp_path / "photos", tmp_path / "library", model)
    for process in multiprocessing.active_children():  # a test that fails may leave one that stands still
        process.kill()
        process.join()


def fill(folder: Path, contents: list[bytes]) -> None:
    for number, content in enumerate(contents):
        path = folder / f"{number % 5}" / f"{number:04d}.jpg"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(content)


def assert_is_whole(place: Place, vectors: dict[bytes, np.ndarray[Any, Any]], told: object = "") -> None:
    """Each committed photo stands there once, with one vector, and that is what its bytes encode to."""
    with PhotoLibrary.open(place.library) as library:
        report = library.check()
    assert report.faults == (), told
    rows = place.query("SELECT photos.id, hash, vector FROM photos LEFT JOIN vectors_1 ON photo_id = photos.id")
    assert report.photos == report.vectors == len(rows) == len({row[0] for row in rows}), told
    for _, content, vector in rows:
        np.testing.assert_allclose(
            np.frombuffer(vector, "<f2"), vectors[content], rtol=0, atol=SMALLEST_STEP, err_msg=str(told)
        )


def assert_is_complete(place: Place) -> None:
    """The library says of every file what the file is now."""
    held = dict(place.query("SELECT path, hash FROM photos"))
    files = {path for path in place.photos.rglob("*") if path.is_file()}
    assert held == {str(path.relative_to(place.photos)): hash_of(path.read_bytes()) for path in files}


def shuffle(place: Place, pool: list[bytes], dice: random.Random) -> None:
    """Half of the files get another content, some another name, some go, and some come back."""
    files = sorted(path for path in place.photos.rglob("*.jpg"))
    for path in dice.sample(files, len(files) // 2):
        path.unlink()
        path.write_bytes(dice.choice(pool))
    for path in dice.sample(files, 40):
        path.rename(path.with_name(f"moved {dice.randrange(10**9)}.jpg"))
    for path in dice.sample(sorted(place.photos.rglob("*.jpg")), 40):
        path.unlink()
    for _ in range(40):
        (place.photos / "0" / f"new {dice.randrange(10**9)}.jpg").write_bytes(dice.choice(pool))


def test_kills_at_twenty_moments_cost_no_photo_and_leave_no_wrong_vector(
    place: Place, pool: list[bytes], vectors: dict[bytes, np.ndarray[Any, Any]]
) -> None:
    dice = random.Random(20)
    killed_after: list[float] = []
    fill(place.photos, pool[:KILLED_FILES])
    trial = Place(place.photos, place.library.with_name("trial"), place.model)
    trial.run()
    shuffle(place, pool, dice)
    started = time.monotonic()
    trial.run()
    whole_run = time.monotonic() - started
    while len(killed_after) < KILLS:
        shuffle(place, pool, dice)
        process = place.start()
        moment = dice.uniform(0, whole_run)
        process.join(moment)
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL), place.said.read_text()
        killed_after += [round(moment, 3)] if process.exitcode else []
        if (place.library / "library.db").exists():
            assert_is_whole(place, vectors, killed_after)
    place.run()
    assert diptych("library", "check", "--library", place.library).returncode == 0
    assert_is_whole(place, vectors)
    assert_is_complete(place)


def commits(place: Place) -> list[int]:
    """How many photos were committed at once: between two commits there is more than 50 ms of encoding."""
    times = [row[0] for row in place.query("SELECT indexed_at FROM photos ORDER BY id")]
    ends = [number for number, (one, next) in enumerate(pairwise(times), start=1) if next - one > 0.05]
    return [end - start for start, end in pairwise([0, *ends, len(times)])]


def test_a_commit_holds_five_hundred_photos_or_five_seconds(place: Place, pool: list[bytes]) -> None:
    """So a kill loses no more than that. A process that stood still for five seconds commits as soon as it goes on."""
    fill(place.photos, pool)
    process = place.start_and_stop("vectors_1")
    before = place.count()
    time.sleep(5)
    os.kill(process.pid, signal.SIGCONT)
    process.join(PATIENCE)
    sizes = commits(place)
    assert (process.exitcode, sum(sizes)) == (0, len(pool))
    assert max(sizes) <= MOST_IN_A_COMMIT
    assert before in accumulate(sizes)
    assert len(sizes) > -(-len(pool) // 500)  # one more than without the stop


def test_ctrl_c_keeps_what_was_encoded(
    place: Place, pool: list[bytes], vectors: dict[bytes, np.ndarray[Any, Any]]
) -> None:
    fill(place.photos, pool)
    arguments = [self_signalling.__file__, str(place.library), "vectors_1", "SIGINT", *place.index]
    done = subprocess.run([sys.executable, *arguments], stderr=subprocess.PIPE, text=True, timeout=PATIENCE)
    assert done.returncode == 130
    kept, interrupted = done.stderr.splitlines()
    assert kept == "diptych: what was encoded is kept; the same command goes on."
    assert interrupted == "diptych: interrupted."
    assert len(commits(place)) > 1  # the first, and what was encoded since
    assert place.count() < POOL
    assert_is_whole(place, vectors)
    place.run()
    assert_is_complete(place)


def test_the_second_of_two_indexers_is_told_who_is_the_first(place: Place, pool: list[bytes]) -> None:
    fill(place.photos, pool[:FILES])
    first = place.start_and_stop("roots")
    second = diptych(*place.index)
    os.kill(first.pid, signal.SIGCONT)
    first.join(PATIENCE)
    assert (second.returncode, second.stderr.count("\n")) == (1, 1)
    assert f"is being indexed by process {first.pid} since " in second.stderr
    assert (first.exitcode, place.count()) == (0, FILES)


def test_readers_are_never_blocked_while_somebody_indexes(
    place: Place, pool: list[bytes], vectors: dict[bytes, np.ndarray[Any, Any]], encoder: TorchEncoder
) -> None:
    def found() -> int:
        started = time.monotonic()
        with PhotoLibrary.open(place.library, encoder=encoder) as library:
            hits = library.search("a cat", top=POOL)
        waits.append(time.monotonic() - started)
        return len(hits)

    waits: list[float] = []
    fill(place.photos, pool)
    process = place.start_and_stop("vectors_1")
    held = [found() for _ in range(3)]  # whoever waited for the other would wait for ever
    assert min(held) == max(held) == place.count() > 0
    os.kill(process.pid, signal.SIGCONT)
    while process.is_alive():
        held.append(found())
    assert held == sorted(held)
    found()
    assert max(waits) < 5 + 20 * waits[-1]  # the last was alone
    assert (process.exitcode, place.count()) == (0, len(pool))


def test_no_vector_is_of_other_bytes_than_its_hash_while_files_change(
    place: Place, pool: list[bytes], vectors: dict[bytes, np.ndarray[Any, Any]]
) -> None:
    """A writer cuts files off, fills them and puts others in their place while they are read."""
    fill(place.photos, pool[:FILES])
    process = place.start()
    dice, files = random.Random(7), sorted(place.photos.rglob("*.jpg"))
    while process.is_alive():
        content, path = dice.choice(pool), dice.choice(files)
        if dice.random() < 0.5:
            beside = path.with_suffix(".part")
            beside.write_bytes(content)
            beside.replace(path)
        else:
            with path.open("wb", buffering=0) as file:
                file.write(content[:600])
                time.sleep(0.0005)
                file.write(content[600:])
    assert process.exitcode == 0, place.said.read_text()
    assert_is_whole(place, vectors)
    time.sleep(0.02)  # the file system's clock has ticked since the last change
    place.run()
    assert_is_whole(place, vectors)
    assert_is_complete(place)
    assert place.query("SELECT * FROM failures") == []


def test_files_that_go_and_folders_that_are_renamed_during_a_run_are_right_after_the_next(
    place: Place, pool: list[bytes], vectors: dict[bytes, np.ndarray[Any, Any]]
) -> None:
    fill(place.photos, pool[:FILES])
    process = place.start()
    place.wait_for(lambda: place.count() > 0)
    (place.photos / "4").rename(place.photos / "renamed")
    shutil.rmtree(place.photos / "3")
    process.join(PATIENCE)
    assert process.exitcode == 0, place.said.read_text()
    assert_is_whole(place, vectors)
    place.run()
    assert_is_whole(place, vectors)
    assert_is_complete(place)
    assert place.query("SELECT * FROM failures") == []


def test_a_disk_unplugged_during_a_run_is_gone_on_with_when_it_is_back(
    place: Place, pool: list[bytes], vectors: dict[bytes, np.ndarray[Any, Any]]
) -> None:
    fill(place.photos, pool[:FILES])
    process = place.start()
    place.wait_for(lambda: place.count() > 0)
    away = place.photos.rename(place.photos.with_name("away"))
    process.join(PATIENCE)
    held = place.count()
    place.run()
    assert "is not there, or empty: what is known of it stays." in place.said.read_text()
    assert place.count() == held > 0
    away.rename(place.photos)
    place.run()
    assert_is_whole(place, vectors)
    assert_is_complete(place)


def small_disk(place: Place, script: str) -> list[str]:
    """A file system of 600 KB in memory, seen by this command and its children alone, where the library lies."""
    disk = f"'{place.library.parent}'"
    mount, grow = f"mount -t tmpfs -o size=600k tmpfs {disk}", f"mount -o remount,size=99m {disk}"
    return ["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", f"{mount} && {script.replace('GROW', grow)}"]


def small_files(place: Place, script: str) -> list[str]:
    """No file may be larger than 450 KB, as file systems have a limit of theirs."""
    grow = "prlimit --fsize=unlimited --pid $$"
    return ["prlimit", "--fsize=450000:unlimited", "sh", "-c", script.replace("GROW", grow)]


def can_mount() -> bool:
    """Containers may forbid it, and then the limit of a file's size must do."""
    try:
        mount = ["unshare", "--user", "--map-root-user", "--mount", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        return subprocess.run(mount, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


@pytest.mark.parametrize("limited", [small_files, *([small_disk] if can_mount() else [])])
def test_a_full_disk_is_said_and_gone_on_from_when_there_is_room(
    limited: Callable[[Place, str], list[str]],
    tmp_path: Path,
    model: Path,
    pool: list[bytes],
    vectors: dict[bytes, np.ndarray[Any, Any]],
) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "disk").mkdir()
    fill(tmp_path / "photos", pool)
    on_disk = Place(tmp_path / "photos", tmp_path / "disk" / "library", model)
    index = " ".join(f"'{each}'" for each in [sys.executable, "-m", "diptych", *on_disk.index])
    script = (
        f"{index} 2>'{tmp_path}/first.said'; echo $? >'{tmp_path}/first.status'; "
        f"cp -r '{on_disk.library}' '{tmp_path}/first'; GROW; "
        f"{index} 2>'{tmp_path}/second.said'; echo $? >'{tmp_path}/second.status'; "
        f"cp -r '{on_disk.library}' '{tmp_path}/second'"
    )
    subprocess.run(limited(on_disk, script), check=True, timeout=PATIENCE, stdout=subprocess.DEVNULL)
    said = (tmp_path / "first.said").read_text()
    assert ((tmp_path / "first.status").read_text(), said.count("\n")) == ("1\n", 1), said
    assert limited is small_files or "full" in said
    first, second = (Place(tmp_path / "photos", tmp_path / name, model) for name in ("first", "second"))
    assert_is_whole(first, vectors)
    assert (tmp_path / "second.status").read_text() == "0\n", (tmp_path / "second.said").read_text()
    assert 0 < first.count() < second.count() == len(pool)
    assert_is_whole(second, vectors)


def test_times_of_files_may_lie_anywhere_and_go_back(
    place: Place, pool: list[bytes], vectors: dict[bytes, np.ndarray[Any, Any]]
) -> None:
    size = max(map(len, pool))
    first, other = (content.ljust(size, b"\0") for content in pool[:2])
    years = {"1902": -2_145_916_800, "1970": 0, "2100": 4_102_444_800}
    for name, seconds in years.items():
        (place.photos / f"{name}.jpg").write_bytes(first + name.encode())
        os.utime(place.photos / f"{name}.jpg", (seconds, seconds))
    place.run()
    assert_is_complete(place)
    opened = place.query("SELECT indexed_at FROM photos ORDER BY id")
    place.run()
    assert place.query("SELECT indexed_at FROM photos ORDER BY id") == opened
    for name, seconds in years.items():  # as large as before, and older
        (place.photos / f"{name}.jpg").write_bytes(other + name.encode())
        os.utime(place.photos / f"{name}.jpg", (seconds - 1, seconds - 1))
    place.run()
    assert_is_complete(place)


def test_a_library_written_by_a_later_clock_is_gone_on_with(
    place: Place, pool: list[bytes], vectors: dict[bytes, np.ndarray[Any, Any]], encoder: TorchEncoder
) -> None:
    """As after the machine's clock was set back by ten years."""
    fill(place.photos, pool[:20])
    place.run()
    later = time.time() + 10 * 365 * 86_400
    with closing(sqlite3.connect(place.library / "library.db")) as database:
        for column in ("photos.indexed_at", "roots.scanned_at", "models.added_at", "jobs.started_at", "jobs.ended_at"):
            table, name = column.split(".")
            database.execute(f"UPDATE {table} SET {name} = ?", (later,))
        database.commit()
    (place.library / "indexing.lock").write_text(json.dumps({"process": 1, "since": later}))
    for path in place.library.rglob("*"):
        os.utime(path, (later, later))
    files = sorted(place.photos.rglob("*.jpg"))
    files[0].unlink()
    files[1].write_bytes(pool[21])
    files[2].rename(place.photos / "moved.jpg")
    place.run()
    assert_is_whole(place, vectors)
    assert_is_complete(place)
    with PhotoLibrary.open(place.library, encoder=encoder) as library:
        assert len(library.search("a cat", top=100)) == 19


def test_ten_thousand_unchanged_files_take_a_tenth_of_five_seconds(
    place: Place, pool: list[bytes], encoder: TorchEncoder
) -> None:
    fill(place.photos, pool[:1])
    place.run()
    names = [f"{number:05d}.jpg" for number in range(10_000)]
    for name in names:
        (place.photos / name).touch()
    with closing(sqlite3.connect(place.library / "library.db")) as database:
        database.executemany(
            "INSERT INTO photos (root_id, path, size, mtime_ns, hash, width, height, format, indexed_at) "
            "VALUES (1, ?, 0, ?, zeroblob(16), 64, 48, 'JPEG', 0)",
            [(name, (place.photos / name).stat().st_mtime_ns) for name in names],
        )
        database.execute(
            "INSERT INTO vectors_1 (photo_id, vector) "
            "SELECT photos.id, vector FROM photos, vectors_1 WHERE photos.id > 1"
        )
        database.commit()
    with PhotoLibrary.open(place.library, encoder=encoder) as library:
        library.index(place.photos)  # which writes the matrix
        seconds, of_looking = [], []
        for _ in range(3):  # the garbage collector may walk all that the tests before this one left, in one of them
            times = [time.process_time()]
            report = library.index(place.photos)
            times.append(time.process_time())
            assert sum((place.photos / name).stat().st_size for name in names) == 0
            times.append(time.process_time())
            seconds.append(times[1] - times[0])
            of_looking.append(times[2] - times[1])
            assert (report.unchanged, report.total) == (10_001, 0)
    # A slow processor is held to what a look at each of them takes there.
    assert min(seconds) < max(0.5, 5 * min(of_looking))


# Libraries of version 1, as they were written.
FIRST_SCHEMA: Final = """
CREATE TABLE roots (id INTEGER PRIMARY KEY, path NOT NULL UNIQUE, scanned_at REAL);
CREATE TABLE photos (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    root_id INTEGER NOT NULL REFERENCES roots (id) ON DELETE CASCADE,
    path NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    hash BLOB NOT NULL,
    width INTEGER NOT NULL,
    height INTEGER NOT NULL,
    format TEXT NOT NULL,
    taken_at TEXT,
    taken_zone TEXT,
    camera TEXT,
    latitude REAL,
    longitude REAL,
    indexed_at REAL NOT NULL,
    UNIQUE (root_id, path)
);
CREATE INDEX photos_by_hash ON photos (hash);
CREATE INDEX photos_by_time ON photos (taken_at);
CREATE TABLE models (
    id INTEGER PRIMARY KEY,
    fingerprint TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    width INTEGER NOT NULL,
    dtype TEXT NOT NULL CHECK (dtype IN ('float16', 'float32')),
    revision INTEGER NOT NULL DEFAULT 0,
    added_at REAL NOT NULL
);
CREATE TABLE failures (
    root_id INTEGER NOT NULL REFERENCES roots (id) ON DELETE CASCADE,
    path NOT NULL,
    size INTEGER NOT NULL,
    mtime_ns INTEGER NOT NULL,
    reason TEXT NOT NULL,
    failed_at REAL NOT NULL,
    PRIMARY KEY (root_id, path)
);
CREATE TABLE vectors_1 (
    id INTEGER PRIMARY KEY AUTOINCREMENT,
    photo_id INTEGER NOT NULL REFERENCES photos (id) ON DELETE CASCADE,
    vector BLOB NOT NULL
);
CREATE INDEX vectors_1_by_photo ON vectors_1 (photo_id);
PRAGMA application_id = 1145655380;
PRAGMA user_version = 1;
"""


@pytest.fixture
def first_version(place: Place, pool: list[bytes], encoder: TorchEncoder) -> Place:
    """A library as version 1 left it, of 20 photos and a file that could not be read."""
    fill(place.photos, pool[:20])
    place.library.mkdir()
    with closing(sqlite3.connect(place.library / "library.db")) as database:
        database.executescript("PRAGMA journal_mode = WAL;" + FIRST_SCHEMA)
        database.execute("INSERT INTO roots VALUES (1, ?, 1.7e9)", (str(place.photos),))
        database.execute("INSERT INTO failures VALUES (1, 'words.jpg', 5, 1, 'not an image', 1.7e9)")
        model = (encoder.fingerprint, str(place.model), encoder.embed_dim)
        database.execute("INSERT INTO models VALUES (1, ?, ?, ?, 'float16', 20, 1.7e9)", model)
        for number, path in enumerate(sorted(place.photos.rglob("*.jpg")), start=1):
            found, content = path.stat(), path.read_bytes()
            row = (number, str(path.relative_to(place.photos)), found.st_size, found.st_mtime_ns, hash_of(content))
            database.execute(
                "INSERT INTO photos (id, root_id, path, size, mtime_ns, hash, width, height, format, indexed_at) "
                "VALUES (?, 1, ?, ?, ?, ?, 64, 48, 'JPEG', 1.7e9)",
                row,
            )
            vector = encoder.encode_images([content])[0].astype("<f2").tobytes()
            database.execute("INSERT INTO vectors_1 (photo_id, vector) VALUES (?, ?)", (number, vector))
        database.commit()
    return place


def test_a_library_of_the_first_version_is_brought_up_to_date_with_all_that_it_holds(
    first_version: Place, pool: list[bytes], vectors: dict[bytes, np.ndarray[Any, Any]], encoder: TorchEncoder
) -> None:
    place = first_version
    with PhotoLibrary.open(place.library, encoder=encoder) as library:
        assert place.query("PRAGMA user_version") == [(VERSION,)]
        assert [failure.source.path.name for failure in library.failures()] == ["words.jpg"]
        hits = library.search("a cat", top=100)
    assert len({hit.path for hit in hits}) == 20
    assert_is_whole(place, vectors)
    place.run()
    assert "20 unchanged" in place.said.read_text()
    (place.photos / "new.jpg").write_bytes(pool[30])
    place.run()
    assert_is_whole(place, vectors)
    assert_is_complete(place)


def open_library(folder: str) -> None:
    connect(Path(folder)).close()


def schema(library: Path) -> Iterator[str]:
    with closing(sqlite3.connect(library / "library.db")) as database:
        yield str(database.execute("PRAGMA user_version").fetchone()[0])
        yield from (row[0] for row in database.execute("SELECT sql FROM sqlite_master WHERE sql NOTNULL ORDER BY sql"))


def test_a_kill_while_a_library_is_brought_up_to_date_leaves_the_old_one_or_the_new(
    first_version: Place, tmp_path: Path
) -> None:
    dice, old = random.Random(11), list(schema(first_version.library))
    shutil.copytree(first_version.library, tmp_path / "new")
    started = time.monotonic()
    process = FORKED.Process(target=open_library, args=(str(tmp_path / "new"),))
    process.start()
    process.join()
    whole, new = time.monotonic() - started, list(schema(tmp_path / "new"))
    for number in range(KILLS):
        copy = shutil.copytree(first_version.library, tmp_path / f"copy {number}")
        process = FORKED.Process(target=open_library, args=(str(copy),))
        process.start()
        process.join(dice.uniform(0.3 * whole, whole))
        process.kill()
        process.join()
        assert list(schema(copy)) in (old, new)
        open_library(str(copy))
        assert list(schema(copy)) == new


def test_a_library_of_a_later_version_is_left_alone(first_version: Place) -> None:
    with closing(sqlite3.connect(first_version.library / "library.db")) as database:
        database.execute(f"PRAGMA user_version = {VERSION + 1}")
    before = list(schema(first_version.library))
    for arguments in (["search", "dog", "--library", first_version.library], first_version.index):
        done = diptych(*arguments)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert f"tables of version {VERSION + 1}, this one knows {VERSION}): upgrade Diptych." in done.stderr
    assert list(schema(first_version.library)) == before


def test_one_unplugged_disk_does_not_keep_another_from_being_indexed(place: Place, pool: list[bytes]) -> None:
    fill(place.photos, pool[:20])
    place.run()
    other = place.photos.with_name("other")
    other.mkdir()
    (other / "new.jpg").write_bytes(pool[30])
    place.photos.rename(place.photos.with_name("away"))
    done = diptych(*place.index, other)
    assert (done.returncode, done.stdout) == (0, "1 new\n")
    assert done.stderr.startswith(f"diptych: {place.photos} is not there, or empty: what is known of it stays. Moved?")
    assert place.count() == 21
