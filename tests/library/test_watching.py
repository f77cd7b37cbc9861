"""Folders that change while they are watched."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from diptych.library.catalogue_root import CatalogueRoot
from diptych.library.library import PhotoLibrary


def picture(path: Path, colour: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_suffix(".part")  # moved in whole: a half-written picture would be a failure for a moment
    Image.new("RGB", (64, 64), colour).save(beside, "PNG")
    beside.rename(path)


def names(library: Path) -> set[str]:
    with PhotoLibrary.open(library) as opened:
        return {Path(photo["path"]).name for photo in opened.photos()}


def failed(library: Path) -> list[str]:
    with PhotoLibrary.open(library) as opened:
        return [failure.source for failure in opened.failures()]


def wait_for(library: Path, expected: set[str], process: subprocess.Popen[str]) -> None:
    wait_until(lambda: (library / "library.db").exists() and names(library) == expected, process)


def wait_until(is_so: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + 120
    while not is_so():
        assert process.poll() is None, process.communicate()[1]
        if time.monotonic() > deadline:
            process.kill()  # or its end would be waited for
            raise AssertionError(process.communicate())
        time.sleep(0.1)


def test_what_changes_is_indexed_until_it_is_stopped(tmp_path: Path) -> None:
    photos, library = tmp_path / "photos", tmp_path / "photos" / "library"  # within: its own files are no changes
    picture(photos / "red.png", "red")
    command = [sys.executable, "-m", "diptych", "watch", str(photos), "--library", str(library)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    said = tmp_path / "said"
    with (
        said.open("w") as output,
        subprocess.Popen(command, stdout=output, stderr=subprocess.PIPE, text=True, env=environment) as process,
    ):
        wait_for(library, {"red.png"}, process)
        picture(photos / "new" / "green.png", "green")
        wait_for(library, {"red.png", "green.png"}, process)
        (photos / "red.png").rename(photos / "new" / "scarlet.png")
        wait_for(library, {"scarlet.png", "green.png"}, process)
        (photos / "new" / "green.png").unlink()
        wait_for(library, {"scarlet.png"}, process)
        wait_until(lambda: said.read_text().count("\n") == 4, process)
        time.sleep(2)  # what it wrote itself would come back by now
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert [line.split("  ", 1)[1] for line in said.read_text().splitlines()] == [
        "1 new",
        "1 new, 1 unchanged",
        "1 moved, 1 unchanged",
        "1 gone, 1 unchanged",
    ]
    assert errors.splitlines()[0] == f"diptych: watching {photos} (Ctrl-C ends it)"
    assert "Traceback" not in errors


def test_what_cannot_be_read_is_counted_and_named_while_watching(tmp_path: Path) -> None:
    photos, library = tmp_path / "photos", tmp_path / "library"
    picture(photos / "red.png", "red")
    command = [sys.executable, "-m", "diptych", "watch", str(photos), "--library", str(library)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_for(library, {"red.png"}, process)
        (tmp_path / "words.part").write_text("words")
        (tmp_path / "words.part").rename(photos / "words.jpg")
        wait_until(lambda: failed(library) != [], process)
        picture(photos / "blue.png", "blue")
        wait_for(library, {"red.png", "blue.png"}, process)
        process.send_signal(signal.SIGINT)
        output, errors = process.communicate(timeout=60)
    lines = [line.split("  ", 1)[1] for line in output.splitlines()]
    assert lines[:2] == ["1 new", "1 unchanged, 1 not readable"]
    assert errors.splitlines()[1:3] == [
        f"diptych: {photos / 'words.jpg'}: not an image: it begins with b'words'",
        "diptych: 1 file could not be read: diptych library failures.",
    ]
    assert errors.count("words.jpg") == 1  # once, not at each change


def test_a_watched_library_waits_for_who_has_it(tmp_path: Path) -> None:
    picture(tmp_path / "photos" / "red.png", "red")
    library = tmp_path / "library"
    with PhotoLibrary.open(library, create_missing=True) as opened:
        run = opened.iter_index(tmp_path / "photos")
        next(run)  # it holds the library now
        command = [sys.executable, "-m", "diptych", "watch", str(tmp_path / "photos"), "--library", str(library)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            time.sleep(5)
            assert process.poll() is None
            picture(tmp_path / "photos" / "blue.png", "blue")
            list(run)
            wait_for(library, {"red.png", "blue.png"}, process)
            process.send_signal(signal.SIGINT)
            process.communicate(timeout=60)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "is not there: plug its disk in, or give a folder that is."),
        ([], "The library knows no folder yet: name one, diptych watch FOLDER."),
    ],
)
def test_nothing_to_watch_is_said(arguments: list[str], message: str, tmp_path: Path) -> None:
    places = [str(tmp_path / each) for each in arguments]
    command = [sys.executable, "-m", "diptych", "watch", *places, "--library", str(tmp_path / "library")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode != 0
    assert done.stderr.splitlines()[-1].endswith(message)


def indexed_catalogue(folder: Path) -> tuple[Path, Path]:
    """A table of one picture, and a library of it."""
    table, library = folder / "products.csv", folder / "library"
    picture(folder / "red.png", "red")
    table.write_text("image,title\nred.png,a red one\n")
    with PhotoLibrary.open(library, create_missing=True) as opened:
        opened.index(CatalogueRoot(path=table, image_column="image", text_column="title"))
    return table, library


def test_words_alone_that_change_in_a_catalogue_are_a_line(tmp_path: Path) -> None:
    table, library = indexed_catalogue(tmp_path)
    command = [sys.executable, "-m", "diptych", "watch", "--library", str(library)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        process.stderr.readline()
        time.sleep(1)
        with table.open("r+b", buffering=0) as file:  # at once: half a table would be another change
            file.write(b"image,title\nred.png,a scarlet one\n")
        assert process.stdout is not None
        line = process.stdout.readline()
        assert text(library) == "a scarlet one"
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    assert line.split("  ", 1)[1] == "1 described anew, 1 unchanged\n"


def test_a_catalogue_that_is_replaced_again_and_again_is_seen_each_time(tmp_path: Path) -> None:
    table, library = indexed_catalogue(tmp_path)
    table.write_text("image,title\nred.png,a ruby one\n")
    command = [sys.executable, "-m", "diptych", "watch", "--library", str(library)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        wait_until(lambda: text(library) == "a ruby one", process)
        for title in ("a scarlet one", "a crimson one"):
            beside = tmp_path / "products.part"  # as most programs save
            beside.write_text(f"image,title\nred.png,{title}\n")
            beside.rename(table)
            wait_until(lambda title=title: text(library) == title, process)  # type: ignore[misc]
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)


def text(library: Path) -> str:
    with PhotoLibrary.open(library) as opened:
        [photo] = opened.photos()
    return str(photo["text"])
