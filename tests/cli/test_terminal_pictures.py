"""Pictures in terminals: which protocol, and escape sequences against those written out by hand or decoded again."""

import io
import re
from base64 import b64decode
from itertools import groupby

import numpy as np
import pytest
from PIL import Image

from diptych.cli.terminal_pictures import protocol_of, shown


def jpeg_of(image: Image.Image) -> bytes:
    data = io.BytesIO()
    image.save(data, "JPEG", quality=95)
    return data.getvalue()


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"TERM": "xterm-256color", "KITTY_WINDOW_ID": "1"}, "kitty"),
        ({"TERM_PROGRAM": "ghostty"}, "kitty"),
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({"TERM_PROGRAM": "WezTerm", "TERM": "xterm-256color"}, "iterm2"),
        ({"LC_TERMINAL": "iTerm2", "TERM": "xterm-256color"}, "iterm2"),  # what ssh passes on
        ({"TERM": "foot"}, "sixel"),
        ({"TERM": "xterm-256color"}, None),
        ({"TERM": "dumb"}, None),
        ({}, None),
        ({"TERM": "screen-256color", "TERM_PROGRAM": "iTerm.app"}, None),
        ({"TERM": "xterm-kitty", "TMUX": "tmux-0/default,1,0"}, None),
    ],
)
def test_the_terminal_says_what_it_understands(environment: dict[str, str], protocol: str | None) -> None:
    assert protocol_of(environment) == protocol


def test_iterm2_is_given_the_jpeg_itself() -> None:
    assert shown(b"jpeg", "iterm2") == "\x1b]1337;File=inline=1;size=4;height=8:anBlZw==\x07"


def test_kitty_is_given_a_png_in_chunks_of_which_the_last_says_so() -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8))
    jpeg = jpeg_of(noise)
    commands = re.findall(r"\x1b_G([^;]*);([^\x1b]*)\x1b\\", shown(jpeg, "kitty"))
    assert len(commands) > 1
    assert "".join(f"\x1b_G{keys};{data}\x1b\\" for keys, data in commands) == shown(jpeg, "kitty")
    assert [keys for keys, _ in commands] == ["a=T,f=100,r=8,q=2,m=1", *["m=1"] * (len(commands) - 2), "m=0"]
    assert {len(data) for _, data in commands[:-1]} == {4096}
    png = Image.open(io.BytesIO(b64decode("".join(data for _, data in commands))))
    assert png.format == "PNG"
    assert np.array_equal(np.asarray(png), np.asarray(Image.open(io.BytesIO(jpeg))))


def test_one_colour_as_sixels_is_what_one_writes_by_hand() -> None:
    """9 x 8 white pixels: all six bits of nine columns, then two bits of them. 63 + 63 is ~, 63 + 3 is B."""
    assert shown(jpeg_of(Image.new("RGB", (9, 8), "white")), "sixel") == (
        '\x1bPq"1;1;9;8#0;2;100;100;100#0!9~-#0!9B-\x1b\\'
    )


def test_sixels_draw_the_picture() -> None:
    halves = Image.new("RGB", (40, 15), (255, 0, 0))
    halves.paste((0, 0, 255), (20, 0, 40, 15))
    drawn = drawn_of(shown(jpeg_of(halves), "sixel"))
    assert drawn.shape == (15, 40, 3)
    assert np.abs(drawn[:, :12] - (255, 0, 0)).max() < 8  # JPEG's rounding, and percents
    assert np.abs(drawn[:, 28:] - (0, 0, 255)).max() < 8


def test_a_large_picture_is_made_small_for_sixels() -> None:
    assert drawn_of(shown(jpeg_of(Image.new("RGB", (512, 256))), "sixel")).shape == (160, 320, 3)


def drawn_of(sixels: str) -> np.ndarray:
    """A reader of what DEC's manual calls sixel data: (H, W, 3), -1 where nothing was drawn."""
    found = re.fullmatch(r'\x1bPq"1;1;(\d+);(\d+)(.*)\x1b\\', sixels)
    assert found
    width, height = int(found[1]), int(found[2])
    canvas = np.full((height, width, 3), -1)
    colours: dict[int, list[int]] = {}
    colour, x, top = 0, 0, 0
    for token in re.findall(r"#\d+;2;\d+;\d+;\d+|#\d+|!\d+.|.", found[3]):
        if token.startswith("#"):
            colour, *levels = map(int, token[1:].split(";"))
            if levels:
                colours[colour] = [round(level * 2.55) for level in levels[1:]]
        elif token in "$-":
            x, top = 0, top + 6 * (token == "-")
        else:
            count = int(token[1:-1]) if token.startswith("!") else 1
            for bit in range(6):
                if (ord(token[-1]) - 63) >> bit & 1:
                    canvas[top + bit, x : x + count] = colours[colour]
            x += count
    assert canvas.min() >= 0, "every pixel is drawn"
    assert all(len(list(run)) <= 3 for character, run in groupby(found[3]) if character >= "?")
    return canvas
