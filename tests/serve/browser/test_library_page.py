"""The Library view: what is in it, indexing from the page, failures."""

import re
import shutil
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from diptych.library.library import PhotoLibrary
from on_the_way import held, met
from serve_command import StartServer
from served_photos import write_many

pytestmark = pytest.mark.browser

INDEXING_MS = 120_000  # a process of its own that loads the model, on a machine that does other things


def test_roots_are_shown_with_what_they_hold(page: Page, searched: str) -> None:
    page.goto(f"{searched}#library")
    expect(page.get_by_text("75 photos")).to_be_visible()
    holiday = page.get_by_role("listitem").filter(has_text="holiday")
    expect(holiday).to_contain_text("15 photos · 1 failure · read ")
    expect(page.get_by_role("listitem").filter(has_text="corners")).to_contain_text("60 photos")
    expect(page.get_by_role("button", name="Bring holiday up to date")).to_be_enabled()


def test_failures_are_listed_with_their_reasons(page: Page, searched: str) -> None:
    page.goto(f"{searched}#library")
    expect(page.get_by_role("heading", name="Could not be read (1)")).to_be_visible()
    row = page.get_by_role("row").filter(has_text="broken.jpg")
    expect(row.get_by_role("cell")).to_have_count(3)
    expect(row).to_contain_text(re.compile("cannot|damaged|not an image|unread", re.IGNORECASE))


def test_an_empty_library_is_filled_from_the_page(
    start_server: StartServer, page: Page, photographs: Path, tmp_path: Path
) -> None:
    server = start_server("--library", tmp_path / "library", f"--root=holiday={photographs / 'holiday'}")
    page.goto(f"{server.url}/")
    expect(page.get_by_role("heading", name="The library is empty")).to_be_visible()
    page.get_by_role("link", name="Go to the library").click()
    with held(page, "**/v1/jobs/*"):  # so that its end is not heard of too soon
        page.get_by_role("button", name="Bring holiday up to date").click()
        expect(page.get_by_role("heading", name="Bringing holiday up to date")).to_be_visible()
        expect(page.get_by_role("progressbar")).to_be_visible()
        expect(page.get_by_role("button", name="Bring all up to date")).to_be_disabled()
    expect(page.get_by_role("status").filter(has_text="Up to date:")).to_be_visible(timeout=INDEXING_MS)
    expect(page.locator(".total")).to_have_text("15 photos")
    page.get_by_role("link", name="Search", exact=True).click()
    expect(page.get_by_text("Search 15 photos")).to_be_visible()


def test_an_empty_library_is_filled_from_the_search(
    start_server: StartServer, page: Page, photographs: Path, tmp_path: Path
) -> None:
    server = start_server("--library", tmp_path / "library", f"--root=holiday={photographs / 'holiday'}")
    page.goto(f"{server.url}/#library")
    expect(page.get_by_text("Nothing is indexed yet")).to_be_visible()
    page.get_by_role("link", name="Search", exact=True).click()
    page.get_by_role("button", name="Index the photos").click()
    expect(page.get_by_text("Search 15 photos")).to_be_visible(timeout=INDEXING_MS)


def test_an_empty_library_without_folders_names_both_ways_to_fill_it(
    start_server: StartServer, page: Page, tmp_path: Path
) -> None:
    server = start_server("--library", tmp_path / "library")
    for view in ("search", "library"):
        page.goto(f"{server.url}/#{view}")
        here = page.locator(f".view.{view}")
        expect(here.get_by_text("diptych index ~/Pictures --library LIBRARY")).to_be_visible()
        expect(here.get_by_text("diptych serve --library LIBRARY --root pictures=$HOME/Pictures")).to_be_visible()


def test_what_went_is_told_when_a_folder_was_brought_up_to_date(
    start_server: StartServer, page: Page, photographs: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "holiday"
    folder.mkdir()
    for name in ("chelsea.jpg", "coffee.jpg", "rocket.jpg"):
        shutil.copy(photographs / "holiday" / name, folder)
    with PhotoLibrary.open(tmp_path / "library", device="cpu", dtype="float32", create_missing=True) as library:
        library.index(folder)
    (folder / "chelsea.jpg").unlink()
    (folder / "coffee.jpg").rename(folder / "cup.jpg")
    server = start_server("--library", tmp_path / "library", f"--root=holiday={folder}")
    page.goto(f"{server.url}/#library")
    page.get_by_role("button", name="Bring all up to date").click()
    said = page.get_by_role("status").filter(has_text="1 file looked into, 1 moved, 1 removed.")
    expect(said).to_be_visible(timeout=INDEXING_MS)
    expect(page.locator(".total")).to_have_text("2 photos")


def test_a_search_waits_for_the_first_photos(
    start_server: StartServer, page: Page, photographs: Path, tmp_path: Path
) -> None:
    server = start_server("--library", tmp_path / "library", f"--root=holiday={photographs / 'holiday'}")
    page.goto(f"{server.url}/#library")
    expect(page.get_by_text("Nothing is indexed yet")).to_be_visible()
    with held(page, "**/v1/library", after=1):  # the view looks once, at once, and then not until this was seen
        page.evaluate("""async () => {
          const options = { method: "POST", body: "{}", headers: { "Content-Type": "application/json" } };
          await fetch("v1/index", options);
          location.hash = "#search?q=a+cat";
        }""")
        expect(page.get_by_role("heading", name="The photos are being indexed")).to_be_visible()
    expect(page.locator(".hit")).to_have_count(15, timeout=INDEXING_MS)


def test_indexing_can_be_stopped(start_server: StartServer, page: Page, tmp_path: Path) -> None:
    many = write_many(tmp_path / "many", 3_000)  # which takes far longer than to press a button
    server = start_server("--library", tmp_path / "library", f"--root=many={many}")
    page.goto(f"{server.url}/#library")
    page.get_by_role("button", name="Bring all up to date").click()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_role("status").filter(has_text="Stopped:")).to_be_visible(timeout=INDEXING_MS)
    expect(page.get_by_role("button", name="Bring all up to date")).to_be_enabled()


def test_progress_has_a_rate_and_the_time_that_is_left(page: Page, searched: str) -> None:
    page.goto(f"{searched}#library")
    describe = "job => import('./web/job.js').then(({ describeProgress }) => describeProgress(job))"
    far = {"total": 5000, "done": 1250, "failed": 2, "rate": 170.2, "eta_seconds": 725.0}
    said = "1,250 of 5,000 files · 170 a second · 12 min left · 2 could not be read"
    assert page.evaluate(describe, far) == said
    begun = {"total": 0, "done": 0, "failed": 0, "rate": None, "eta_seconds": None}
    assert page.evaluate(describe, begun) == "Looking for files"


def test_a_start_that_fails_can_be_tried_again(page: Page, searched: str, complaints: list[str]) -> None:
    with met(page, "**/v1/index"):
        page.goto(f"{searched}#library")
        page.get_by_role("button", name="Bring holiday up to date").click()
        expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("status").filter(has_text="Up to date:")).to_be_visible(timeout=INDEXING_MS)
    expect(page.get_by_role("alert")).to_have_count(0)
    assert all("ERR_FAILED" in said for said in complaints)
    complaints.clear()


def test_without_a_library_the_view_says_how_to_get_one(page: Page, without_library: str) -> None:
    page.goto(f"{without_library}#library")
    expect(page.get_by_text("diptych serve --library")).to_be_visible()
