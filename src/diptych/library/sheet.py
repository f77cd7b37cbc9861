"""Contact sheets: photos in groups on one HTML page that needs nothing beside it."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Final

from diptych.errors import printable
from diptych.files import atomic_write, is_web_address
from diptych.library.paths import Source
from diptych.library.thumbnails import Thumbnail
from diptych.page import bar, page, picture

_STYLE: Final = """
h1 { margin-bottom: 1rem }
.photos { grid-template-columns: repeat(auto-fill, minmax(11rem, 1fr)) }
.card a { display: block; color: inherit; text-decoration: none }
.shown { display: grid; place-items: center; height: 11rem; background: var(--track) }
.shown img { display: block; width: 100%; height: 11rem; object-fit: contain }
.reason { padding: 1rem; color: var(--pale); font-size: .85rem; overflow-wrap: anywhere }
.card > div { padding: .55rem .8rem .8rem; font-size: .85rem; overflow-wrap: anywhere }
.card .track { margin-top: .35rem }
""".lstrip()


@dataclass(frozen=True, kw_only=True)
class SheetPhoto:
    """One photo of a sheet. `caption` is plain text; `bar` fills one to a share of 0 to 1."""

    source: Source
    thumbnail: Thumbnail
    caption: str = ""
    bar: float | None = None


def write_sheet(
    target: Path, title: str, groups: Iterable[tuple[str, Iterable[SheetPhoto]]], *, about: Sequence[str] = ()
) -> None:
    """Write the page, whole or not at all. A group is a heading, which may be empty, and its photos.

    All texts are plain. `about` are paragraphs under the title. Photos may come from a generator: each is written as it
    comes. Raises OSError where the file cannot be written.
    """
    with (
        atomic_write(target) as temporary,
        temporary.open("w", encoding="utf-8", errors="backslashreplace", newline="\n") as file,
    ):
        file.writelines(page(title, _body(groups, about), style=_STYLE))


def _body(groups: Iterable[tuple[str, Iterable[SheetPhoto]]], about: Sequence[str]) -> Iterator[str]:
    for paragraph in about:
        yield f"<p>{escape(paragraph)}</p>\n"
    for heading, photos in groups:
        yield f"<h2>{escape(heading)}</h2>\n" if heading else ""
        yield '<ul class="photos">\n'
        yield from map(_card, photos)
        yield "</ul>\n"


def _card(photo: SheetPhoto) -> str:
    source = photo.source
    name = printable(source.path.name if source.is_file else source)
    reason = f'<span class="reason">{escape(photo.thumbnail.reason)}</span>'
    shown = picture(photo.thumbnail.jpeg, name) if photo.thumbnail.jpeg else reason
    framed = f'<span class="shown">{shown}</span>'
    if address := _address(source):
        framed = f'<a href="{escape(address)}" title="{escape(printable(source))}">{framed}</a>'
    caption = f'<br><span class="number">{escape(photo.caption)}</span>' if photo.caption else ""
    filled = "" if photo.bar is None else bar(photo.bar)
    return f'<li class="card">{framed}<div>{escape(name)}{caption}{filled}</div></li>\n'


def _address(source: Source) -> str | None:
    """What a browser opens; of text that is no address of the web, nothing, since it could be a script."""
    if source.is_file:
        return source.path.absolute().as_uri()
    return source if is_web_address(source) else None
