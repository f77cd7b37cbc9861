"""A look as one HTML file that needs nothing beside it: pictures inline, no script, nothing fetched, light and dark."""

import base64
from collections.abc import Iterator
from html import escape

from diptych.demo.look import Look, Photo, Search
from diptych.zeroshot import Label

_STYLE = """
:root { color-scheme: light dark; --paper: #fbfaf7; --card: #fff; --ink: #1f2328; --pale: #656d76; --line: #e3e0d8;
  --bar: #2f6f8f; --track: #eceae4 }
@media (prefers-color-scheme: dark) {
  :root { --paper: #17181a; --card: #212327; --ink: #e7e6e3; --pale: #9aa0a8; --line: #34373d; --bar: #6fb6d6;
    --track: #2d3036 }
}
* { box-sizing: border-box }
body { margin: 0 auto; padding: 2.5rem 1.25rem 4rem; max-width: 76rem; background: var(--paper); color: var(--ink);
  font: 16px/1.5 system-ui, sans-serif }
h1 { margin: 0; font-size: 1.7rem } h2 { margin: 2.5rem 0 1rem; font-size: 1.2rem }
h3 { margin: 0 0 .5rem; font-size: 1rem; overflow-wrap: anywhere }
p { margin: .4rem 0 .8rem; max-width: 46rem; color: var(--pale) } code { font-size: .9em }
ul { margin: 0; padding: 0; list-style: none }
.photos { display: grid; grid-template-columns: repeat(auto-fill, minmax(15rem, 1fr)); gap: 1rem }
.card { overflow: hidden; border: 1px solid var(--line); border-radius: .6rem; background: var(--card) }
.card > img { display: block; width: 100%; height: 11rem; object-fit: cover;
  object-position: 50% 20% } .card > div { padding: .8rem 1rem 1rem }
.label { display: grid; grid-template-columns: 1fr auto; gap: 0 .75rem; padding: .15rem 0; font-size: .9rem }
.label span:first-child { overflow-wrap: anywhere } .label:first-child { font-weight: 600 }
.number { font-variant-numeric: tabular-nums; color: var(--pale) }
.track { grid-column: 1 / -1; height: .3rem; border-radius: .15rem; background: var(--track) }
.track i { display: block; height: 100%; border-radius: inherit; background: var(--bar) }
.searches { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem }
.hits { display: grid; grid-template-columns: repeat(3, 1fr); gap: .5rem } .hits figure { margin: 0 }
.hits img { display: block; width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: .35rem }
.hits figcaption { font-size: .78rem; overflow-wrap: anywhere }
""".strip()


def render(look: Look, *, model: str, unread: list[str]) -> str:
    """The whole page; `unread` are lines on photos that could not be read."""
    sections = [_photos(look), _searches(look) if look.searches else "", _unread(unread) if unread else ""]
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<title>Diptych: a first look</title>
<style>
{_STYLE}
</style>
</head>
<body>
<h1>Diptych: a first look</h1>
<p>Named and found by words, by the model <code>{escape(model)}</code>, without training for these labels.</p>
{"".join(sections)}</body>
</html>
"""


def _photos(look: Look) -> str:
    cards = "".join(_card(photo) for photo in look.photos)
    return f"""<h2>Named: which of {len(look.labels)} labels?</h2>
<p>Percentages are among the labels offered, so each photo has a winner even where none of them fits.</p>
<p>Offered: {escape(", ".join(look.labels[:40]))}{", ..." if len(look.labels) > 40 else ""}.</p>
<ul class="photos">
{cards}</ul>
"""


def _card(photo: Photo) -> str:
    rows = "".join(_label(label) for label in photo.labels)
    return f"""<li class="card">{_image(photo)}<div><h3>{escape(photo.name)}</h3>
<ul>{rows}</ul></div></li>
"""


def _label(label: Label) -> str:
    percent = f"{100 * label.probability:.1f}%"
    return (
        f'<li class="label"><span>{escape(label.name)}</span>'
        f'<span class="number" title="cosine {label.cosine:.3f}">{percent}</span>'
        f'<span class="track"><i style="width: {percent}"></i></span></li>'
    )


def _searches(look: Look) -> str:
    cards = "".join(_search(search) for search in look.searches)
    return f"""<h2>Found: which photos fit these words?</h2>
<p>The nearest first, with the cosine between the words and the picture.</p>
<ul class="searches">
{cards}</ul>
"""


def _search(search: Search) -> str:
    return f"""<li class="card"><div><h3>“{escape(search.text)}”</h3>
<div class="hits">{"".join(_hits(search))}</div></div></li>
"""


def _hits(search: Search) -> Iterator[str]:
    for photo, cosine in search.hits:
        yield (
            f'<figure>{_image(photo)}<figcaption>{escape(photo.name)} <span class="number">{cosine:.3f}</span>'
            "</figcaption></figure>"
        )


def _unread(lines: list[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>\n" for line in lines)
    return f"<h2>Not read</h2>\n<ul>\n{items}</ul>\n"


def _image(photo: Photo) -> str:
    data = base64.b64encode(photo.thumbnail).decode()
    return f'<img alt="{escape(photo.name)}" src="data:image/jpeg;base64,{data}">'
