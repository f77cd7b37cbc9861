"""Accessibility: axe-core finds nothing on any view, light and dark, on a desk and on a phone."""

from collections.abc import Iterator
from importlib.resources import files
from itertools import product
from pathlib import Path
from typing import Final

import pytest
from playwright.sync_api import Page, expect

from hands import choose, drop_file
from serve_command import ServeCommand

pytestmark = pytest.mark.browser

AXE: Final = files("axe_playwright_python").joinpath("axe.min.js").read_text("utf-8")
_DESK: Final[dict[str, object]] = {"viewport": {"width": 1280, "height": 800}}
_PHONE: Final[dict[str, object]] = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
# Without motion, since colours are measured, and in the middle of a fade they are others.
WINDOWS: Final = [
    pytest.param({**size, "color_scheme": scheme, "reduced_motion": "reduce"}, id=f"{scheme}-{name}")
    for (name, size), scheme in product({"desk": _DESK, "phone": _PHONE}.items(), ("light", "dark"))
]
everywhere = pytest.mark.parametrize("page", WINDOWS, indirect=True)


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a server that asks for a key."""
    keys = tmp_path_factory.mktemp("keys") / "keys.txt"
    keys.write_text("a-key-of-the-tests-0123456789abcdef\n")
    keys.chmod(0o600)
    with ServeCommand("--api-key", keys) as server:
        yield f"{server.url}/"


def findings(page: Page) -> list[str]:
    """What axe has against the page as it stands, and what it could not decide."""
    page.evaluate(AXE)
    found = page.evaluate("axe.run(document)")
    assert len(found["passes"]) > 10  # it has looked
    return [
        f"{rule['id']}: {node['target']} {node['failureSummary']}"
        for rule in (*found["violations"], *found["incomplete"])
        for node in rule["nodes"]
    ]


def test_axe_sees_what_is_wrong(page: Page, without_library: str) -> None:
    page.goto(f"{without_library}#classify")
    expect(page.get_by_text("Drop a picture here")).to_be_visible()
    page.evaluate("document.querySelector('.hint').style.color = '#ccc'")
    page.evaluate("document.querySelector('main').append(document.createElement('img'))")
    assert {finding.split(":")[0] for finding in findings(page)} == {"color-contrast", "image-alt"}


@everywhere
def test_classify_is_clean(page: Page, searched: str, photographs: Path) -> None:
    page.goto(f"{searched}#classify?label=pizza&label=bicycle&label=airplane")
    expect(page.locator(".invitation")).to_be_visible()
    assert findings(page) == []
    drop_file(page, ".view.classify", photographs / "holiday" / "chelsea.jpg")
    expect(page.get_by_text("None of these labels seems to fit.")).to_be_visible()
    page.locator(".more-options").evaluate("options => (options.open = true)")
    page.get_by_role("button", name="Save these labels…").click()
    page.get_by_label("In the sentence").select_option("my own sentence…")
    assert findings(page) == []
    page.get_by_label("Your own sentence").fill("nothing")
    expect(page.get_by_text("Write {} once, where the label goes.")).to_be_visible()
    assert findings(page) == []


@everywhere
def test_draw_is_clean(page: Page, without_library: str) -> None:
    page.goto(f"{without_library}#draw")
    expect(page.locator(".sheet")).to_be_visible()
    assert findings(page) == []
    page.get_by_role("button", name="Start").click()
    choose(page, "red")
    page.locator(".sheet").click()
    expect(page.locator(".ranking .bar").first).to_be_visible()
    assert findings(page) == []
    page.get_by_text("Practice", exact=True).click()
    page.get_by_label("Words to tell apart").fill("a cat, a dog")
    page.locator(".sheet").focus()
    page.keyboard.press("ArrowUp")
    assert findings(page) == []


@everywhere
def test_search_is_clean(page: Page, searched: str, without_library: str) -> None:
    page.goto(f"{without_library}#search")
    expect(page.get_by_role("heading", name="No library here")).to_be_visible()
    assert findings(page) == []
    page.goto(searched)
    expect(page.get_by_role("searchbox")).to_be_visible()
    assert findings(page) == []
    page.get_by_role("searchbox").fill("a cat")
    page.keyboard.press("Enter")
    expect(page.locator(".hit").first).to_be_visible()
    page.get_by_role("button", name="Filters").click()
    page.wait_for_load_state("networkidle")
    assert findings(page) == []
    page.locator(".hit .open").first.click()
    expect(page.locator("dialog[open]")).to_be_visible()
    page.wait_for_load_state("networkidle")
    assert findings(page) == []


@everywhere
def test_library_is_clean(page: Page, searched: str, without_library: str) -> None:
    for address in (searched, without_library):
        page.goto(f"{address}#library")
        expect(page.locator(".view.library h1, .view.library h2").first).to_be_visible()
        page.wait_for_load_state("networkidle")
        assert findings(page) == []


@everywhere
def test_signing_in_is_clean(page: Page, guarded: str, complaints: list[str]) -> None:
    page.goto(guarded)
    expect(page.get_by_label("Key", exact=True)).to_be_visible()
    assert findings(page) == []
    page.get_by_label("Key", exact=True).fill("none of them")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_be_visible()
    assert findings(page) == []
    complaints.clear()  # the browser's own, of the answer 401


@everywhere
def test_a_failure_is_clean(page: Page, without_library: str, photographs: Path, complaints: list[str]) -> None:
    page.route("**/v1/classify", lambda route: route.abort())
    page.goto(f"{without_library}#classify")
    expect(page.locator(".invitation")).to_be_visible()
    drop_file(page, ".view.classify", photographs / "holiday" / "chelsea.jpg")
    expect(page.get_by_role("button", name="Try again")).to_be_visible()
    assert findings(page) == []
    complaints.clear()  # the browser's own, of the request that was cut
