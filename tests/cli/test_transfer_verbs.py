"""`diptych library export` and `import` as a user runs them."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from command import diptych, environment
from PIL import Image

import seeded


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two photos in the folder photos, beside a library of them and its exports."""
    folder = tmp_path_factory.mktemp("work")
    (folder / "photos").mkdir()
    for number in range(2):
        Image.fromarray(seeded.seeded_image(80, 60, seed=number)).save(folder / "photos" / f"{number}.png")
    done = diptych("index", folder / "photos", "--library", folder / "library")
    assert done.returncode == 0, done.stderr
    for target in ("out.parquet", "out"):
        assert diptych("library", "export", folder / target, "--library", folder / "library").stdout == (
            f"2 vectors in {folder / target}\n"
        )
    return folder


@pytest.mark.parametrize("source", ["out.parquet", "out"])
def test_a_library_moves_to_another_place(source: str, work: Path, tmp_path: Path) -> None:
    assert diptych("library", "import", work / source, "--library", tmp_path / "new").stdout == "2 added\n"
    assert diptych("library", "import", work / source, "--library", tmp_path / "new").stdout == "2 known\n"
    assert diptych("index", work / "photos", "--library", tmp_path / "new").stdout == "2 unchanged\n"


def test_vectors_made_elsewhere_are_found_with_the_model_that_made_them(work: Path, tmp_path: Path) -> None:
    ours = pq.read_table(work / "out.parquet")
    theirs = tmp_path / "theirs.parquet"
    table = {"file": ["0.png", "1.png", "gone.png"], "embedding": [*ours["vector"].to_pylist(), [0.0] * 256]}
    pq.write_table(pa.table(table), theirs)
    named = ["--path-column", "file", "--vector-column", "embedding"]
    here = ["--root", work / "photos", "--model", "postcard", "--library", tmp_path / "new"]
    done = diptych("library", "import", theirs, *named, *here)
    assert (done.returncode, done.stdout) == (0, "2 added\n")
    assert done.stderr == (
        "diptych: 1 row was refused: no vector of this width, or one of zeros or of what are no numbers.\n"
    )
    best = diptych("similar", work / "photos" / "0.png", "--paths", "--top", "1", "--library", tmp_path / "new")
    assert best.stdout == f"{work / 'photos' / '1.png'}\n"


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["import", "nothing.parquet"], 2, "does not exist"),
        (["import", "PHOTO"], 1, "is not a whole Parquet file"),
        (["import", "NARROW"], 2, "say under which folder its pictures lie (root)"),
        (["import", "NARROW", "--unseen"], 2, "--unseen is for vectors made elsewhere"),
        (["import", "NARROW", "--root", "PHOTOS"], 1, "The vectors have 2 numbers, and those of postcard have 256"),
        (["export", "out.csv"], 2, "must end in .parquet"),
        (["export", "PHOTOS"], 1, "is no export of Diptych; give a new folder"),
        (["export", "none/new.parquet"], 1, "none/new.parquet cannot be written: there is no folder none."),
        (["export", "new.parquet", "--dtype", "int8"], 2, "--dtype is float16 or float32, got 'int8'"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(
    arguments: list[str], status: int, message: str, work: Path, tmp_path: Path
) -> None:
    narrow = tmp_path / "narrow.parquet"
    pq.write_table(pa.table({"path": ["0.png"], "vector": [[1.0, 0.0]]}), narrow)
    places = {"PHOTOS": work / "photos", "PHOTO": work / "photos" / "0.png", "NARROW": narrow}
    done = diptych("library", *(str(places.get(each, each)) for each in arguments), "--library", work / "library")
    assert (done.returncode, done.stderr.count("\n")) == (status, 1), done.stderr
    assert message in done.stderr


def test_parquet_without_pyarrow_names_the_install_and_numpy_files_need_none(work: Path, tmp_path: Path) -> None:
    script = (
        "import sys; sys.modules['pyarrow'] = None; from diptych.cli import main; "
        "sys.argv = ['diptych', 'library', *sys.argv[1:]]; main()"
    )

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", script, *map(str, arguments)]
        return subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)

    done = run("export", tmp_path / "out.parquet", "--library", work / "library")
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "needs pyarrow, which is not installed: " in done.stderr
    assert "pip install 'diptych[library]'" in done.stderr
    assert run("import", work / "out", "--library", tmp_path / "new").stdout == "2 added\n"
    assert np.load(work / "out" / "vectors.npy").shape == (2, 256)
