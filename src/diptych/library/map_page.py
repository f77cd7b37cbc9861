"""A map as one HTML page that needs nothing beside it: pictures and script inside, nothing fetched, light and dark."""

import json
import os
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Final

from diptych.files import atomic_write
from diptych.library.map import GREY, Colour, PhotoMap
from diptych.page import page, picture

_SCRIPT: Final = Path(__file__).with_name("map.js")
_STYLE: Final = """
body { display: grid; grid-template: auto minmax(0, 1fr) / 15rem minmax(0, 1fr); height: 100vh; max-width: none;
  margin: 0; padding: 0; font-size: 15px }
h1 { padding: 1rem 1rem .3rem; border-right: 1px solid var(--line); font-size: 1.15rem }
aside { padding: 0 1rem 1rem; overflow-y: auto; border-right: 1px solid var(--line) } aside p { font-size: .85rem }
button { display: flex; gap: .5rem; width: 100%; padding: .15rem .3rem; border: 0; border-radius: .3rem;
  background: none; color: inherit; font: inherit; text-align: left; cursor: pointer }
button:hover, button:focus-visible { background: var(--track) } button span { flex: 1; overflow-wrap: anywhere }
button i { flex: none; width: .8rem; height: .8rem; margin-top: .3rem; border-radius: 50% }
main { grid-area: 1 / 2 / 3 / 3; position: relative }
canvas { display: block; width: 100%; height: 100%; cursor: grab; touch-action: none }
#tip { position: absolute; max-width: 26rem; padding: .3rem .6rem; border-radius: .3rem; background: var(--ink);
  color: var(--paper); font-size: .85rem; overflow-wrap: anywhere; white-space: pre-line; pointer-events: none }
[hidden] { display: none }
@media (max-width: 45rem) {
  body { grid-template: auto minmax(0, 25vh) minmax(0, 1fr) / minmax(0, 1fr) } main { grid-area: 3 / 1 }
  h1, aside { border-right: 0 } aside { border-bottom: 1px solid var(--line) }
}
""".lstrip()


def write_page(made: PhotoMap, target: Path, *, title: str = "A map of photos") -> None:
    """Write the page, whole or not at all. Raises OSError where the file cannot be written."""
    pieces = page(title, _body(made), style=_STYLE, script=_SCRIPT.read_text(encoding="utf-8"))
    with atomic_write(target) as temporary:
        temporary.write_text("".join(pieces), encoding="utf-8", errors="backslashreplace", newline="\n")


def _body(made: PhotoMap) -> Iterator[str]:
    yield f'<aside>\n<p>{escape(_about(made))}</p>\n<ul id="groups">\n'
    for number, group in enumerate(made.groups):
        yield (
            f'<li><button data-group="{number}"><i style="background: {_css(group.colour)}"></i>'
            f"<span>{escape(group.name)}</span>{group.size:,}</button></li>\n"
        )
    yield f"""</ul>
</aside>
<main>
<canvas id="plane" tabindex="0" role="img" aria-label="{escape(_about(made))}"></canvas>
<div id="tip" hidden></div>
<noscript><p>The map is drawn by the script of this page, which is switched off.</p></noscript>
</main>
"""
    if made.sheet is not None:
        yield f'<div id="sheet" hidden>{picture(made.sheet.jpeg, "")}</div>\n'
    yield f'<script type="application/json" id="map">{_data(made)}</script>\n'


def _about(made: PhotoMap) -> str:
    left_out = f", from all along {len(made.photos) + made.left_out:,}" if made.left_out else ""
    return (
        f"{len(made.photos):,} photos{left_out}; those that look alike are near each other. "
        "Drag to move, wheel or + and - to zoom, 0 for all of it."
    )


def _data(made: PhotoMap) -> str:
    """As JSON in which nothing can end the element that it stands in."""
    folders: dict[str, int] = {}
    photos = []
    for member, (x, y), group in zip(made.photos, made.places.tolist(), made.groups_of.tolist(), strict=True):
        split = member.source.rfind(os.sep) + 1
        folder = folders.setdefault(member.source[:split], len(folders))
        photos.append([round(x, 1), round(y, 1), group, folder, member.source[split:]])
    data = {
        "columns": made.columns,
        "rows": made.rows,
        "side": made.sheet.side if made.sheet else 0,
        "sheetColumns": made.sheet.columns if made.sheet else 0,
        "groups": [[group.name, group.size, group.x, group.y, _css(group.colour)] for group in made.groups],
        "grey": _css(GREY),
        "folders": list(folders),
        "photos": photos,
    }
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


def _css(colour: Colour) -> str:
    return "#{:02x}{:02x}{:02x}".format(*colour)
