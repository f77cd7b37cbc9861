"""The filters of a search, as somebody types them."""

import re

import pytest
from playwright.sync_api import Page, expect

pytestmark = pytest.mark.browser

PAGE = 40  # hits at first


def open_filters(page: Page, address: str) -> None:
    page.goto(f"{address}#search?q=a+cat")
    expect(page.locator(".hit")).to_have_count(PAGE)
    page.get_by_role("button", name="Filters").click()


@pytest.mark.parametrize("sends", ["Enter", "Search"])
def test_what_is_typed_is_applied(page: Page, searched: str, sends: str) -> None:
    open_filters(page, searched)
    page.get_by_label("Taken since").click()
    page.keyboard.type("2023")
    if sends == "Enter":
        page.keyboard.press("Enter")
    else:
        page.get_by_role("button", name="Search", exact=True).click()
    expect(page).to_have_url(re.compile(r"q=a\+cat&since=2023$"))
    expect(page.get_by_role("button", name="Filters (1)")).to_be_visible()
    expect(page.get_by_label("Taken since")).to_have_value("2023")
    expect(page.locator(".hit")).to_have_count(6)  # of five years, each third photo


def test_words_that_are_sent_leave_filters_as_the_link_has_them(page: Page, searched: str) -> None:
    page.goto(f"{searched}#search?q=a+cat&since=2023&camera=Pixel+8&km=3&place=48.86,2.35")
    expect(page.get_by_role("button", name="Filters (3)")).to_be_visible()
    page.get_by_role("searchbox").fill("a dog")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"q=a\+dog&since=2023&camera=Pixel\+8&place=48.86%2C2.35&km=3$"))


def test_a_place_is_taken_with_ten_kilometres_around_it(page: Page, searched: str) -> None:
    open_filters(page, searched)
    page.get_by_label("Within km").fill("5")
    page.keyboard.press("Tab")
    expect(page).to_have_url(re.compile(r"q=a\+cat$"))  # a distance from nothing
    page.get_by_label("Within km").fill("")
    page.get_by_label("Near").fill("48.86, 2.35")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"place=48.86%2C\+2.35&km=10$"))
    expect(page.get_by_label("Within km")).to_have_value("10")
    expect(page.get_by_role("button", name="Filters (1)")).to_be_visible()


@pytest.mark.parametrize(
    ("label", "text", "said"),
    [
        ("Near", "Paris", "latitude, longitude, such as 48.86, 2.35"),
        ("Near", "95, 2", "latitude, longitude, such as 48.86, 2.35"),
        ("Taken since", "May", "2024, 2024-05 or 2024-05-31"),
    ],
)
def test_what_is_written_wrong_is_said_with_an_example(
    page: Page, searched: str, label: str, text: str, said: str
) -> None:
    open_filters(page, searched)
    control = page.get_by_label(label)
    control.fill(text)
    page.keyboard.press("Enter")
    assert said in control.evaluate("control => control.validationMessage")
    expect(page).to_have_url(re.compile(r"q=a\+cat$"))
    page.get_by_role(
        "button", name="Filters", exact=True
    ).click()  # not put out of sight, where nobody would see what is wrong
    expect(control).to_be_visible()
    expect(control).to_have_value(text)
