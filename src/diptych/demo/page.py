"""A look as one HTML file that needs nothing beside it."""

from collections.abc import Iterator
from html import escape

from diptych.demo.look import Look, Photo, Search
from diptych.page import bar, page, picture
from diptych.zeroshot import Label

_STYLE = """
.card > img { display: block; width: 100%; height: 11rem; object-fit: cover; object-position: 50% 20% }
.label { display: grid; grid-template-columns: 1fr auto; gap: 0 .75rem; padding: .15rem 0; font-size: .9rem }
.label span:first-child { overflow-wrap: anywhere } .label:first-child { font-weight: 600 }
.label .track { grid-column: 1 / -1 }
.searches { display: grid; grid-template-columns: repeat(auto-fill, minmax(20rem, 1fr)); gap: 1rem }
.hits { display: grid; grid-template-columns: repeat(3, 1fr); gap: .5rem } .hits figure { margin: 0 }
.hits img { display: block; width: 100%; aspect-ratio: 1; object-fit: cover; border-radius: .35rem }
.hits figcaption { font-size: .78rem; overflow-wrap: anywhere }
""".lstrip()


def render(look: Look, *, model: str, unread: list[str]) -> str:
    """The whole page; `unread` are lines on photos that could not be read."""
    named = f"Named and found by words, by the model <code>{escape(model)}</code>, without training for these labels."
    opening = f"<p>{named}</p>\n"
    sections = [opening, _photos(look), _searches(look) if look.searches else "", _unread(unread) if unread else ""]
    return "".join(page("Diptych: a first look", sections, style=_STYLE))


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
    return f"""<li class="card">{picture(photo.thumbnail, photo.name)}<div><h3>{escape(photo.name)}</h3>
<ul>{rows}</ul></div></li>
"""


def _label(label: Label) -> str:
    percent = f"{100 * label.probability:.1f}%"
    return (
        f'<li class="label"><span>{escape(label.name)}</span>'
        f'<span class="number" title="cosine {label.cosine:.3f}">{percent}</span>{bar(label.probability)}</li>'
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
            f"<figure>{picture(photo.thumbnail, photo.name)}"
            f'<figcaption>{escape(photo.name)} <span class="number">{cosine:.3f}</span></figcaption></figure>'
        )


def _unread(lines: list[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>\n" for line in lines)
    return f"<h2>Not read</h2>\n<ul>\n{items}</ul>\n"
