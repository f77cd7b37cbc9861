"""The Draw view: a sheet that is ranked while one draws, and the game on it."""

import re
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qsl, urlsplit

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from hands import choose, fill_sheet, paint_disc
from on_the_way import met

pytestmark = pytest.mark.browser

CLASSIFY = "**/v1/classify"
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
_DOOR = ((0.3, 0.12), (0.7, 0.12), (0.7, 0.88), (0.3, 0.88))  # its corners, as shares of the sheet
MOST_SKIPS = 40  # the deck has 30 words


def open_view(page: Page, address: str, more: str = "") -> None:
    page.goto(f"{address}#draw{more}")
    expect(page.locator(".sheet")).to_be_visible()


def open_with_clock(page: Page, address: str) -> None:
    """The view, ready to start, while no time passes but what a test lets pass."""
    noon = datetime(2026, 5, 31, 12, tzinfo=UTC)
    page.clock.install(time=noon)
    open_view(page, address)
    expect(button(page, "Start")).to_be_enabled()
    page.clock.pause_at(noon + timedelta(hours=1))


def ranked(page: Page) -> Locator:
    return page.locator(".ranking .bar .name")


def button(page: Page, name: str) -> Locator:
    return page.get_by_role("button", name=name, exact=True)


def word(page: Page) -> str:
    return page.locator(".task strong").inner_text()


def start_with(page: Page, wanted: str) -> None:
    """Start, and skip words until it is this one."""
    button(page, "Start").click()
    for _ in range(MOST_SKIPS):
        if word(page) == wanted:
            return
        button(page, "Skip").click()
    raise AssertionError(f"{wanted} did not come")


def color_at(page: Page, x: float, y: float) -> list[int]:
    """Red, green and blue of the sheet, at shares of its width and height."""
    pixel = "(sheet, [x, y]) => [...sheet.getContext('2d').getImageData(x * 512, y * 512, 1, 1).data].slice(0, 3)"
    return list(page.locator(".sheet").evaluate(pixel, [x, y]))


def test_what_is_painted_is_ranked_and_the_ranking_follows(page: Page, without_library: str) -> None:
    open_view(page, without_library, "?practice=1")
    expect(page.get_by_text("stands here while you draw")).to_be_visible()
    paint_disc(page, "yellow")
    expect(ranked(page).first).to_have_text("lemon")
    button(page, "Clear the sheet").click()
    expect(page.get_by_text("stands here while you draw")).to_be_visible()
    paint_disc(page, "orange", width=0.6, height=0.6)
    expect(ranked(page).first).to_have_text("orange")


def test_a_word_that_gets_to_the_top_in_time_brings_points(page: Page, without_library: str) -> None:
    open_view(page, without_library)
    start_with(page, "lemon")
    paint_disc(page, "yellow")
    expect(page.get_by_text(re.compile(r"Got it: lemon is first\. \d+ points\."))).to_have_count(2)  # shown and said
    won = int(re.findall(r"(\d+) points", page.locator(".outcome").inner_text())[0])
    assert 100 < won <= 220
    expect(page.locator(".score")).to_have_text(f"Score {won}")
    expect(page.locator(".bar.marked .name")).to_have_text("lemon")
    before = color_at(page, 0.5, 0.5)
    choose(page, "red")
    page.locator(".sheet").click()
    assert color_at(page, 0.5, 0.5) == before  # the round is over
    button(page, "Next word").click()
    assert color_at(page, 0.5, 0.5) == [255, 255, 255]
    expect(page.locator(".time")).to_have_text(re.compile(r"60|5\d"))


def test_a_door_is_taken_for_one_as_an_outline_and_when_it_is_filled(page: Page, without_library: str) -> None:
    open_view(page, without_library, "?practice=1")
    box = page.locator(".sheet").bounding_box()
    assert box is not None
    corners = [(box["x"] + x * box["width"], box["y"] + y * box["height"]) for x, y in _DOOR]
    choose(page, "black")
    page.mouse.move(*corners[0])
    page.mouse.down()
    for corner in (*corners[1:], corners[0]):
        page.mouse.move(*corner, steps=6)
    page.mouse.up()
    expect(ranked(page).first).to_have_text("door")
    choose(page, "Fill an area")
    choose(page, "brown")
    page.locator(".sheet").click()
    assert color_at(page, 0.5, 0.5) != [255, 255, 255]
    page.wait_for_load_state("networkidle")
    expect(ranked(page).first).to_have_text("door")


def test_a_minute_passes_and_says_so(page: Page, without_library: str) -> None:
    open_with_clock(page, without_library)
    button(page, "Start").click()
    given = word(page)
    expect(page.get_by_role("status").filter(has_text=f"Draw: {given}. 60 seconds.")).to_have_count(1)
    page.clock.run_for(31_300)  # it ticks five times a second: the last tick is then a good fraction past 31
    expect(page.get_by_role("status").filter(has_text="30 seconds left.")).to_have_count(1)
    assert 25 <= int(page.locator(".time").inner_text()) <= 29
    page.clock.run_for(20_000)
    expect(page.get_by_role("status").filter(has_text="10 seconds left.")).to_have_count(1)
    page.clock.run_for(10_000)
    expect(page.locator(".outcome")).to_have_text(f"Time is up: {given} is not among the first five.")
    expect(page.locator(".score")).to_have_text("Score 0")
    button(page, "Next word").click()
    assert word(page) != given


def test_the_clock_rests_while_another_view_is_in_sight(page: Page, without_library: str) -> None:
    open_with_clock(page, without_library)
    button(page, "Start").click()
    given = word(page)
    page.get_by_role("link", name="Classify").click()
    expect(page.get_by_text("Drop a picture here")).to_be_visible()
    page.clock.run_for(90_000)
    page.get_by_role("link", name="Draw").click()
    expect(page.locator(".task strong")).to_have_text(given)
    assert int(page.locator(".time").inner_text()) > 50


def test_the_rules_count_time_place_and_words_in_a_row(page: Page, without_library: str) -> None:
    page.goto(without_library)
    points = page.evaluate(
        """async () => {
          const { pointsOf } = await import("./web/game.js");
          return [[1, 60, 0], [1, 12.2, 2], [1, 1, 9], [2, 0, 3], [5, 0, 0], [6, 0, 4], [null, 0, 0]]
            .map(([rank, secondsLeft, streak]) => pointsOf({ rank, secondsLeft, streak }));
        }"""
    )
    assert points == [220, 146, 152, 50, 20, 0, 0]


def test_words_in_a_row_are_counted_until_one_is_skipped_and_none_comes_twice(page: Page, without_library: str) -> None:
    page.goto(without_library)
    story = page.evaluate(
        """async () => {
          const { createGame } = await import("./web/game.js");
          let now = 0;
          const game = createGame(["a", "b", "c"], { now: () => now, random: () => 0.4 });
          const words = [];
          const streaks = [];
          const play = (finish) => {
            game.next();
            words.push(game.state().word);
            finish();
            streaks.push(game.state().streak);
          };
          play(() => game.judge(1));
          play(() => { game.judge(3); game.judge(1); });
          play(() => {});
          play(() => game.judge(1));
          play(() => { game.judge(2); now += 61; game.tick(); });
          return { words, streaks, phase: game.state().phase, points: game.state().points };
        }"""
    )
    assert sorted(story["words"][:3]) == ["a", "b", "c"]
    assert all(one != next for one, next in zip(story["words"], story["words"][1:], strict=False))
    assert story["streaks"] == [1, 2, 2, 1, 0]
    assert (story["phase"], story["points"]) == ("over", 50)


def test_the_deck_has_thirty_words(page: Page, without_library: str) -> None:
    page.goto(without_library)
    deck = page.evaluate("async () => (await import('./web/deck.js')).DECK")
    assert len(deck) == len(set(deck)) == 30


def test_practice_takes_words_of_ones_own_and_keeps_them_in_the_link(page: Page, without_library: str) -> None:
    open_view(page, without_library)
    page.get_by_text("Practice", exact=True).click()
    page.get_by_label("Words to tell apart").fill("a lemon, a bicycle, ")
    expect(page.locator(".label-chip")).to_have_count(2)
    paint_disc(page, "yellow")
    expect(ranked(page)).to_have_text(["a lemon", "a bicycle"])
    fragment = urlsplit(page.evaluate("location.href")).fragment
    assert parse_qsl(fragment.partition("?")[2]) == [("practice", "1"), ("word", "a lemon"), ("word", "a bicycle")]
    page.reload()
    expect(page.locator(".label-chip .edit")).to_have_text(["a lemon", "a bicycle"])
    expect(page.locator(".time")).to_be_hidden()


def test_strokes_are_undone_cleared_and_erased(page: Page, without_library: str) -> None:
    open_view(page, without_library, "?practice=1")
    white = [255, 255, 255]
    choose(page, "red")
    page.locator(".sheet").click()
    red = color_at(page, 0.5, 0.5)
    assert red != white
    choose(page, "Eraser")
    page.locator(".sheet").click()
    assert color_at(page, 0.5, 0.5) == white
    button(page, "Undo").click()
    assert color_at(page, 0.5, 0.5) == red
    button(page, "Clear the sheet").click()
    assert color_at(page, 0.5, 0.5) == white
    for _ in range(3):  # the clearing, the stroke, and once more than there is
        button(page, "Undo").click()
    assert color_at(page, 0.5, 0.5) == white
    expect(page.get_by_text("stands here while you draw")).to_be_visible()


def test_filling_stops_at_lines_and_leaves_no_seam(page: Page, without_library: str) -> None:
    open_view(page, without_library, "?practice=1")
    paint_disc(page, "green", width=0.5, height=0.5)
    inside = {tuple(color_at(page, x / 100, 0.5)) for x in range(28, 73)}
    assert len(inside) == 1
    assert color_at(page, 0.1, 0.1) == [255, 255, 255]


def test_a_size_of_the_brush_is_the_width_of_its_line(page: Page, without_library: str) -> None:
    open_view(page, without_library, "?practice=1")
    page.get_by_label("Size of the brush").fill("60")
    page.locator(".sheet").click()
    assert color_at(page, 0.5, 0.55) != [255, 255, 255]
    assert color_at(page, 0.5, 0.58) == [255, 255, 255]


def test_the_keyboard_alone_chooses_tools_and_draws(page: Page, without_library: str) -> None:
    open_view(page, without_library, "?practice=1")
    page.get_by_label("Brush", exact=True).focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_label("Fill an area")).to_be_checked()
    page.get_by_label("black").focus()
    for _ in range(7):
        page.keyboard.press("ArrowRight")
    expect(page.get_by_label("yellow")).to_be_checked()
    page.locator(".sheet").focus()
    page.keyboard.press("Space")
    assert color_at(page, 0.1, 0.1) == color_at(page, 0.9, 0.9) != [255, 255, 255]
    expect(ranked(page).first).to_be_visible()
    page.get_by_label("Brush", exact=True).check(force=True)
    page.get_by_label("black").check(force=True)
    page.locator(".sheet").focus()
    page.keyboard.press("ArrowLeft")
    expect(page.locator(".pen-point")).to_be_visible()
    page.keyboard.press("Space")
    for _ in range(5):
        page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowUp")
    assert color_at(page, (256 - 10) / 512, (256 - 30) / 512) == [29, 32, 36]
    assert color_at(page, (256 - 10) / 512, (256 - 70) / 512) != [29, 32, 36]


@pytest.mark.parametrize("page", [PHONE], indirect=True)
def test_a_finger_draws_on_a_phone_and_nothing_scrolls_sideways(page: Page, without_library: str) -> None:
    open_view(page, without_library, "?practice=1")
    page.get_by_title("Fill an area").tap()
    page.get_by_title("yellow").tap()
    page.locator(".sheet").tap()
    assert color_at(page, 0.2, 0.8) != [255, 255, 255]
    expect(ranked(page).first).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.locator(".sheet").evaluate("sheet => getComputedStyle(sheet).touchAction") == "none"


@pytest.mark.parametrize("page", [PHONE], indirect=True)
def test_on_a_phone_the_first_guess_stands_above_the_sheet(page: Page, without_library: str) -> None:
    open_view(page, without_library, "?practice=1")
    glance = page.locator(".glance")
    expect(glance).to_have_text("Looks like nothing yet")
    before = page.locator(".sheet").bounding_box()
    paint_disc(page, "yellow")
    expect(glance).to_have_text(re.compile(r"Looks like lemon \d+%"))
    assert page.locator(".sheet").bounding_box() == before
    page.locator(".toolbox").evaluate("tools => tools.scrollIntoView({ block: 'end' })")
    expect(glance).to_be_in_viewport()


@pytest.mark.parametrize("page", [PHONE], indirect=True)
def test_on_a_phone_the_place_of_the_word_stands_above_the_sheet(page: Page, without_library: str) -> None:
    open_view(page, without_library)
    start_with(page, "penguin")
    paint_disc(page, "yellow")
    expect(page.locator(".glance")).to_have_text(re.compile(r"Looks like .+%penguin: no\. \d+"))
    expect(page.locator(".glance")).to_be_in_viewport()


@pytest.mark.parametrize("page", [{"viewport": {"width": 320, "height": 640}}], indirect=True)
def test_tools_wrap_in_a_narrow_window(page: Page, without_library: str) -> None:
    open_view(page, without_library)
    assert page.evaluate("document.documentElement.scrollWidth") <= 320


def test_the_small_model_is_said_to_be_small(page: Page, without_library: str) -> None:
    open_view(page, without_library)
    expect(page.get_by_text("A full-size model plays better.")).to_be_visible()


def test_a_request_that_fails_is_shown_and_tried_again(page: Page, without_library: str, complaints: list[str]) -> None:
    open_view(page, without_library, "?practice=1")
    with met(page, CLASSIFY):
        fill_sheet(page, "yellow")
        expect(page.get_by_role("alert")).to_contain_text("The server does not answer.")
    button(page, "Try again").click()
    expect(ranked(page).first).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()
    assert complaints  # the browser's own, of the requests that were cut
    complaints.clear()


def test_a_busy_server_is_asked_again_without_a_word(page: Page, without_library: str, complaints: list[str]) -> None:
    refused: list[str] = []
    open_view(page, without_library, "?practice=1")

    def refuse_twice(route: Route) -> None:
        if len(refused) == 2:
            return route.continue_()
        refused.append(route.request.url)
        return route.fulfill(status=429, content_type="application/json", body=_BUSY)

    page.route(CLASSIFY, refuse_twice)
    paint_disc(page, "yellow")
    expect(ranked(page).first).to_have_text("lemon")
    assert len(refused) == 2
    complaints.clear()  # the browser's own, of the answers 429


_BUSY = '{"type": "urn:diptych:problem:busy", "title": "Busy", "detail": "Ask again.", "status": 429}'
