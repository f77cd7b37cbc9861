"""A photo in large: the browser's Back, and a file that is gone."""

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from diptych.library.library import PhotoLibrary
from on_the_way import wait_until
from serve_command import StartServer

pytestmark = pytest.mark.browser

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
windows = pytest.mark.parametrize("page", [{}, PHONE], ids=["desk", "phone"], indirect=True)


@windows
def test_back_closes_the_photo_and_not_the_search(page: Page, searched: str) -> None:
    page.goto(searched)
    expect(page.get_by_text("Search 75 photos")).to_be_visible()
    page.get_by_role("searchbox").fill("a cat")
    page.keyboard.press("Enter")
    page.locator(".hit .open").nth(2).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("dialog")).to_be_hidden()
    expect(page).to_have_url(re.compile(r"q=a\+cat$"))
    expect(page.locator(".hit .open").nth(2)).to_be_focused()
    page.go_back()
    expect(page.get_by_text("Search 75 photos")).to_be_visible()


def test_a_photo_that_was_closed_leaves_no_step_in_the_history(page: Page, searched: str) -> None:
    page.goto(f"{searched}#search?q=a+cat")
    for _ in range(2):
        page.locator(".hit .open").first.click()
        page.keyboard.press("Escape")
        expect(page.get_by_role("dialog")).to_be_hidden()
        wait_until(page, lambda: not page.evaluate("history.state?.showsPhoto"))
    page.locator(".hit .open").nth(1).click()
    page.get_by_role("dialog").get_by_role("button", name="More like this").click()
    expect(page).to_have_url(re.compile("plus=photo"))
    page.go_back()
    expect(page).to_have_url(re.compile(r"q=a\+cat$"))
    expect(page.get_by_role("dialog")).to_be_hidden()
    page.go_back()
    expect(page).to_have_url("about:blank")


@windows
def test_a_file_that_is_gone_is_said_and_all_stays_in_its_place(
    start_server: StartServer, page: Page, complaints: list[str], photographs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "holiday"
    folder.mkdir()
    for name in ("chelsea.jpg", "coffee.jpg"):
        shutil.copy(photographs / "holiday" / name, folder)
    with PhotoLibrary.open(tmp_path / "library", device="cpu", dtype="float32", create_missing=True) as library:
        library.index(folder)
    server = start_server("--library", tmp_path / "library")
    page.goto(f"{server.url}/#search?q=a+cat")
    expect(page.locator(".hit").first).to_contain_text("chelsea.jpg")
    (folder / "chelsea.jpg").unlink()
    page.locator(".hit .open").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("alert")).to_contain_text("The file is no longer there")
    original = dialog.get_by_text("Open the original")
    expect(original).to_have_attribute("aria-disabled", "true")
    assert original.get_attribute("href") is None
    dialog.get_by_role("button", name="Next photo").click()
    expect(dialog.get_by_role("alert")).to_be_hidden()
    expect(original).to_have_attribute("href", re.compile("original$"))
    dialog.get_by_role("button", name="Previous photo").click()
    expect(dialog.get_by_role("alert")).to_be_visible()
    stage = dialog.locator(".stage").bounding_box()
    large = dialog.locator(".large").bounding_box()
    assert stage is not None
    assert large is not None
    assert large["x"] + large["width"] <= stage["x"] + stage["width"]
    assert large["y"] + large["height"] <= stage["y"] + stage["height"]
    dialog.get_by_role("button", name="More like this").click(trial=True)
    page.goto("about:blank")
    assert all("404" in said for said in complaints)
    complaints.clear()
