"""A folder such as people have, with all that goes wrong in one, indexed and searched by the real command."""

import json
import os
import shutil
import struct
import subprocess
import sys
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import pillow_heif
import pytest
from command import environment
from PIL import Image

from diptych.demo.photographs import find_photographs

PHOTOGRAPHS: Final = {path.stem: path for path in find_photographs()}
LONGEST_NAME: Final = 255 - len(".jpg")  # what Linux and macOS allow
NOT_UTF_8: Final = os.fsdecode(b"caf\xe9.jpg")
STRANGE: Final = "two\nlines \N{CAT FACE}.jpg"
NO_RIGHTS: Final = ("setpriv", "--bounding-set=-dac_override,-dac_read_search")  # root then may read what others may


def run(*arguments: object) -> subprocess.CompletedProcess[bytes]:
    """The command as a user without root's rights runs it; it never ends in a traceback, and never hangs."""
    rights = NO_RIGHTS if os.geteuid() == 0 else ()
    command = [*rights, sys.executable, "-m", "diptych", *map(os.fsencode, map(str, arguments))]
    done = subprocess.run(command, capture_output=True, env=environment(), timeout=120)
    assert b"Traceback" not in done.stderr, done.stderr.decode()
    return done


def printed(*arguments: object) -> bytes:
    done = run(*arguments)
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
    return done.stdout


def photograph(name: str, size: tuple[int, int] = (160, 120)) -> Image.Image:
    with Image.open(PHOTOGRAPHS[name]) as picture:
        return picture.convert("RGB").resize(size)


def camera_exif(orientation: int) -> Image.Exif:
    """What a phone writes: 18:20:05 in Paris, on its side."""
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0112] = "Apple", "iPhone 15", orientation
    exif.get_ifd(0x8769).update({0x9003: "2024:05:31 18:20:05", 0x9011: "+02:00"})
    exif.get_ifd(0x8825).update({1: "N", 2: (48.0, 51.0, 24.0), 3: "E", 4: (2.0, 21.0, 3.0)})
    return exif


def write_good(folder: Path) -> None:
    """Pictures that are found, each its own way of being odd."""
    exif = camera_exif(orientation=6)
    photograph("chelsea").save(folder / "on its side.jpg", quality=95, exif=exif)
    pillow_heif.from_pillow(photograph("coffee")).save(folder / "phone.heic", exif=camera_exif(1).tobytes())
    photograph("rocket").convert("CMYK").save(folder / "print.jpg")
    grey = np.asarray(photograph("moon").convert("L"), np.uint16) * 257
    Image.fromarray(grey).save(folder / "scan 16 bit.png")
    frames = [photograph("astronaut"), photograph("coins")]
    for suffix in ("gif", "webp"):
        frames[0].save(
            folder / f"moving.{suffix}", save_all=True, append_images=frames[1:], duration=100, lossless=True
        )
    photograph("brick").save(folder / "png within.jpg", "PNG")
    photograph("grass").save(folder / "LOUD.JPG")
    for name, picture in (("case.jpg", "gravel"), ("Case.jpg", "page")):
        photograph(picture).save(folder / name)
    for name, picture in ((STRANGE, "motorcycle_left"), (NOT_UTF_8, "china"), ("n" * LONGEST_NAME + ".jpg", "flower")):
        photograph(picture).save(folder / name)
    (folder / "a folder.jpg").mkdir()
    photograph("camera").save(folder / "a folder.jpg" / "inside.jpg")


GOOD: Final = (
    *("on its side.jpg", "phone.heic", "print.jpg", "scan 16 bit.png", "moving.gif", "moving.webp", "png within.jpg"),
    *("LOUD.JPG", "case.jpg", "Case.jpg", STRANGE, NOT_UTF_8, "n" * LONGEST_NAME + ".jpg", "a folder.jpg/inside.jpg"),
)


def png_of(width: int, height: int) -> bytes:
    """A valid black and white PNG: a few kilobytes, whatever its size."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    rows = zlib.compress(bytes((width // 8 + 1) * height))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", rows) + chunk(b"IEND", b"")


def write_bad(folder: Path) -> None:
    """Files that cannot be read as pictures."""
    (folder / "empty.jpg").touch()
    whole = (folder / "print.jpg").read_bytes()
    (folder / "cut off.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "words.jpg").write_text("Dear diary")
    shutil.copy(folder / "LOUD.JPG", folder / "locked.jpg")
    (folder / "locked.jpg").chmod(0)
    (folder / "bomb.png").write_bytes(png_of(16_000, 16_000))


BAD: Final = {
    "empty.jpg": "empty, 0 bytes",
    "cut off.jpg": "image file is truncated",
    "words.jpg": "not an image: it begins with b'Dear diary'",
    "locked.jpg": "permission denied",
    "bomb.png": "16000 x 16000",
}


def write_ignored(folder: Path) -> None:
    """What is no photo, what is not wanted, and what leads back to where it stands."""
    os.mkfifo(folder / "pipe.jpg")
    (folder / "to nothing.jpg").symlink_to(folder / "nowhere.jpg")
    (folder / "to itself.jpg").symlink_to(folder / "to itself.jpg")
    (folder / "to a photo.jpg").symlink_to(folder / "print.jpg")
    (folder / "up").symlink_to(folder, target_is_directory=True)
    (folder / ".diptychignore").write_text("# not for guests\nprivate/\n*.draft.jpg\n!kept.draft.jpg\n")
    for name in ("private/diary.jpg", "one.draft.jpg", ".thumbnails/small.jpg"):
        (folder / name).parent.mkdir(exist_ok=True)
        photograph("hubble_deep_field").save(folder / name)


LINKS: Final = 4


@pytest.fixture(scope="module")
def photos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder, indexed into the library beside it."""
    folder = tmp_path_factory.mktemp("work") / "photos"
    folder.mkdir()
    for write in (write_good, write_bad, write_ignored):
        write(folder)
    return folder


@pytest.fixture(scope="module")
def first_run(photos: Path) -> subprocess.CompletedProcess[bytes]:
    return run("index", photos, "--library", photos.parent / "library")


@pytest.fixture(scope="module")
def library(photos: Path, first_run: subprocess.CompletedProcess[bytes]) -> Path:
    assert first_run.returncode == 0, first_run.stderr
    return photos.parent / "library"


@pytest.fixture(scope="module")
def listed(photos: Path, library: Path) -> dict[str, dict[str, Any]]:
    """What `library list --json` says of each photo, by its path below the folder."""
    found = json.loads(printed("library", "list", "--library", library, "--json"))
    return {os.path.relpath(each["path"], photos): each for each in found}


def test_indexing_ends_well_and_says_how_many_files_failed(first_run: subprocess.CompletedProcess[bytes]) -> None:
    assert (first_run.returncode, first_run.stdout.decode()) == (0, f"{len(GOOD)} new, {len(BAD)} not readable\n")
    *named, unread, links = first_run.stderr.decode().splitlines()
    assert len(named) == min(10, len(BAD))
    assert all(any(part in line for part in BAD.values()) for line in named)
    assert [unread, links] == [
        f"diptych: {len(BAD)} files could not be read: diptych library failures.",
        f"diptych: {LINKS} links were not followed (--follow-links).",
    ]


def test_every_picture_that_can_be_read_is_in_the_library(listed: dict[str, dict[str, Any]]) -> None:
    assert sorted(listed) == sorted(GOOD)


def test_every_file_that_cannot_be_read_is_in_the_ledger_with_its_reason(photos: Path, library: Path) -> None:
    found = json.loads(printed("library", "failures", "--library", library, "--json"))
    reasons = {os.path.relpath(each["path"], photos): each["reason"] for each in found}
    assert sorted(reasons) == sorted(BAD)
    for name, part in BAD.items():
        assert part in reasons[name]
        assert "\n" not in reasons[name]
    lines = printed("library", "failures", "--library", library).decode().splitlines()
    assert lines == [f"{each['path']}: {each['reason']}" for each in found]


@pytest.mark.parametrize("name", ["on its side.jpg", "phone.heic"])
def test_what_the_camera_wrote_is_kept(name: str, listed: dict[str, dict[str, Any]]) -> None:
    kept = {key: listed[name][key] for key in ("taken_at", "taken_zone", "camera", "format")}
    assert kept == {
        "taken_at": "2024-05-31T18:20:05",
        "taken_zone": "+02:00",
        "camera": "Apple iPhone 15",
        "format": "JPEG" if name.endswith("jpg") else "HEIF",
    }
    assert (listed[name]["latitude"], listed[name]["longitude"]) == pytest.approx((48.856667, 2.350833), abs=1e-6)


def test_sizes_are_of_the_upright_picture_and_formats_of_the_content(listed: dict[str, dict[str, Any]]) -> None:
    sizes = {name: (each["width"], each["height"]) for name, each in listed.items()}
    assert sizes.pop("on its side.jpg") == (120, 160)
    assert set(sizes.values()) == {(160, 120)}
    formats = {name: listed[name]["format"] for name in ("png within.jpg", "moving.gif", "LOUD.JPG")}
    assert formats == {"png within.jpg": "PNG", "moving.gif": "GIF", "LOUD.JPG": "JPEG"}


@pytest.mark.parametrize(
    ("option", "parse"),
    [
        pytest.param("-0", lambda out: out.removesuffix(b"\0").split(b"\0"), id="-0"),
        pytest.param("--json", lambda out: [os.fsencode(hit["path"]) for hit in json.loads(out)], id="--json"),
    ],
)
def test_a_search_gives_back_exactly_the_bytes_of_every_name(
    option: str, parse: Callable[[bytes], list[bytes]], photos: Path, library: Path
) -> None:
    found = parse(printed("search", "a photo", option, "--library", library, "--top", 100))
    assert sorted(found) == sorted(os.fsencode(photos / name) for name in GOOD)
    assert all(Path(os.fsdecode(path)).is_file() for path in found)


def test_paths_are_the_bytes_of_the_names_one_after_another(photos: Path, library: Path) -> None:
    found = printed("search", "a photo", "--paths", "--library", library, "--top", 100)
    for name in GOOD:
        assert os.fsencode(photos / name) + b"\n" in found
    assert len(found) == sum(len(os.fsencode(photos / name)) + 1 for name in GOOD)


def test_the_table_has_a_line_for_each_photo(library: Path) -> None:
    assert len(printed("search", "a photo", "--library", library, "--top", 100).decode().splitlines()) == len(GOOD)


def test_a_picture_is_found_as_it_is_seen(photos: Path, library: Path) -> None:
    """Turned upright, its colours as printed, its first frame: each is nearest to what it was made of."""
    made_of = {"on its side.jpg": "chelsea", "print.jpg": "rocket", "phone.heic": "coffee", "moving.gif": "astronaut"}
    for name, source in made_of.items():
        upright = photos.parent / f"{source}.png"
        picture = photograph(source)
        (picture.transpose(Image.Transpose.ROTATE_270) if name == "on its side.jpg" else picture).save(upright)
        hits = json.loads(printed("search", f"img:{upright}", "--json", "--library", library, "--top", 2))
        assert photos / name in [Path(hit["path"]) for hit in hits]
        assert hits[0]["score"] > 0.95  # lying on its side the cat would have 0.80


def test_the_next_run_opens_nothing_and_a_check_finds_nothing(photos: Path, library: Path) -> None:
    done = run("index", photos, "--library", library)
    assert (done.returncode, done.stdout.decode()) == (0, f"{len(GOOD)} unchanged\n")
    assert printed("library", "check", "--library", library).decode().startswith(f"{len(GOOD)} photos, ")


def test_links_are_followed_once_and_hidden_folders_entered_where_asked_for(photos: Path, library: Path) -> None:
    other = library.parent / "another library"
    done = run("index", photos, "--library", other, "--follow-links", "--hidden")
    assert done.returncode == 0, done.stderr
    found = json.loads(printed("library", "list", "--library", other, "--json"))
    assert sorted(os.path.relpath(each["path"], photos) for each in found) == sorted(
        [*GOOD, "to a photo.jpg", ".thumbnails/small.jpg"]
    )


def test_a_file_that_became_readable_leaves_the_ledger(photos: Path, library: Path) -> None:
    (photos / "locked.jpg").chmod(0o600)
    (photos / "words.jpg").unlink()
    done = run("index", photos, "--library", library, "--retry-failures")
    assert done.returncode == 0, done.stderr
    found = json.loads(printed("library", "failures", "--library", library, "--json"))
    assert sorted(Path(each["path"]).name for each in found) == sorted(BAD.keys() - {"locked.jpg", "words.jpg"})
