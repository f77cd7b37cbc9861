"""A map as one HTML page that needs nothing beside it: pictures and script inside, nothing fetched, light and dark."""

import base64
import hashlib
import json
import os
from collections.abc import Iterator
from html import escape
from pathlib import Path
from typing import Final

from diptych.files import atomic_write
from diptych.library.map import PhotoMap

_SCRIPT: Final = Path(__file__).with_name("map.js")
_STYLE: Final = """
:root { color-scheme: light dark }
* { box-sizing: border-box }
body { display: flex; height: 100vh; margin: 0; background: #fbfaf7; color: #1f2328;
  font: 15px/1.45 system-ui, sans-serif }
aside { width: 15rem; padding: 1rem; overflow-y: auto; border-right: 1px solid #8884 }
h1 { margin: 0 0 .3rem; font-size: 1.15rem } p { margin: .3rem 0 .8rem; opacity: .75; font-size: .85rem }
ul { margin: 0; padding: 0; list-style: none }
button { display: flex; gap: .5rem; width: 100%; padding: .15rem .3rem; border: 0; border-radius: .3rem;
  background: none; color: inherit; font: inherit; text-align: left; cursor: pointer }
button:hover, button:focus-visible { background: #8883 } button span { flex: 1; overflow-wrap: anywhere }
button i { flex: none; width: .8rem; height: .8rem; margin-top: .3rem; border-radius: 50% }
main { position: relative; flex: 1; min-width: 0 }
canvas { display: block; width: 100%; height: 100%; cursor: grab; touch-action: none }
#tip { position: absolute; max-width: 26rem; padding: .3rem .6rem; border-radius: .3rem; background: #1f2328;
  color: #fff; font-size: .85rem; overflow-wrap: anywhere; white-space: pre-line; pointer-events: none }
[hidden] { display: none }
@media (prefers-color-scheme: dark) {
  body { background: #17181a; color: #e7e6e3 } #tip { background: #e7e6e3; color: #17181a }
}
@media (max-width: 45rem) {
  body { flex-direction: column }
  aside { width: auto; max-height: 30vh; border-right: 0; border-bottom: 1px solid #8884 }
}
""".strip()


def write_page(made: PhotoMap, target: Path, *, title: str = "A map of photos") -> None:
    """Write the page, whole or not at all. Raises OSError where the file cannot be written."""
    with atomic_write(target) as temporary:
        temporary.write_text("".join(_page(made, title)), encoding="utf-8", errors="backslashreplace", newline="\n")


def _page(made: PhotoMap, title: str) -> Iterator[str]:
    script = _SCRIPT.read_text(encoding="utf-8")
    allowed = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    yield f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
script-src 'sha256-{allowed}'; base-uri 'none'; form-action 'none'">
<title>{escape(title)}</title>
<style>
{_STYLE}
</style>
</head>
<body>
<aside>
<h1>{escape(title)}</h1>
<p>{escape(_about(made))}</p>
<ul id="groups">
"""
    for number, group in enumerate(made.groups):
        yield (
            f'<li><button data-group="{number}"><i style="background: hsl({number * 137.5 % 360:g} 60% 55%)"></i>'
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
        jpeg = base64.b64encode(made.sheet.jpeg).decode()
        yield f'<img id="sheet" alt="" hidden src="data:image/jpeg;base64,{jpeg}">\n'
    yield f'<script type="application/json" id="map">{_data(made)}</script>\n'
    yield f"<script>{script}</script>\n</body>\n</html>\n"


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
        "groups": [[group.name, group.size, group.x, group.y] for group in made.groups],
        "folders": list(folders),
        "photos": photos,
    }
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")
