"""Pictures within the text of a terminal, by the three protocols that terminals have for it."""

from base64 import b64encode
from collections.abc import Iterator, Mapping
from io import BytesIO
from typing import TYPE_CHECKING, Final, Literal, TypeAlias

if TYPE_CHECKING:
    from PIL.Image import Image

Protocol: TypeAlias = Literal["kitty", "iterm2", "sixel"]

ROWS: Final = 8  # of text, that a picture is high
_SIXEL_PIXELS: Final = 160  # what is about as high: sixels know no rows
_KITTY_CHUNK: Final = 4_096  # bytes of base64 in one command, the most that its protocol allows
_SIXEL_COLOURS: Final = 256


def protocol_of(environment: Mapping[str, str]) -> Protocol | None:
    """What the terminal of these variables understands; None where it does not say.

    Nothing is sent to ask it. Within tmux and screen it is None: they pass none of the three on.
    """
    term, program = environment.get("TERM", ""), environment.get("TERM_PROGRAM", "")
    if "TMUX" in environment or term.startswith(("screen", "tmux")):
        return None
    if program in ("iTerm.app", "WezTerm", "mintty") or environment.get("LC_TERMINAL") == "iTerm2":
        return "iterm2"
    if program == "ghostty" or term in ("xterm-kitty", "xterm-ghostty") or "KITTY_WINDOW_ID" in environment:
        return "kitty"
    if term.startswith(("foot", "mlterm", "yaft")):
        return "sixel"
    return None


def shown(jpeg: bytes, protocol: Protocol) -> str:
    """What to print for the picture to appear, `ROWS` rows of text high; a newline belongs after it."""
    match protocol:
        case "kitty":
            return _kitty(_png(jpeg))
        case "iterm2":
            return _iterm2(jpeg)
        case "sixel":
            return _sixel(_opened(jpeg))


def _kitty(png: bytes) -> str:
    """Terminal graphics protocol of kitty: transmit and display (a=T) a PNG (f=100), and answer nothing (q=2)."""
    data = b64encode(png).decode()
    chunks = [data[start : start + _KITTY_CHUNK] for start in range(0, len(data), _KITTY_CHUNK)]
    keys = [f"a=T,f=100,r={ROWS},q=2,", *[""] * (len(chunks) - 1)]
    return "".join(
        f"\x1b_G{key}m={int(number < len(chunks) - 1)};{chunk}\x1b\\"
        for number, (key, chunk) in enumerate(zip(keys, chunks, strict=True))
    )


def _iterm2(jpeg: bytes) -> str:
    """Inline images protocol of iTerm2; the width follows from the height."""
    return f"\x1b]1337;File=inline=1;size={len(jpeg)};height={ROWS}:{b64encode(jpeg).decode()}\x07"


def _sixel(image: "Image") -> str:
    """VT340 graphics: bands of six rows, in each one pass a colour; a character is a column of six bits, plus 63."""
    import numpy as np

    image.thumbnail((4 * _SIXEL_PIXELS, _SIXEL_PIXELS))
    reduced = image.quantize(_SIXEL_COLOURS)
    width, height = reduced.size
    numbers = np.asarray(reduced)
    levels = reduced.getpalette() or []
    parts = [f'\x1bPq"1;1;{width};{height}']
    for colour in np.unique(numbers).tolist():
        red, green, blue = (round(level * 100 / 255) for level in levels[3 * colour : 3 * colour + 3])
        parts.append(f"#{colour};2;{red};{green};{blue}")
    for top in range(0, height, 6):
        band = numbers[top : top + 6]
        weights = (1 << np.arange(len(band)))[:, np.newaxis]
        passes = [
            f"#{colour}" + "".join(_runs((weights * (band == colour)).sum(axis=0).tolist()))
            for colour in np.unique(band).tolist()
        ]
        parts.append("$".join(passes) + "-")
    return "".join(parts) + "\x1b\\"


def _runs(columns: list[int]) -> Iterator[str]:
    """Sixel characters, those repeated more than three times as !COUNT and one."""
    start = 0
    for place in range(1, len(columns) + 1):
        if place == len(columns) or columns[place] != columns[start]:
            count, character = place - start, chr(63 + columns[start])
            yield f"!{count}{character}" if count > 3 else character * count
            start = place


def _png(jpeg: bytes) -> bytes:
    png = BytesIO()
    _opened(jpeg).save(png, "PNG")
    return png.getvalue()


def _opened(jpeg: bytes) -> "Image":
    from diptych.images import open_image

    return open_image(jpeg)
