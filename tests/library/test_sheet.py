"""Contact sheets: what is on them, that strange names harm nobody, and that they need nothing beside them."""

import base64
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import unquote_to_bytes, urlsplit

import pytest

from diptych.library.paths import Source
from diptych.library.sheet import SheetPhoto, write_sheet
from diptych.library.thumbnails import Thumbnail

MADE = Thumbnail(jpeg=b"\xff\xd8 a jpeg \xff\xd9")


class Page(HTMLParser):
    """Elements with their attributes, and the text between them."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, Any]]] = []
        self.texts: list[str] = []
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.texts.append(data.strip())

    def all(self, tag: str, attribute: str) -> list[Any]:
        return [attributes[attribute] for name, attributes in self.elements if name == tag and attribute in attributes]


def file_source(path: str) -> Source:
    return Source(path, is_file=True, root="/", name=path.lstrip("/"))


def sheet_of(folder: Path, *photos: SheetPhoto, title: str = "Found", heading: str = "dogs") -> Page:
    write_sheet(folder / "sheet.html", title, [(heading, photos)])
    return Page(folder / "sheet.html")


def test_a_photo_has_picture_link_name_caption_and_bar(tmp_path: Path) -> None:
    page = sheet_of(
        tmp_path,
        SheetPhoto(source=file_source("/photos/a dog.jpg"), thumbnail=MADE, caption="0.310", bar=0.25),
    )
    (source,) = page.all("img", "src")
    assert base64.b64decode(source.removeprefix("data:image/jpeg;base64,")) == MADE.jpeg
    assert page.all("a", "href") == ["file:///photos/a%20dog.jpg"]
    assert [text for text in page.texts if text in ("dogs", "a dog.jpg", "0.310")] == ["dogs", "a dog.jpg", "0.310"]
    assert page.all("i", "style") == ["width: 25.0%"]


def test_without_a_picture_its_reason_stands_there(tmp_path: Path) -> None:
    page = sheet_of(
        tmp_path,
        SheetPhoto(source=file_source("/photos/gone.jpg"), thumbnail=Thumbnail(reason="no such <file>")),
    )
    assert "no such <file>" in page.texts
    assert not page.all("img", "src")
    assert not page.all("i", "style")


def test_names_are_text_and_links_lead_to_their_very_bytes(tmp_path: Path) -> None:
    names = ['"><script>alert(1)</script>', "two\nlines", "cat \N{CAT FACE}", "caf\udce9", "50% #1?"]
    page = sheet_of(
        tmp_path,
        *(
            SheetPhoto(source=file_source(str(tmp_path / name.replace("/", "\u2215"))), thumbnail=MADE, caption=name)
            for name in names
        ),
        title=names[0],
        heading=names[0],
    )
    assert "script" not in {tag for tag, _ in page.elements}
    paths = [unquote_to_bytes(urlsplit(link).path) for link in page.all("a", "href")]
    assert [path.rpartition(b"/")[2] for path in paths] == [
        b'"><script>alert(1)<\xe2\x88\x95script>',
        b"two\nlines",
        b"cat \xf0\x9f\x90\xb1",
        b"caf\xe9",
        b"50% #1?",
    ]
    assert {"'two\\nlines'", "cat \N{CAT FACE}", "'caf\\udce9'"} <= set(page.texts)


def test_an_address_of_the_web_is_a_link_and_no_other_text_is(tmp_path: Path) -> None:
    places = ["https://example.org/a.jpg?x=1&y=2", "javascript:alert(1)", "products.csv#17"]
    page = sheet_of(
        tmp_path,
        *(
            SheetPhoto(source=Source(place, is_file=False, root="table.csv", name=place), thumbnail=MADE)
            for place in places
        ),
    )
    assert page.all("a", "href") == places[:1]


def test_a_sheet_needs_nothing_and_may_do_nothing(tmp_path: Path) -> None:
    page = sheet_of(tmp_path, SheetPhoto(source=file_source("/a.jpg"), thumbnail=MADE))
    (policy,) = [each["content"] for tag, each in page.elements if tag == "meta" and "http-equiv" in each]
    assert policy.startswith("default-src 'none'; img-src data:")
    assert not {"script", "link", "iframe", "form"} & {tag for tag, _ in page.elements}
    text = (tmp_path / "sheet.html").read_text()
    assert not re.search(r"https?://|url\(|@import", text)


def test_photos_are_written_as_they_come_and_a_failure_leaves_the_old_sheet(tmp_path: Path) -> None:
    def photos(broken: bool) -> Any:  # noqa: ANN401
        yield SheetPhoto(source=file_source("/a.jpg"), thumbnail=MADE)
        if broken:
            raise KeyboardInterrupt

    target = tmp_path / "sheet.html"
    write_sheet(target, "one", [("", photos(broken=False))], about=["Where <they> are."])
    assert "Where <they> are." in Page(target).texts
    before = target.read_bytes()
    with pytest.raises(KeyboardInterrupt):
        write_sheet(target, "two", [("", photos(broken=True))])
    assert target.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["sheet.html"]
