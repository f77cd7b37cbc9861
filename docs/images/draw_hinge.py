"""Draw hinge.png, the README's picture: `python docs/images/draw_hinge.py`. Everything in it is drawn here."""

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

SCALE = 2  # drawn large and reduced, for smooth edges
WIDTH, HEIGHT = 1200, 560
INK, GREY, PAPER = "#22303c", "#6b7884", "#ffffff"
BLUE, PALE_BLUE, AMBER, PALE_AMBER, BRASS = "#2f6f9f", "#e8f1f8", "#b9741a", "#fbf1e2", "#c9a24b"
LABELS = ("dog", "cat", "beach")
SHARES = (0.13, 0.82, 0.05)


class Canvas:
    """A picture in units of the reduced one."""

    def __init__(self) -> None:
        self.image = Image.new("RGB", (WIDTH * SCALE, HEIGHT * SCALE), PAPER)
        self._draw = ImageDraw.Draw(self.image)

    def box(self, x: float, y: float, width: float, height: float, fill: str, edge: str | None = None) -> None:
        """A rounded rectangle."""
        corners = [side * SCALE for side in (x, y, x + width, y + height)]
        radius = min(10, width / 3, height / 3) * SCALE
        self._draw.rounded_rectangle(corners, radius, fill=fill, outline=edge, width=2 * SCALE)

    def write(self, x: float, y: float, text: str, *, size: int = 17, fill: str = INK, anchor: str = "mm") -> None:
        """A line of text about a point."""
        font = ImageFont.load_default(size * SCALE)
        self._draw.text((x * SCALE, y * SCALE), text, font=font, fill=fill, anchor=anchor)

    def polygon(self, points: list[tuple[float, float]], fill: str) -> None:
        """A filled outline."""
        self._draw.polygon([(x * SCALE, y * SCALE) for x, y in points], fill=fill)

    def disc(self, x: float, y: float, radius: float, fill: str) -> None:
        """A filled circle."""
        self._draw.ellipse([side * SCALE for side in (x - radius, y - radius, x + radius, y + radius)], fill=fill)

    def arrow(self, x: float, y: float, end_x: float, end_y: float) -> None:
        """A straight arrow along an axis."""
        self._draw.line([x * SCALE, y * SCALE, end_x * SCALE, end_y * SCALE], fill=GREY, width=2 * SCALE)
        along, across = np.sign(end_x - x) * 9, np.sign(end_y - y) * 9
        side = (across * 0.6, along * 0.6)
        tip = [(end_x, end_y)] + [(end_x - along + s * side[0], end_y - across + s * side[1]) for s in (1, -1)]
        self.polygon([(float(a), float(b)) for a, b in tip], GREY)

    def vector(self, x: float, y: float, seed: int, colour: str) -> None:
        """Eight cells, darker where the number is larger."""
        ink = np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)])
        for i, share in enumerate(np.random.Generator(np.random.PCG64(seed)).uniform(0.15, 1, 8)):
            red, green, blue = (255 - (255 - ink) * share).astype(int)
            self.box(x + 16 * i, y, 14, 18, f"#{red:02x}{green:02x}{blue:02x}")


def draw_photo(canvas: Canvas, x: float, y: float) -> None:
    """A cat on a wall at dusk, 150 by 150, cut into patches."""
    canvas.box(x, y, 150, 150, "#f3c78c")
    canvas.disc(x + 112, y + 40, 18, "#fff1cf")
    canvas.polygon(
        [(x, y + 95), (x + 45, y + 62), (x + 95, y + 98), (x + 150, y + 70), (x + 150, y + 120), (x, y + 120)],
        "#a9788a",
    )
    canvas.polygon([(x, y + 116), (x + 150, y + 116), (x + 150, y + 150), (x, y + 150)], "#6d4f5f")
    canvas.polygon([(x + 48, y + 118), (x + 52, y + 78), (x + 70, y + 66), (x + 88, y + 78), (x + 94, y + 118)], INK)
    canvas.disc(x + 70, y + 62, 19, INK)
    for left in (52, 74):
        canvas.polygon([(x + left, y + 56), (x + left + 2, y + 34), (x + left + 15, y + 48)], INK)
    for left in (63, 77):
        canvas.disc(x + left, y + 60, 3, "#f6d365")
    canvas.polygon(
        [
            (x + 90, y + 112),
            (x + 118, y + 106),
            (x + 122, y + 88),
            (x + 128, y + 90),
            (x + 124, y + 112),
            (x + 92, y + 118),
        ],
        INK,
    )
    for step in (50, 100):
        canvas.polygon([(x + step, y), (x + step + 1, y), (x + step + 1, y + 150), (x + step, y + 150)], PAPER)
        canvas.polygon([(x, y + step), (x + 150, y + step), (x + 150, y + step + 1), (x, y + step + 1)], PAPER)


def draw_hinge(canvas: Canvas) -> None:
    """The knuckles and the pin between the panels."""
    canvas.box(596, 20, 8, 340, GREY)
    for number in range(5):
        canvas.box(582, 30 + 66 * number, 36, 52, BRASS, "#8d6f2b")


def main() -> None:
    """Draw and save."""
    canvas = Canvas()
    canvas.box(20, 20, 560, 340, PALE_BLUE, BLUE)
    canvas.box(620, 20, 560, 340, PALE_AMBER, AMBER)
    draw_hinge(canvas)

    canvas.write(45, 52, "image tower", size=22, fill=BLUE, anchor="lm")
    draw_photo(canvas, 45, 115)
    canvas.write(120, 285, "patches", fill=GREY)
    canvas.arrow(205, 190, 240, 190)
    canvas.box(245, 115, 120, 150, PAPER, BLUE)
    for line, text in enumerate(("ViT", "or", "ResNet")):
        canvas.write(305, 160 + 30 * line, text)
    canvas.arrow(370, 190, 405, 190)
    canvas.vector(415, 181, 1, BLUE)
    canvas.write(479, 222, "one unit vector", fill=GREY)

    canvas.write(1155, 52, "text tower", size=22, fill=AMBER, anchor="rm")
    for line, label in enumerate(LABELS):
        canvas.box(985, 120 + 50 * line, 170, 38, PAPER)
        canvas.write(1070, 139 + 50 * line, f"a photo of a {label}.", size=15)
        canvas.vector(645, 130 + 50 * line, 2 + line, AMBER)
    canvas.write(1070, 285, "tokens", fill=GREY)
    canvas.arrow(975, 190, 940, 190)
    canvas.box(815, 115, 120, 150, PAPER, AMBER)
    for line, text in enumerate(("causal", "trans-", "former")):
        canvas.write(875, 160 + 30 * line, text)
    canvas.arrow(810, 190, 780, 190)
    canvas.write(709, 285, "a unit vector a label", fill=GREY)

    canvas.arrow(600, 368, 600, 398)
    canvas.write(600, 418, "one space: cosines x the model's own scale, as shares of the labels offered", size=17)
    for line, (label, share) in enumerate(zip(LABELS, SHARES, strict=True)):
        y = 446 + 32 * line
        canvas.write(440, y + 11, label, anchor="rm")
        canvas.box(455, y, 320, 22, "#eef1f4")
        canvas.box(455, y, 320 * share, 22, BLUE)
    reduced = canvas.image.resize((WIDTH, HEIGHT), Image.Resampling.LANCZOS)
    reduced.quantize(128).save(Path(__file__).with_name("hinge.png"), optimize=True)


if __name__ == "__main__":
    main()
