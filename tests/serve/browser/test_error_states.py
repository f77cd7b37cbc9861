"""What each view says where the server refuses, fails or is gone, and that it goes on once the server does."""

import json
import re
import signal
import time
from collections.abc import Callable
from itertools import product
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Page, Route, expect

from diptych.library.lock import LibraryHeldError, only_writer
from hands import drop_file, fill_sheet
from on_the_way import met, wait_until
from serve_command import ServeCommand, StartServer

pytestmark = pytest.mark.browser

INDEXING_MS = 60_000
GONE = "The server does not answer. Is it still running?"
Use = Callable[[Page, Path], None]


def search(page: Page, photographs: Path) -> None:
    page.get_by_role("searchbox").fill("a cat")
    page.keyboard.press("Enter")


def classify(page: Page, photographs: Path) -> None:
    drop_file(page, ".view.classify", photographs / "holiday" / "chelsea.jpg")


def draw(page: Page, photographs: Path) -> None:
    fill_sheet(page, "yellow")


def look(page: Page, photographs: Path) -> None:
    page.get_by_role("link", name="Draw", exact=True).click()
    page.get_by_role("link", name="Library", exact=True).click()


# Of each view: its link, what is there once it can be used, what asks the server, for what, and what is there then.
VIEWS = {
    "search": ("#search", "text=Search 75 photos", search, "**/v1/search", ".hit"),
    "classify": ("#classify", ".invitation", classify, "**/v1/classify", ".bar"),
    "draw": ("#draw?practice=1", ".sheet", draw, "**/v1/classify", ".ranking .bar"),
    "library": ("#library", ".root", look, "**/v1/library", ".root"),
}


def problem(status: int, slug: str, title: str, detail: str) -> dict[str, object]:
    """An answer as the server gives it."""
    body = {"type": f"urn:diptych:problem:{slug}", "title": title, "status": status, "detail": detail}
    return {"status": status, "content_type": "application/problem+json", "body": json.dumps(body)}


BUSY = problem(429, "busy", "The server is busy", "600 images wait already: try again.")
FAILED = problem(500, "failed", "The server failed", "Its log says more.")
NO_GATEWAY: dict[str, object] = {"status": 502, "content_type": "text/html", "body": "<h1>Bad gateway</h1>"}
# The Draw view asks a busy server again by itself: test_draw_page.py.
ANSWERS = {
    "busy": (BUSY, "The server is busy 600 images wait already: try again."),
    "failed": (FAILED, "The server failed Its log says more."),
    "a proxy's own": (NO_GATEWAY, "The server failed It answered 502."),
}


@pytest.mark.parametrize(("view", "why"), [pair for pair in product(VIEWS, ANSWERS) if pair != ("draw", "busy")])
def test_an_answer_that_is_none_is_said_and_can_be_tried_again(
    page: Page, searched: str, photographs: Path, complaints: list[str], view: str, why: str
) -> None:
    (link, ready, use, asked, answer), (given, said) = VIEWS[view], ANSWERS[why]
    page.goto(f"{searched}{link}")
    expect(page.locator(ready).first).to_be_visible()

    def refuse(route: Route) -> None:
        route.fulfill(**given)  # type: ignore[arg-type]

    alert = page.get_by_role("alert").filter(visible=True)
    with met(page, asked, refuse):
        use(page, photographs)
        expect(alert.locator("p")).to_have_text(said)
    alert.get_by_role("button", name="Try again").click()
    expect(page.locator(answer).first).to_be_visible()
    expect(alert).to_have_count(0)
    assert all("the server responded with a status of" in each for each in complaints)
    complaints.clear()


@pytest.mark.parametrize("view", VIEWS)
def test_a_server_that_dies_over_a_request_is_said_to_be_gone_until_it_is_back(
    start_server: StartServer, page: Page, library: Path, photographs: Path, complaints: list[str], view: str
) -> None:
    link, ready, use, asked, answer = VIEWS[view]
    server = start_server("--library", library, f"--root=holiday={photographs / 'holiday'}")
    page.goto(f"{server.url}/{link}")
    expect(page.locator(ready).first).to_be_visible()

    def kill(route: Route) -> None:
        server.stop(signal.SIGKILL)
        route.continue_()

    alert = page.get_by_role("alert").filter(visible=True)
    with met(page, asked, kill):
        use(page, photographs)
        expect(alert).to_contain_text(GONE)
    start_again(start_server, server, "--library", library)
    alert.get_by_role("button", name="Try again").click()
    expect(page.locator(answer).first).to_be_visible()
    expect(alert).to_have_count(0)
    assert all("ERR_" in each for each in complaints)
    complaints.clear()


def test_a_server_that_dies_while_it_indexes_is_said_to_be_gone_and_the_new_one_to_know_nothing_of_it(
    start_server: StartServer, page: Page, photographs: Path, tmp_path: Path, complaints: list[str]
) -> None:
    options = ("--library", tmp_path / "library", f"--root=corners={photographs / 'corners'}")
    server = start_server(*options)
    page.goto(f"{server.url}/#library")
    start = page.get_by_role("button", name="Bring all up to date")
    start.click()
    expect(page.get_by_role("heading", name="Bringing corners up to date")).to_be_visible()
    expect(start).to_be_disabled()
    server.stop(signal.SIGKILL)
    expect(page.get_by_role("alert")).to_contain_text(GONE)
    start_again(start_server, server, *options)
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("status").filter(has_text="The server was started anew")).to_be_visible()
    expect(page.get_by_role("progressbar")).to_be_hidden()
    expect(page.get_by_role("alert")).to_have_count(0)
    wait_until(page, lambda: is_free(tmp_path / "library"))
    start.click()
    expect(page.get_by_role("status").filter(has_text="Up to date:")).to_be_visible(timeout=INDEXING_MS)
    assert all(re.search("ERR_|404", each) for each in complaints)
    complaints.clear()


def is_free(library: Path) -> bool:
    """Whether nobody writes to it any more, such as the orphan of a server that was killed."""
    try:
        with only_writer(library):
            return True
    except LibraryHeldError:
        return False


def start_again(start_server: StartServer, server: ServeCommand, *options: object) -> None:
    """Another server in the place of one that is gone; its port may be some connection's for a moment."""
    until = time.monotonic() + 60
    while True:
        try:
            start_server(*options, "--port", urlsplit(server.url).port)
        except AssertionError as error:
            if "cannot be listened at" not in str(error) or time.monotonic() > until:
                raise
            time.sleep(1)
        else:
            return
