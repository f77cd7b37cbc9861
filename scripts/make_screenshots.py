"""The README's pictures of the page: a search, and a classification, over the demo's photographs.

python scripts/make_screenshots.py [--chromium PROGRAM]

Writes docs/images/serve-search.png and docs/images/serve-classify.png, 1280 x 800, in 256 colours each to be small.
"""

import argparse
import io
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

from diptych.demo.photographs import find_photographs
from diptych.library.library import PhotoLibrary

IMAGES = Path(__file__).parents[1] / "docs" / "images"
READY = re.compile(r"diptych: serving .* at (\S+) ")
QUERY = "an orange flower"
LABELS = ("cat", "dog", "lion", "rabbit", "teddy bear", "person")
SHOWN = "chelsea"  # the photograph that is classified
MOST_BYTES = 300_000


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--chromium", default=shutil.which("chromium"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        photographs = copy_photographs(Path(scratch) / "photographs")
        library = index(photographs, Path(scratch) / "library")
        with running_server(library) as address, opened_page(arguments.chromium) as page:
            save(take_search(page, address), "serve-search.png")
            save(take_classify(page, address, photographs / f"{SHOWN}.jpg"), "serve-classify.png")


def copy_photographs(folder: Path) -> Path:
    """The demo's photographs as a phone has them: JPEG, and not larger than a screen."""
    folder.mkdir()
    for path in find_photographs():
        with Image.open(path) as image:
            picture = image.convert("RGB")
        picture.thumbnail((1600, 1600))
        picture.save(folder / f"{path.stem}.jpg", quality=92)
    return folder


def index(photographs: Path, library: Path) -> Path:
    """A library of the photographs."""
    with PhotoLibrary.open(library, device="cpu", create_missing=True) as opened:
        opened.index(photographs)
    return library


@contextmanager
def running_server(library: Path) -> Iterator[str]:
    """The address of a server that has the library."""
    command = [sys.executable, "-m", "diptych", "serve", "--port", "0", "--library", str(library)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8") as process:
        assert process.stderr is not None
        try:
            said = ""
            while not (ready := READY.search(said)):
                said = process.stderr.readline()
                if not said:
                    raise SystemExit("The server did not start.")
            yield ready[1]
        finally:
            process.terminate()
            process.communicate()


@contextmanager
def opened_page(chromium: str | None) -> Iterator[Page]:
    """A window of 1280 x 800 in which nothing moves."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser.new_page(viewport={"width": 1280, "height": 800}, reduced_motion="reduce", color_scheme="light")
        browser.close()


def take_search(page: Page, address: str) -> bytes:
    page.goto(f"{address}#search?q={QUERY}")
    page.locator(".hit").first.wait_for()
    page.wait_for_load_state("networkidle")
    return page.screenshot()


def take_classify(page: Page, address: str, photograph: Path) -> bytes:
    page.goto(f"{address}#classify?{'&'.join(f'label={label}' for label in LABELS)}")
    page.locator(".classify input[type=file]").first.set_input_files(photograph)
    page.locator(".classify .bar").first.wait_for()
    page.wait_for_timeout(500)  # for the bars to settle
    return page.screenshot()


def save(screenshot: bytes, name: str) -> None:
    """Write it in 256 colours, dithered where that stays within MOST_BYTES."""
    with Image.open(io.BytesIO(screenshot)) as image:
        picture = image.convert("RGB")
    palette = picture.quantize(256, method=Image.Quantize.MAXCOVERAGE, kmeans=5)
    for dither in (Image.Dither.FLOYDSTEINBERG, Image.Dither.NONE):
        encoded = io.BytesIO()
        picture.quantize(palette=palette, dither=dither).save(encoded, "PNG", optimize=True)
        if encoded.tell() <= MOST_BYTES:
            (IMAGES / name).write_bytes(encoded.getvalue())
            print(f"{name}: {encoded.tell() / 1000:.0f} KB")
            return
    raise SystemExit(f"{name} is over {MOST_BYTES / 1000:.0f} KB: choose other photographs.")


if __name__ == "__main__":
    main()
