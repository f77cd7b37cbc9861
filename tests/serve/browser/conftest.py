"""A real browser, and servers with libraries of real photographs for it."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from PIL import Image
from playwright.sync_api import Browser, ConsoleMessage, Page, expect, sync_playwright

from chromium import find_chromium
from diptych.demo.photographs import find_photographs
from diptych.library.library import PhotoLibrary
from serve_command import ServeCommand

_FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
_PATIENCE_MS = 60_000  # for a busy machine
_LAUNCH_MS = 180_000
expect.set_options(timeout=_PATIENCE_MS)
CAMERAS = ("Canon EOS R5", "Pixel 8")


@pytest.fixture(scope="module")  # while Playwright runs, its event loop does, and tests elsewhere start their own
def browser() -> Iterator[Browser]:
    """Debian's Chromium."""
    with sync_playwright() as playwright:
        yield (browser := playwright.chromium.launch(executable_path=find_chromium(), args=_FLAGS, timeout=_LAUNCH_MS))
        browser.close()


@pytest.fixture
def complaints() -> list[str]:
    """What the browser has said against the page; a test that provokes some takes it out."""
    return []


@pytest.fixture
def page(browser: Browser, complaints: list[str], request: pytest.FixtureRequest) -> Iterator[Page]:
    """A page of its own in a window of 1280 x 850, or as a `parametrize(..., indirect=True)` says.

    An error in the console, a breach of the content security policy and a script's exception fail the test.
    """
    options = {"viewport": {"width": 1280, "height": 850}, **getattr(request, "param", {})}
    context = browser.new_context(**options)
    context.set_default_timeout(_PATIENCE_MS)
    page = context.new_page()

    def hear(message: ConsoleMessage) -> None:
        if message.type in ("error", "warning"):
            complaints.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    page.unroute_all(behavior="ignoreErrors")  # of requests that are on their way as the page goes
    context.close()
    assert complaints == []


@pytest.fixture(scope="session")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder `holiday` of real photographs, one file that is none, and `corners`, their quarters: 70 in all."""
    folder = tmp_path_factory.mktemp("photographs")
    for name in ("holiday", "corners"):
        (folder / name).mkdir()
    for i, path in enumerate(find_photographs()):
        with Image.open(path) as image:
            picture = image.convert("RGB")
        picture.thumbnail((640, 640))
        picture.save(folder / "holiday" / f"{path.stem}.jpg", exif=_exif(i), quality=88)
        for j, box in enumerate(_quarters(picture)):
            picture.crop(box).save(folder / "corners" / f"{path.stem}_{j}.png")
    (folder / "holiday" / "broken.jpg").write_bytes(b"\xff\xd8\xff nothing more")
    return folder


@pytest.fixture(scope="session")
def library(photographs: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A library of them."""
    library = tmp_path_factory.mktemp("library") / "photos"
    folders = [photographs / name for name in ("holiday", "corners")]
    with PhotoLibrary.open(library, device="cpu", dtype="float32", create_missing=True) as opened:
        opened.index(*folders)
    return library


@pytest.fixture(scope="session")
def searched(library: Path, photographs: Path) -> Iterator[str]:
    """The address of a server that has the library."""
    roots = [f"--root={name}={photographs / name}" for name in ("holiday", "corners")]
    with ServeCommand("--library", library, *roots) as server:
        yield f"{server.url}/"


@pytest.fixture(scope="session")
def without_library() -> Iterator[str]:
    """The address of a server that has none."""
    with ServeCommand() as server:
        yield f"{server.url}/"


def _exif(i: int) -> Image.Exif:
    exif = Image.Exif()
    make, _, model = CAMERAS[i % 2].partition(" ")
    exif[0x010F], exif[0x0110], exif[0x0132] = make, model, f"{2020 + i % 5}:05:31 12:30:00"
    return exif


def _quarters(picture: Image.Image) -> Iterator[tuple[int, int, int, int]]:
    width, height = picture.width // 2, picture.height // 2
    for left in (0, width):
        for top in (0, height):
            yield left, top, left + width, top + height
