"""What a user's hands do on the page: drop a picture, paint with the mouse."""

import base64
import math
from pathlib import Path

from playwright.sync_api import Page

_TRANSFER = """([bytes, name, type]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(atob(bytes), (sign) => sign.charCodeAt(0))], name, { type }));
  return transfer;
}"""


def drop_file(page: Page, selector: str, path: Path, type: str = "image/jpeg") -> None:
    """Drag a file over the element and let it go there."""
    transfer = page.evaluate_handle(_TRANSFER, _packed(path, type))
    for step in ("dragenter", "dragover", "drop"):
        page.dispatch_event(selector, step, {"dataTransfer": transfer})


def paste_file(page: Page, path: Path, type: str = "image/jpeg") -> None:
    """Paste a file as Ctrl-V does, without this machine's clipboard."""
    page.evaluate(
        f"""(packed) => {{
          const clipboardData = ({_TRANSFER})(packed);
          document.dispatchEvent(new ClipboardEvent("paste", {{ clipboardData, bubbles: true, cancelable: true }}));
        }}""",
        _packed(path, type),
    )


def paint_disc(page: Page, color: str, *, width: float = 0.68, height: float = 0.48) -> None:
    """Draw an ellipse on the sheet, sized as shares of it, and fill it."""
    box = page.locator(".sheet").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    across, down = box["width"] * width / 2, box["height"] * height / 2
    angles = [math.pi * i / 12 for i in range(26)]
    points = [(x + across * math.cos(angle), y + down * math.sin(angle)) for angle in angles]
    choose(page, "Brush")
    choose(page, color)
    page.mouse.move(*points[0])
    page.mouse.down()
    for point in points[1:]:
        page.mouse.move(*point)
    page.mouse.up()
    choose(page, "Fill an area")
    page.mouse.click(x, y)


def fill_sheet(page: Page, color: str) -> None:
    """Fill the whole sheet: a single change, over which the server is asked once, where a line asks again and again."""
    choose(page, "Fill an area")
    choose(page, color)
    page.locator(".sheet").click()


def choose(page: Page, label: str) -> None:
    """Press a tool or a colour."""
    page.get_by_title(label, exact=True).click()


def _packed(path: Path, type: str) -> list[str]:
    return [base64.b64encode(path.read_bytes()).decode(), path.name, type]
