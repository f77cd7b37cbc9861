"""The page's frame: its views, no request to elsewhere, no address that a proxy's prefix would break."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

import diptych.serve
from hands import drop_file
from on_the_way import met
from serve_command import StartServer

pytestmark = pytest.mark.browser

WEB = Path(diptych.serve.__file__).with_name("web")


def test_each_view_has_a_tab_that_leads_to_it(page: Page, without_library: str) -> None:
    page.goto(without_library)
    for name in ("Classify", "Draw", "Library", "Search"):
        page.get_by_role("link", name=name, exact=True).click()
        expect(page.locator(".tabs [aria-current=page]")).to_have_text(name)
        expect(page).to_have_title(f"{name} · Diptych")


def test_views_open_while_the_server_is_away_and_recover(
    start_server: StartServer, page: Page, complaints: list[str], library: Path
) -> None:
    server = start_server("--library", library)
    page.goto(f"{server.url}/#classify")
    expect(page.get_by_text("Drop a picture here")).to_be_visible()
    with met(page, "**/*"):
        page.get_by_role("link", name="Draw", exact=True).click()
        expect(page.locator(".sheet")).to_be_visible()
        page.get_by_role("link", name="Search", exact=True).click()
        expect(page.get_by_role("alert").filter(visible=True)).to_contain_text("The server does not answer")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_text("Search 75 photos")).to_be_visible()
    assert all("ERR_FAILED" in said for said in complaints)
    complaints.clear()


@pytest.mark.parametrize("view", ["draw", "library", "search"])
def test_a_file_that_is_dropped_beside_a_view_does_not_open_in_its_place(
    page: Page, without_library: str, photographs: Path, view: str
) -> None:
    page.goto(f"{without_library}#{view}")
    expect(page.locator(f".view.{view}")).to_be_visible()
    page.evaluate("addEventListener('drop', (event) => (globalThis.kept = event.defaultPrevented))")
    drop_file(page, ".foot", photographs / "holiday" / "chelsea.jpg")
    assert page.evaluate("kept") is True


def test_a_picture_may_be_dropped_anywhere_on_the_page(page: Page, searched: str, photographs: Path) -> None:
    page.goto(searched)
    expect(page.get_by_text("Search 75 photos")).to_be_visible()
    drop_file(page, ".foot", photographs / "holiday" / "chelsea.jpg")
    expect(page.locator(".chip .name")).to_have_text("chelsea.jpg")


def test_the_page_asks_nothing_of_anybody_else(page: Page, without_library: str) -> None:
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    for view in ("search", "classify", "draw", "library"):
        page.goto(f"{without_library}#{view}")
        page.wait_for_load_state("networkidle")
    assert asked
    assert [url for url in asked if not url.startswith((without_library, "blob:", "data:"))] == []


def test_no_address_in_the_page_begins_at_the_root_of_the_server() -> None:
    rooted = re.compile(r"""(?:["'`(=])/(?:v1|web|login|logout)\b""")
    files = [path for path in WEB.rglob("*") if path.suffix in {".html", ".js", ".css"}]
    assert len(files) > 10
    assert [path.name for path in files if rooted.search(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("page", [{"color_scheme": "dark"}, {"color_scheme": "light"}], indirect=True)
def test_the_page_is_as_dark_as_the_system_asks(page: Page, without_library: str) -> None:
    page.goto(without_library)
    wanted = page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches")
    red = int(page.evaluate("getComputedStyle(document.body).backgroundColor").split("(")[1].split(",")[0])
    assert (red < 64) == wanted


def test_a_skip_link_is_the_first_thing_that_the_keyboard_reaches(page: Page, without_library: str) -> None:
    page.goto(without_library)
    expect(page.get_by_role("heading", name="No library here")).to_be_visible()
    page.keyboard.press("Tab")
    expect(page.get_by_text("Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#view")).to_be_focused()
    expect(page.get_by_role("heading", name="No library here")).to_be_visible()


def test_the_page_works_under_a_prefix(start_server: StartServer, page: Page, library: Path) -> None:
    server = start_server("--root-path", "/clip", "--library", library)
    assert server.url.endswith("/clip")
    page.goto(f"{server.url}/#search?q=a+cat")
    photo = page.locator(".hit img").first
    expect(photo).to_be_visible()
    assert "/clip/v1/photos/" in photo.evaluate("image => image.decode().then(() => image.currentSrc)")
