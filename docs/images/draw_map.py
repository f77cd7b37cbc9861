"""Draw map.png with the demo's photographs: `python docs/images/draw_map.py`."""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

from diptych.demo.photographs import find_photographs

WIDTH = 760  # pixels


def main() -> None:
    """Index, lay out, and reduce the picture."""
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work)
        (folder / "photos").mkdir()
        for path in find_photographs():
            (folder / "photos" / path.name).write_bytes(path.read_bytes())
        diptych("index", folder / "photos", "--library", folder / "library")
        diptych("map", "-o", folder / "map.png", "--clusters", "4", "--library", folder / "library")
        with Image.open(folder / "map.png") as image:
            reduced = image.resize((WIDTH, WIDTH * image.height // image.width), Image.Resampling.LANCZOS)
        reduced.quantize(128).save(Path(__file__).with_name("map.png"), optimize=True)


def diptych(*arguments: object) -> None:
    """Run the command."""
    subprocess.run([sys.executable, "-m", "diptych", *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
