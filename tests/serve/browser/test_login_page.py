"""Signing in and out, where the server asks for a key."""

from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from serve_command import ServeCommand

pytestmark = pytest.mark.browser

KEY = "a-key-of-the-tests-0123456789abcdef"


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that asks for KEY."""
    keys = tmp_path_factory.mktemp("keys") / "keys.txt"
    keys.write_text(f"{KEY}\n")
    keys.chmod(0o600)
    with ServeCommand("--api-key", keys) as server:
        yield f"{server.url}/"


def sign_in(page: Page, key: str) -> None:
    page.get_by_label("Key", exact=True).fill(key)
    page.keyboard.press("Enter")


def test_the_right_key_opens_the_view_that_was_asked_for_and_signing_out_closes_it(page: Page, keyed: str) -> None:
    page.goto(f"{keyed}#draw?practice=1")
    expect(page).to_have_title("Sign in · Diptych")
    expect(page.get_by_label("Key", exact=True)).to_be_focused()
    sign_in(page, KEY)
    expect(page.locator(".sheet")).to_be_visible()
    expect(page.locator(".practice")).to_be_visible()
    cookie = page.context.cookies()[0]
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    assert page.evaluate("document.cookie") == ""
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_label("Key", exact=True)).to_be_visible()
    page.goto(keyed)
    expect(page.get_by_label("Key", exact=True)).to_be_visible()


def test_a_wrong_key_is_refused_in_words(page: Page, keyed: str, complaints: list[str]) -> None:
    page.goto(f"{keyed}#classify")
    sign_in(page, "none of them")
    expect(page.get_by_role("alert")).to_have_text("This is none of the server's keys.")
    expect(page.get_by_label("Key", exact=True)).to_have_value("")
    assert KEY not in page.content()
    sign_in(page, KEY)
    expect(page.get_by_text("Drop a picture here")).to_be_visible()
    complaints.clear()  # the browser's own, of the answer 401


def test_a_session_that_has_ended_leads_back_to_the_sign_in_page(page: Page, keyed: str, complaints: list[str]) -> None:
    page.goto(keyed)
    sign_in(page, KEY)
    expect(page.locator(".foot")).to_contain_text("Diptych")
    page.get_by_role("link", name="Draw").click()
    expect(page.locator(".sheet")).to_be_visible()
    page.context.clear_cookies()
    page.locator(".sheet").click()
    expect(page.get_by_label("Key", exact=True)).to_be_visible()
    sign_in(page, KEY)
    expect(page.locator(".sheet")).to_be_visible()
    complaints.clear()  # the browser's own, of the answer 401


@pytest.mark.parametrize("page", [{"java_script_enabled": False}], indirect=True)
def test_signing_in_needs_no_script(page: Page, keyed: str) -> None:
    page.goto(keyed)
    sign_in(page, KEY)
    expect(page).to_have_title("Diptych")
    expect(page).to_have_url(keyed)
