"""Pictures of coloured shapes with captions that tell them apart: pairs to learn from where no others are at hand."""

import io
import random
from collections.abc import Iterator

from PIL import Image, ImageDraw

SIDE = 64
SHAPES = ("circle", "square", "triangle", "bar")
COLOURS = ("red", "green", "blue", "yellow", "orange", "purple", "white", "black", "pink", "brown")
PLACES = {"left": 0.3, "middle": 0.5, "right": 0.7}
SIZES = {"small": 0.12, "large": 0.24}


def draw_pairs(count: int) -> Iterator[tuple[bytes, str]]:
    """PNG files with a caption each, the same at every run."""
    rng = random.Random(0)
    for _ in range(count):
        (first, ground), shape = rng.sample(COLOURS, 2), rng.choice(SHAPES)
        (size, radius), (place, x) = rng.choice(list(SIZES.items())), rng.choice(list(PLACES.items()))
        image = Image.new("RGB", (SIDE, SIDE), ground)
        _draw(ImageDraw.Draw(image), shape, first, x * SIDE + rng.uniform(-4, 4), rng.uniform(0.4, 0.6) * SIDE, radius)
        file = io.BytesIO()
        image.save(file, "PNG")
        yield file.getvalue(), f"a {size} {first} {shape} on {ground}, {place}"


def _draw(canvas: ImageDraw.ImageDraw, shape: str, colour: str, x: float, y: float, radius: float) -> None:
    r = radius * SIDE
    if shape == "circle":
        canvas.ellipse((x - r, y - r, x + r, y + r), fill=colour)
    elif shape == "triangle":
        canvas.polygon([(x, y - r), (x - r, y + r), (x + r, y + r)], fill=colour)
    else:
        height = r if shape == "square" else r / 3
        canvas.rectangle((x - r, y - height, x + r, y + height), fill=colour)
