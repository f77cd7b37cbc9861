"""HTML pages that need nothing beside them: pictures and script inside, nothing fetched, light and dark."""

import base64
import hashlib
from collections.abc import Iterable, Iterator
from html import escape
from typing import Final

_STYLE: Final = """
:root { color-scheme: light dark; --paper: #fbfaf7; --card: #fff; --ink: #1f2328; --pale: #656d76; --line: #e3e0d8;
  --bar: #2f6f8f; --track: #eceae4 }
@media (prefers-color-scheme: dark) {
  :root { --paper: #17181a; --card: #212327; --ink: #e7e6e3; --pale: #9aa0a8; --line: #34373d; --bar: #6fb6d6;
    --track: #2d3036 }
}
* { box-sizing: border-box }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 76rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif }
h1 { margin: 0; font-size: 1.7rem; overflow-wrap: anywhere } h2 { margin: 2.5rem 0 1rem; font-size: 1.2rem }
h3 { margin: 0 0 .5rem; font-size: 1rem; overflow-wrap: anywhere }
p { margin: .4rem 0 .8rem; max-width: 46rem; color: var(--pale) } code { font-size: .9em }
ul { margin: 0; padding: 0; list-style: none }
.photos { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem }
.card { overflow: hidden; border: 1px solid var(--line); border-radius: .6rem; background: var(--card) }
.card > div { padding: .8rem 1rem 1rem }
.number { font-variant-numeric: tabular-nums; color: var(--pale) }
.track { display: block; height: .3rem; border-radius: .15rem; background: var(--track) }
.track i { display: block; height: 100%; border-radius: inherit; background: var(--bar) }
""".strip()


def page(title: str, body: Iterable[str], *, style: str = "", script: str = "") -> Iterator[str]:
    """The whole page, piece by piece. `title` is text, `body` HTML, `style` rules beside the common ones.

    No script runs but the one given, which comes last.
    """
    allowed = f"script-src 'sha256-{_sha256(script)}'; " if script else ""
    yield f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'; \
{allowed}base-uri 'none'; form-action 'none'">
<title>{escape(title)}</title>
<style>
{_STYLE}
{style}</style>
</head>
<body>
<h1>{escape(title)}</h1>
"""
    yield from body
    yield f"<script>{script}</script>\n" if script else ""
    yield "</body>\n</html>\n"


def picture(jpeg: bytes, name: str) -> str:
    """An image element that holds the JPEG itself; `name` is for those who cannot see it."""
    return f'<img alt="{escape(name)}" src="data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}">'


def bar(share: float) -> str:
    """A bar filled to a share of 0 to 1."""
    return f'<span class="track"><i style="width: {100 * min(1.0, max(0.0, share)):.1f}%"></i></span>'


def _sha256(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
