"""Draw contact-sheet.png with the demo's photographs: `python docs/images/draw_contact_sheet.py`. Needs chromium."""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from diptych.demo.photographs import find_photographs

QUERY = "an orange flower"
WINDOW = "1000,400"


def main() -> None:
    """Index, search, and have a browser draw the page."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        (folder / "photos").mkdir()
        for path in find_photographs():
            (folder / "photos" / path.name).symlink_to(path)
        diptych("index", folder / "photos", "--follow-links", "--library", folder / "library")
        sheet = folder / "sheet.html"
        diptych("search", QUERY, "--top", "5", "--html", sheet, "--library", folder / "library", "--paths")
        drawn = folder / "sheet.png"
        options = ["--headless", "--no-sandbox", "--hide-scrollbars", f"--window-size={WINDOW}"]
        subprocess.run(["chromium", *options, f"--screenshot={drawn}", sheet.as_uri()], check=True)
        target = Path(__file__).with_name("contact-sheet.png")
        Image.open(drawn).quantize(128).save(target, optimize=True)


def diptych(*arguments: object) -> None:
    """Run the command."""
    subprocess.run([sys.executable, "-m", "diptych", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
