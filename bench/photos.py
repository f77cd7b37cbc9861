"""JPEG files made from photographs: the same at every run, for one version of Pillow.

The photographs are those that the wheels of scikit-image and scikit-learn carry (people, cats, streets, flowers, a
rocket, stars, tissue, textures). They are cropped, mirrored and resized into as many files as are asked for.
What enlarging takes from the finest detail, grain gives back: files are as long and as slow to decode as a camera's.
"""

import argparse
import io
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
from PIL import Image

REQUIREMENTS = Path(__file__).with_name("requirements-photos.txt")
PHOTOGRAPHS = (
    *("astronaut", "brick", "camera", "chelsea", "coffee", "coins", "grass", "gravel", "hubble_deep_field", "ihc"),
    *("moon", "motorcycle_left", "motorcycle_right", "retina", "rocket", "china", "flower"),
)
SMALL, LARGE = (500, 375), (4032, 3024)  # a photo of ImageNet's, and a phone's 12 megapixels

SIZES = {"small": SMALL, "large": LARGE}


def photographs(wheels: Path) -> dict[str, Image.Image]:
    """Each photograph by name, RGB; the wheels are downloaded to `wheels` if they are not there."""
    if not list(wheels.glob("*.whl")):
        download = ["download", "--quiet", "--no-deps", "--only-binary=:all:", "--dest", str(wheels)]
        subprocess.run([sys.executable, "-m", "pip", *download, "-r", str(REQUIREMENTS)], check=True)
    found = {}
    for wheel in sorted(wheels.glob("*.whl")):
        with zipfile.ZipFile(wheel) as archive:
            for entry in archive.namelist():
                path = Path(entry)
                if path.stem in PHOTOGRAPHS and path.suffix in (".jpg", ".png"):
                    found[path.stem] = Image.open(io.BytesIO(archive.read(entry))).convert("RGB")
    return {name: found[name] for name in PHOTOGRAPHS}


def make_photos(folder: Path, wheels: Path, count: int, size: tuple[int, int]) -> list[Path]:
    """`count` JPEG files of `size` (width, height), every fourth upright; written unless they are there."""
    paths = [folder / f"{number:04d}.jpg" for number in range(count)]
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    if missing:
        folder.mkdir(parents=True, exist_ok=True)
        sources = list(photographs(wheels).values())
        for number in missing:
            draw(sources[number % len(sources)], size[::-1] if number % 4 == 3 else size, number).save(
                paths[number], "JPEG", quality=93
            )
    return paths


def draw(source: Image.Image, size: tuple[int, int], seed: int) -> Image.Image:
    """A crop of `source` of at least 0.7 of what fits, perhaps mirrored, at `size`, brighter or darker, with grain."""
    generator = np.random.Generator(np.random.PCG64(seed))
    fitting = min(source.width / size[0], source.height / size[1])
    scale = fitting * generator.uniform(0.7, 1.0)
    width, height = size[0] * scale, size[1] * scale
    left, top = generator.uniform(0, source.width - width), generator.uniform(0, source.height - height)
    crop = source.resize(size, Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))
    if generator.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    pixels = np.asarray(crop, dtype=np.float32) * np.float32(generator.uniform(0.8, 1.2))
    enlarged = max(1.0, 1 / scale)
    grain = generator.standard_normal((size[1], size[0], 1), dtype=np.float32) * np.float32(1.5 + np.log2(enlarged))
    return Image.fromarray((pixels + grain).clip(0, 255).astype(np.uint8))


def main() -> None:
    parser = argparse.ArgumentParser(description="Make JPEG files from photographs.")
    parser.add_argument("kind", choices=SIZES)
    parser.add_argument("count", type=int)
    parser.add_argument("folder", type=Path)
    parser.add_argument("wheels", type=Path, help="a folder for the wheels that carry the photographs")
    arguments = parser.parse_args()
    make_photos(arguments.folder, arguments.wheels, arguments.count, SIZES[arguments.kind])


if __name__ == "__main__":
    main()
