from pathlib import Path

import pytest
from command import printed_json, succeeded
from PIL import Image

import formats
from diptych.files import cache_dir


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIPTYCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_an_empty_cache_is_nothing(cache: Path) -> None:
    assert printed_json("cache") == {"folder": str(cache), "cleared": False, "entries": []}
    assert succeeded("cache").splitlines()[1].strip() == "nothing"


def test_class_vectors_are_kept_used_again_and_cleared(cache: Path, tmp_path: Path) -> None:
    model = formats.tiny_classifier_folder(tmp_path / "model")
    Image.new("RGB", (40, 40), "red").save(tmp_path / "red.png")
    arguments = ("classify", tmp_path / "red.png", "--labels", "dog,cat", "--template", "imagenet", "--model", model)
    first = succeeded(*arguments)
    (entry,) = printed_json("cache")["entries"]
    assert (entry["name"], entry["files"]) == ("classifiers", 1)
    (kept,) = [path for path in (cache / "classifiers").iterdir() if path.name != "CACHEDIR.TAG"]
    made = kept.stat().st_mtime_ns
    assert succeeded(*arguments) == first
    assert kept.stat().st_mtime_ns == made

    (cache / "mine.txt").write_text("not Diptych's")
    (cleared,) = printed_json("cache", "--clear")["entries"]
    assert cleared == entry
    assert [path.name for path in cache.iterdir()] == ["mine.txt"]
    assert printed_json("cache")["entries"] == []


def test_the_table_says_how_much_there_is(cache: Path) -> None:
    cache_dir("openai")
    (cache / "openai" / "RN50.pt.part").write_bytes(bytes(4_200_000))
    first, row = succeeded("cache").splitlines()
    assert first == f"Kept in {cache} (set DIPTYCH_CACHE to move it):"
    assert row.split() == ["openai", "1", "files", "4.2", "MB"]
