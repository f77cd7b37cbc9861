import hashlib
import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from diptych.errors import DiptychError
from diptych.files import (
    CacheRecord,
    atomic_folder,
    atomic_write,
    cache_dir,
    cache_report,
    check_writable,
    clear_cache,
    describe_size,
    sha256_file,
)


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("DIPTYCH_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_the_cache_is_made_on_demand_for_its_owner_only(cache: Path) -> None:
    folder = cache_dir("texts", "v1")
    assert folder == cache / "texts" / "v1"
    assert [path.stat().st_mode & 0o777 for path in (cache, cache / "texts", folder)] == [0o700] * 3


def test_the_cache_follows_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DIPTYCH_CACHE", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert cache_dir() == tmp_path / "xdg" / "diptych"
    monkeypatch.setenv("XDG_CACHE_HOME", "relative/is/ignored")
    assert cache_dir() == tmp_path / "home" / ".cache" / "diptych"
    monkeypatch.setenv("DIPTYCH_CACHE", "~/mine")
    assert cache_dir() == tmp_path / "home" / "mine"


@pytest.mark.parametrize("taken", ["cache", "cache/texts"])
def test_an_unusable_cache_is_one_line_that_says_what_to_set(cache: Path, taken: str) -> None:
    path = cache.parent / taken
    path.parent.mkdir(exist_ok=True)
    path.write_text("a file, not a folder")
    with pytest.raises(DiptychError, match=r"cache folder .*texts cannot be used.*DIPTYCH_CACHE") as caught:
        cache_dir("texts")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("part", ["..", "", "a/b", "/etc"])
def test_cache_names_cannot_leave_the_cache(cache: Path, part: str) -> None:
    with pytest.raises(ValueError, match="plain folder names"):
        cache_dir(part)


def test_clearing_reports_and_deletes_only_what_we_made(cache: Path) -> None:
    cache.mkdir()
    theirs = cache / "photos" / "dear.jpg"
    theirs.parent.mkdir()
    theirs.write_bytes(b"irreplaceable")
    cache_dir("photos")  # was there before us, so it does not become ours
    (cache_dir("texts", "v1") / "a.npy").write_bytes(b"12345")
    expected = [CacheRecord(name="texts", files=1, bytes=5)]
    assert cache_report() == expected
    assert clear_cache() == expected
    assert cache_report() == []
    assert not (cache / "texts").exists()
    assert theirs.read_bytes() == b"irreplaceable"


def test_clearing_does_not_follow_links(cache: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("kept")
    cache_dir("texts").joinpath("link").symlink_to(elsewhere)
    clear_cache()
    assert (elsewhere / "kept").read_text() == "kept"


def test_a_cache_that_was_never_made_is_empty(cache: Path) -> None:
    assert cache_report() == []
    assert clear_cache() == []
    assert not cache.exists()


def test_atomic_write_replaces_the_file_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")
    with atomic_write(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(28, "No space left on device")])
def test_atomic_write_leaves_the_old_file_when_interrupted(tmp_path: Path, error: BaseException) -> None:
    path = tmp_path / "a.json"
    path.write_text("old")

    def write_half() -> None:
        with atomic_write(path) as temporary:
            temporary.write_text("half of the n")
            raise error

    with pytest.raises(type(error)):
        write_half()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_write_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "missing" / "file.txt"
    with pytest.raises(FileNotFoundError) as raised, atomic_write(path) as temporary:
        temporary.write_text("words")
    assert raised.value.filename == str(path)


def test_atomic_write_keeps_an_error_of_its_own_from_leaving_litter(tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    with pytest.raises(OSError), atomic_write(tmp_path / "taken") as temporary:
        temporary.write_text("a file cannot replace a folder")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def _write_folder(path: Path, text: str, *, overwrite: bool = False) -> None:
    with atomic_folder(path, overwrite=overwrite) as folder:
        (folder / "deep").mkdir()
        (folder / "deep" / "a.txt").write_text(text)


def test_atomic_folder_appears_whole_and_replaces_our_own(tmp_path: Path) -> None:
    path = tmp_path / "new" / "model"
    _write_folder(path, "one")
    _write_folder(path, "two")
    assert (path / "deep" / "a.txt").read_text() == "two"
    assert [entry.name for entry in path.parent.iterdir()] == ["model"]


def test_atomic_folder_vanishes_on_error_and_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "model"
    _write_folder(path, "one")

    def write_half() -> None:
        with atomic_folder(path) as folder:
            (folder / "half").write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_half()
    assert (path / "deep" / "a.txt").read_text() == "one"
    assert list(tmp_path.iterdir()) == [path]


def test_atomic_folder_refuses_a_folder_of_others_unless_told(tmp_path: Path) -> None:
    theirs = tmp_path / "photos"
    theirs.mkdir()
    _write_folder(theirs, "an empty folder may be filled")
    other = tmp_path / "others"
    other.mkdir()
    (other / "dear.jpg").write_text("dear")
    with pytest.raises(DiptychError, match="was not written by Diptych; give a new folder, or --overwrite"):
        _write_folder(other, "no")
    assert (other / "dear.jpg").read_text() == "dear"
    _write_folder(other, "yes", overwrite=True)
    assert not (other / "dear.jpg").exists()


def test_atomic_folder_never_replaces_a_file_or_the_working_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(DiptychError, match="is a file, where a folder is to be written"):
        _write_folder(tmp_path / "file", "no", overwrite=True)
    (tmp_path / "work" / "inner").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work" / "inner")
    for path in (Path(), Path(".."), tmp_path / "work"):
        with pytest.raises(DiptychError, match="working or home folder"):
            _write_folder(path, "no", overwrite=True)


def test_sha256_agrees_with_hashlib_and_tells_progress(tmp_path: Path) -> None:
    content = bytes(range(256)) * 20_000  # more than one block
    path = tmp_path / "data"
    path.write_bytes(content)
    seen: list[tuple[int, int]] = []
    expected = hashlib.sha256(content).hexdigest()
    assert sha256_file(path) == expected
    assert sha256_file(path, on_progress=lambda done, total: seen.append((done, total))) == expected
    assert seen[-1] == (len(content), len(content))
    assert len(seen) == 2


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1000, "1.0 kB"),
        (4_200_000, "4.2 MB"),
        (999_960, "1.0 MB"),
        (353_976_522, "354.0 MB"),
        (1_710_540_580, "1.7 GB"),
        (2.5e12, "2.5 TB"),
    ],
)
def test_sizes_are_described_in_decimal_units(size: float, text: str) -> None:
    assert describe_size(size) == text


def test_what_cannot_be_written_is_said_before_the_work(tmp_path: Path) -> None:
    check_writable(tmp_path / "page.HTML", (".html", ".htm"))
    with pytest.raises(ValueError, match=r"page\.txt must end in \.html or \.htm\.$"):
        check_writable(tmp_path / "page.txt", (".html", ".htm"))
    with pytest.raises(ValueError, match=r"page\.txt must end in \.html\.$"):
        check_writable(tmp_path / "page.txt", (".html",))
    with pytest.raises(DiptychError, match=r"there is no folder .*none\.$"):
        check_writable(tmp_path / "none" / "page.html", (".html",))
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(DiptychError, match=r"folder\.html is a folder, where a file is to be written\.$"):
        check_writable(tmp_path / "folder.html", (".html",))
    with pytest.raises(DiptychError, match=r"^/proc/page\.html cannot be written \(No such file or directory\); give"):
        check_writable(Path("/proc/page.html"), (".html",))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["folder.html"]


def test_what_is_below_a_file_is_refused_by_the_name_that_was_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pairs.csv").touch()
    with pytest.raises(NotADirectoryError) as of_file, atomic_write(Path("pairs.csv/x.png")) as temporary:
        temporary.write_bytes(b"a picture")
    with pytest.raises(NotADirectoryError) as of_folder, atomic_folder(Path("pairs.csv/model")):
        pass
    assert [raised.value.filename for raised in (of_file, of_folder)] == ["pairs.csv/x.png", "pairs.csv/model"]


@contextmanager
def largest_file(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes, as on a disk that is full."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)


def test_what_does_not_fit_the_disk_is_named_as_the_user_knows_it(tmp_path: Path) -> None:
    with (
        pytest.raises(OSError, match="File too large") as of_file,
        largest_file(1000),
        atomic_write(tmp_path / "a") as file,
    ):
        file.write_bytes(bytes(2000))
    assert of_file.value.filename == str(tmp_path / "a")
    with (
        pytest.raises(OSError, match="File too large") as of_folder,
        largest_file(1000),
        atomic_folder(tmp_path / "b") as folder,
    ):
        (folder / "c").write_bytes(bytes(2000))
    assert of_folder.value.filename == str(tmp_path / "b")
    with pytest.raises(OSError, match="No such file") as of_part, atomic_folder(tmp_path / "b") as folder:
        (folder / "d" / "e").write_bytes(b"")
    assert of_part.value.filename == str(tmp_path / "b" / "d" / "e")
    assert list(tmp_path.iterdir()) == []
