"""What each view shows while the server works: held back here, then let through to the real one."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from hands import drop_file, paint_disc
from on_the_way import held, met, wait_until

pytestmark = pytest.mark.browser

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True, "color_scheme": "dark"}
windows = pytest.mark.parametrize("page", [{}, PHONE], ids=["desk", "phone"], indirect=True)
SEARCH, CLASSIFY, THUMBNAILS = "**/v1/search", "**/v1/classify", "**/thumbnail*"


def waiting(page: Page, label: str) -> Locator:
    return page.locator(".waiting").filter(has_text=re.compile(f"^{label}$"), visible=True)


@windows
def test_a_first_search_turns_until_there_are_results(page: Page, searched: str) -> None:
    with held(page, "**/v1/library"):
        page.goto(searched)
        expect(waiting(page, "Loading")).to_have_count(1)
    expect(page.get_by_text("Search 75 photos")).to_be_visible()
    results = page.get_by_role("region", name="Results")
    with held(page, SEARCH):
        page.get_by_role("searchbox").fill("a cat")
        page.keyboard.press("Enter")
        expect(results).to_have_attribute("aria-busy", "true")
        expect(page.locator(".result-line")).to_have_text("Searching…")
        expect(waiting(page, "Searching")).to_have_count(1)
    expect(page.locator(".hit")).to_have_count(40)
    expect(results).to_have_attribute("aria-busy", "false")
    expect(page.locator(".result-line")).to_have_text(re.compile("^(Best match first|Nothing matches)"))
    expect(page.locator(".result-place > .waiting")).to_have_count(0)


@windows
def test_photos_have_their_places_before_they_are_loaded(page: Page, searched: str) -> None:
    first = page.locator(".hit").first
    with held(page, THUMBNAILS) as routes:
        page.goto(f"{searched}#search?q=a+cat")
        expect(page.locator(".hit")).to_have_count(40)
        before = first.bounding_box()
        wait_until(page, lambda: bool(routes))
        assert first.locator("img").evaluate("image => image.naturalWidth") == 0
        paper = first.locator(".open").evaluate("place => getComputedStyle(place).backgroundColor")
        assert paper != page.evaluate("getComputedStyle(document.body).backgroundColor")
    wait_until(page, lambda: first.locator("img").evaluate("image => image.naturalWidth") > 0)
    assert first.bounding_box() == before


@windows
def test_a_further_search_keeps_the_photos_of_before_paler(page: Page, searched: str) -> None:
    page.goto(f"{searched}#search?q=a+cat")
    expect(page.locator(".hit").first).to_be_visible()
    grid = page.locator(".grid")
    with held(page, SEARCH):
        page.get_by_role("searchbox").fill("a rocket")
        page.keyboard.press("Enter")
        expect(page.locator(".result-line")).to_have_text("Searching…")
        expect(grid).to_have_css("opacity", "0.55")
        expect(page.locator(".hit")).to_have_count(40)
    expect(page.locator(".hit").first).to_contain_text("rocket")
    expect(grid).to_have_css("opacity", "1")


@windows
def test_the_end_of_the_photos_turns_while_more_come(page: Page, searched: str) -> None:
    page.goto(f"{searched}#search?q=a+cat")
    expect(page.locator(".hit")).to_have_count(40)
    with held(page, SEARCH):
        page.evaluate("scrollTo(0, document.body.scrollHeight)")
        expect(waiting(page, "Loading more")).to_have_count(1)
        expect(page.locator(".hit")).to_have_count(40)
    expect(page.locator(".hit")).to_have_count(75)
    expect(page.locator(".waiting")).to_have_count(0)


def test_a_search_that_is_tried_again_takes_the_failure_away_and_keeps_the_keyboard_in_its_place(
    page: Page, searched: str, complaints: list[str]
) -> None:
    with met(page, SEARCH):
        page.goto(f"{searched}#search?q=a+cat")
        again = page.get_by_role("button", name="Try again")
        again.focus()
    with held(page, SEARCH):
        page.keyboard.press("Enter")
        expect(waiting(page, "Searching")).to_have_count(1)
        expect(page.get_by_role("alert")).to_have_count(0)
        expect(page.get_by_role("region", name="Results")).to_be_focused()
    expect(page.locator(".hit")).to_have_count(40)
    assert all("ERR_FAILED" in said for said in complaints)
    complaints.clear()


@windows
def test_the_library_turns_until_it_is_known_and_also_when_it_is_tried_again(
    page: Page, searched: str, complaints: list[str]
) -> None:
    with held(page, "**/v1/library"):
        page.goto(f"{searched}#library")
        expect(waiting(page, "Loading the library")).to_have_count(1)
    expect(page.locator(".total")).to_have_text("75 photos")
    expect(page.locator(".waiting")).to_have_count(0)
    with met(page, "**/v1/library"):
        page.reload()
        again = page.get_by_role("button", name="Try again")
        expect(again).to_be_visible()
    with held(page, "**/v1/library"):
        again.click()
        expect(waiting(page, "Loading the library")).to_have_count(1)
        expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator(".total")).to_have_text("75 photos")
    assert all("ERR_FAILED" in said for said in complaints)
    complaints.clear()


def test_failures_stay_while_they_are_looked_up_anew(page: Page, searched: str) -> None:
    page.goto(f"{searched}#library")
    row = page.get_by_role("row").filter(has_text="broken.jpg")
    expect(row).to_be_visible()
    page.get_by_role("link", name="Draw", exact=True).click()
    with held(page, "**/v1/library/failures*") as routes:
        with page.expect_request("**/v1/library/failures*"):
            page.get_by_role("link", name="Library", exact=True).click()
        expect(row).to_be_visible()
        wait_until(page, lambda: bool(routes))
    expect(row).to_have_count(1)


@windows
def test_classify_turns_until_the_first_bars_and_stirs_them_while_newer_come(
    page: Page, without_library: str, photographs: Path
) -> None:
    page.goto(f"{without_library}#classify?label=cat&label=dog")
    expect(page.locator(".invitation")).to_be_visible()
    result = page.get_by_role("region", name="Result")
    with held(page, CLASSIFY):
        drop_file(page, ".view.classify", photographs / "holiday" / "chelsea.jpg")
        expect(waiting(page, "Classifying")).to_have_count(1)
        expect(result).to_have_attribute("aria-busy", "true")
    expect(page.locator(".bar")).to_have_count(2)
    expect(page.locator(".waiting")).to_have_count(0)
    expect(result).not_to_have_attribute("aria-busy", re.compile(""))
    fill = page.locator(".bar .fill").first
    expect(fill).to_have_css("animation-name", "none")
    with held(page, CLASSIFY):
        page.get_by_label("Labels", exact=True).fill("horse")
        expect(result).to_have_attribute("aria-busy", "true")
        expect(page.locator(".bar")).to_have_count(2)
        expect(fill).to_have_css("animation-name", "pulse")
    expect(page.locator(".bar")).to_have_count(3)
    expect(fill).to_have_css("animation-name", "none")


@windows
def test_a_picture_that_is_being_read_says_so(page: Page, without_library: str, photographs: Path) -> None:
    with held(page, "**/v1/server"):  # what the server takes is asked before a picture is made ready
        page.goto(f"{without_library}#classify")
        expect(page.locator(".invitation")).to_be_visible()
        drop_file(page, ".view.classify", photographs / "holiday" / "chelsea.jpg")
        expect(waiting(page, "Reading the picture")).to_have_count(1)
        expect(page.locator(".invitation")).to_be_hidden()
    expect(page.locator(".bar").first).to_be_visible()
    expect(page.locator(".waiting")).to_have_count(0)


def test_a_picture_for_a_search_that_is_being_read_says_so(page: Page, searched: str, photographs: Path) -> None:
    page.goto(searched)
    expect(page.get_by_text("Search 75 photos")).to_be_visible()
    page.evaluate("() => { HTMLImageElement.prototype.decode = () => new Promise((go) => (globalThis.goOn = go)); }")
    drop_file(page, ".view.search", photographs / "holiday" / "chelsea.jpg")
    expect(page.get_by_text("Reading the picture…")).to_be_visible()
    page.evaluate("goOn()")
    expect(page.locator(".hit").first).to_contain_text("chelsea")
    expect(page.get_by_text("Reading the picture…")).to_have_count(0)


@windows
def test_draw_gets_ready_before_it_starts(page: Page, without_library: str) -> None:
    with held(page, CLASSIFY):
        page.goto(f"{without_library}#draw")
        ready = page.get_by_role("button", name="Getting ready…")
        expect(ready).to_be_disabled()
    start = page.get_by_role("button", name="Start", exact=True)
    expect(start).to_be_enabled()
    expect(ready).to_have_count(0)


@windows
def test_a_drawing_is_looked_at_until_it_is_ranked(page: Page, without_library: str) -> None:
    ranking = page.get_by_role("region", name="Ranking")
    glance = page.locator(".glance")
    with held(page, CLASSIFY):
        page.goto(f"{without_library}#draw?practice=1")
        paint_disc(page, "yellow")
        expect(waiting(page, "Looking at the drawing")).to_have_count(1)
        expect(ranking).to_have_attribute("aria-busy", "true")
        expect(glance).to_have_text("Looking…")
    expect(page.locator(".ranking .bar .name").first).to_have_text("lemon")
    expect(ranking).to_have_attribute("aria-busy", "false")
    expect(glance).to_have_text(re.compile("Looks like lemon"))
    expect(waiting(page, "Looking at the drawing")).to_have_count(0)


def test_a_drawing_that_nobody_got_to_look_at_in_time_waits_no_longer(page: Page, without_library: str) -> None:
    page.clock.install()
    page.goto(f"{without_library}#draw")
    page.get_by_role("button", name="Start", exact=True).click()
    with held(page, CLASSIFY) as routes:
        page.locator(".sheet").click()
        expect(waiting(page, "Looking at the drawing")).to_have_count(1)
        page.clock.run_for(61_000)
        expect(page.locator(".outcome")).to_contain_text("Time is up")
        expect(waiting(page, "Looking at the drawing")).to_have_count(0)
        expect(page.get_by_role("region", name="Ranking")).to_have_attribute("aria-busy", "false")
        routes.clear()  # the page has stopped it
