"""RAW photos and videos in a library, beside pictures: through indexing, search and what comes after."""

import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from PIL import Image
from test_raw import camera_jpeg, write_dng

from diptych.checkpoints import load_checkpoint
from diptych.demo.photographs import find_photographs
from diptych.encode.torch_encoder import TorchEncoder
from diptych.library.library import PhotoLibrary

SECONDS_EACH = 10
Pictures = dict[str, np.ndarray[Any, np.dtype[np.uint8]]]


@pytest.fixture(scope="module")
def encoder() -> TorchEncoder:
    return TorchEncoder(load_checkpoint(None), device="cpu", dtype="float32", preprocess="fast")


@pytest.fixture(scope="module")
def photographs() -> Pictures:
    """Some that look nothing like one another, 192 x 128 pixels."""
    found = {path.stem: path for path in find_photographs()}
    pictures = {}
    for name in ("chelsea", "coffee", "rocket"):
        with Image.open(found[name]) as photograph:
            pictures[name] = np.asarray(photograph.convert("RGB").resize((192, 128)))
    return pictures


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, photographs: Pictures) -> Path:
    """A RAW photo, a picture, and a video of 30 s that shows a cat, a cup and a rocket, 10 s each."""
    folder = tmp_path_factory.mktemp("work") / "media"
    folder.mkdir()
    with av.open(str(folder / "film.mp4"), "w") as container:
        stream = container.add_stream("libx264", rate=2)
        stream.width, stream.height = 192, 128
        for picture in photographs.values():
            for _ in range(2 * SECONDS_EACH):
                container.mux(stream.encode(av.VideoFrame.from_ndarray(picture)))
        container.mux(stream.encode())
    (folder / "photo.dng").write_bytes(write_dng(jpeg=camera_jpeg()))
    Image.fromarray(photographs["coffee"]).save(folder / "coffee.png")
    return folder


@pytest.fixture
def library(folder: Path, encoder: TorchEncoder, tmp_path: Path) -> PhotoLibrary:
    library = PhotoLibrary.open(tmp_path / "library", create_missing=True, encoder=encoder)
    report = library.index(folder)
    assert (report.encoded, report.failed) == (3, 0), library.failures()
    return library


def test_a_moment_of_a_video_is_found(
    library: PhotoLibrary, folder: Path, photographs: Pictures, tmp_path: Path
) -> None:
    for number, (name, picture) in enumerate(photographs.items()):
        Image.fromarray(picture).save(tmp_path / f"{name}.png")
        hits = library.search(f"img:{tmp_path / name}.png", top=5)
        assert len({hit.id for hit in hits}) == len(hits) == 3
        film = next(hit for hit in hits if hit.path.name == "film.mp4")
        assert film.second is not None
        assert number * SECONDS_EACH <= film.second < (number + 1) * SECONDS_EACH
        assert film.score > 0.9
    assert next(hit.second for hit in hits if hit.path.name == "coffee.png") is None


def test_what_a_library_says_of_them(library: PhotoLibrary) -> None:
    listed = {Path(photo["path"]).name: photo for photo in library.photos()}
    assert {name: photo["format"] for name, photo in listed.items()} == {
        "film.mp4": "MP4",
        "photo.dng": "DNG",
        "coffee.png": "PNG",
    }
    assert listed["film.mp4"]["seconds"] == pytest.approx(30, abs=0.5)
    assert listed["photo.dng"]["seconds"] is None
    assert library.check().faults == ()
    assert library.check().vectors == 5
    assert library.duplicates(threshold=0.9) == []  # a film that shows the cup is no copy of the cup


def test_a_film_is_like_what_it_shows(library: PhotoLibrary) -> None:
    film = next(photo["id"] for photo in library.photos() if photo["path"].endswith("film.mp4"))
    assert film not in [hit.id for hit in library.similar(film)]
    assert len(library.search(f"photo:{film}")) == 3


def test_a_moved_and_a_copied_film_are_known(library: PhotoLibrary, folder: Path, tmp_path: Path) -> None:
    moved = tmp_path / "moved"
    shutil.copytree(folder, moved)
    report = library.index(moved)
    assert (report.copied, report.encoded) == (3, 0)
    assert library.check().vectors == 10
    (moved / "film.mp4").rename(moved / "other.mp4")
    assert library.index(moved).moved == 1
    assert library.check().faults == ()


def test_a_film_that_changes_meanwhile_is_left_for_the_next_run(
    folder: Path, encoder: TorchEncoder, tmp_path: Path
) -> None:
    changing = tmp_path / "changing"
    shutil.copytree(folder, changing)
    with PhotoLibrary.open(tmp_path / "library", create_missing=True, encoder=encoder) as library:
        run = library.iter_index(changing)
        next(run)  # the scan is over
        with (changing / "film.mp4").open("ab") as film:
            film.write(b"\0" * 100)
        *_, report = run  # what it is now is what is stored
        assert (report.encoded, library.index(changing).unchanged) == (3, 3)


def test_without_the_packages_the_files_are_said_and_tried_again(folder: Path, tmp_path: Path) -> None:
    code = (
        "import sys; sys.modules['av'] = sys.modules['rawpy'] = None\n"
        "import importlib.util as util; find = util.find_spec\n"
        "util.find_spec = lambda name, *more: None if name in ('av', 'rawpy') else find(name, *more)\n"
        f"sys.argv = ['diptych', 'index', {str(folder)!r}, '--library', {str(tmp_path / 'library')!r}]\n"
        "from diptych.cli import main; main()"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "1 new, 2 not readable\n"), done.stderr
    with PhotoLibrary.open(tmp_path / "library") as library:
        assert {failure.source.path.name: failure.reason for failure in library.failures()} == {
            "film.mp4": 'videos need PyAV, which is not installed: pip install "diptych[video]"',
            "photo.dng": 'RAW photos need rawpy, which is not installed: pip install "diptych[raw]"',
        }
        assert library.index(folder).encoded == 2
        assert library.failures() == []
