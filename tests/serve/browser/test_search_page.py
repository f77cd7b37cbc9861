"""The Search view, as a user has it before them."""

import base64
import io
import re
from pathlib import Path
from urllib.parse import urlencode

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from on_the_way import met

pytestmark = pytest.mark.browser

PHONE = {"viewport": {"width": 360, "height": 740}, "has_touch": True, "is_mobile": True}
PAGE, ALL = 40, 75  # hits at first; photos in the library
TRANSFER = """
  const bytes = Uint8Array.from(atob(encoded), (sign) => sign.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type }));
  const options = { bubbles: true, cancelable: true };
"""
DROP = f"""([name, encoded, type]) => {{ {TRANSFER}
  const view = document.querySelector(".view.search");
  for (const step of ["dragenter", "dragover", "drop"])
    view.dispatchEvent(new DragEvent(step, {{ dataTransfer: transfer, ...options }}));
}}"""
PASTE = f"""([name, encoded, type]) => {{ {TRANSFER}
  document.body.dispatchEvent(new ClipboardEvent("paste", {{ clipboardData: transfer, ...options }}));
}}"""


def hits(page: Page) -> Locator:
    return page.locator(".hit")


def look_for(page: Page, words: str) -> None:
    page.get_by_role("searchbox").fill(words)
    page.keyboard.press("Enter")
    expect(hits(page)).not_to_have_count(0)


def names(page: Page) -> list[str]:
    return hits(page).locator(".caption .name").all_inner_texts()


def file_of(path: Path) -> list[str]:
    return [path.name, base64.b64encode(path.read_bytes()).decode(), "image/jpeg"]


def test_words_find_photos_and_say_how_well_each_fits(page: Page, searched: str) -> None:
    page.goto(searched)
    expect(page.get_by_text(f"Search {ALL} photos")).to_be_visible()
    look_for(page, "a cat looking at the camera")
    expect(hits(page)).to_have_count(PAGE)
    expect(page.get_by_role("status").filter(has_text=re.compile("Best match first|Nothing matches"))).to_be_visible()
    assert set(hits(page).locator(".relevance").all_inner_texts()) <= {"matches", "weak"}
    assert hits(page).first.locator("img").evaluate("image => image.decode().then(() => image.naturalWidth)") > 100


def test_photos_in_a_row_have_one_height_and_keep_their_shape(page: Page, searched: str) -> None:
    page.goto(f"{searched}#search?q=a+cat")
    expect(hits(page)).to_have_count(PAGE)
    boxes = [photo.bounding_box() for photo in hits(page).locator("img").all()[:12]]
    rows: dict[int, list[float]] = {}
    for box in boxes:
        assert box is not None
        rows.setdefault(round(box["y"]), []).append(box["height"])
    assert all(max(row) - min(row) < 1.5 for row in rows.values())
    shapes = "images => images.map((i) => Math.abs(i.offsetWidth / i.offsetHeight - i.width / i.height))"
    assert max(hits(page).locator("img").evaluate_all(shapes)) < 0.05


def test_more_photos_come_when_the_end_comes_in_sight(page: Page, searched: str) -> None:
    page.goto(f"{searched}#search?q=a+cat")
    expect(hits(page)).to_have_count(PAGE)
    page.mouse.wheel(0, 20_000)
    expect(hits(page)).to_have_count(ALL)
    assert len(set(names(page))) == ALL


def test_chips_combine_words_and_the_link_says_so(page: Page, searched: str) -> None:
    page.goto(searched)
    look_for(page, "a photo")
    before = names(page)
    page.get_by_role("button", name="Without").click()
    draft = page.get_by_label("Words that must not fit")
    expect(draft).to_have_attribute("placeholder", "what must not fit")
    chip_of_draft = draft.locator("xpath=ancestor::li")
    expect(chip_of_draft).to_have_css("outline-style", "solid")  # a ring around the whole chip
    expect(chip_of_draft).to_have_css("overflow", "visible")
    page.keyboard.type("stars in the night sky")
    page.keyboard.press("Enter")
    chip = page.get_by_role("listitem").filter(has_text="stars in the night sky")
    expect(chip).to_have_class(re.compile("unwanted"))
    expect(page).to_have_url(re.compile(r"q=a\+photo&minus=words%3Astars"))
    expect(hits(page).first).not_to_contain_text(before[0])

    page.get_by_role("button", name="Without stars in the night sky").press("Enter")  # its sign, by the keyboard
    expect(chip).to_have_class(re.compile(r"\bwanted"))
    expect(page.get_by_role("button", name="With stars in the night sky")).to_be_focused()
    page.get_by_role("button", name="Weight of stars").click()
    expect(page).to_have_url(re.compile(r"plus=2%3Awords%3Astars"))
    page.keyboard.press("Delete")
    expect(chip).to_have_count(0)
    expect(page).to_have_url(re.compile(r"q=a\+photo$"))


def test_more_like_this_puts_the_photo_itself_into_the_search(page: Page, searched: str) -> None:
    page.goto(searched)
    look_for(page, "a cat")
    second = names(page)[1]
    hits(page).nth(1).hover()
    page.get_by_role("button", name=f"More like {second}").click()
    expect(page).to_have_url(re.compile(r"#search\?plus=photo%3A\d+$"))
    expect(page.locator(".chip .name")).to_have_text(second)
    expect(hits(page).first).to_contain_text(second)
    expect(page.get_by_role("searchbox")).to_have_value("")
    page.go_back()
    expect(page.get_by_role("searchbox")).to_have_value("a cat")


def test_a_photo_can_be_taken_off_from_what_words_ask_for(page: Page, searched: str) -> None:
    page.goto(searched)
    look_for(page, "a cat")
    first = names(page)[0]
    hits(page).first.hover()
    page.get_by_role("button", name=f"Less like {first}").click()
    expect(page).to_have_url(re.compile(r"q=a\+cat&minus=photo%3A\d+$"))
    expect(hits(page).first).not_to_contain_text(first)


def test_a_dropped_picture_is_looked_for(page: Page, searched: str, photographs: Path) -> None:
    page.goto(searched)
    expect(page.get_by_text(f"Search {ALL} photos")).to_be_visible()
    page.evaluate(DROP, file_of(photographs / "holiday" / "chelsea.jpg"))
    expect(page.locator(".chip .name")).to_have_text("chelsea.jpg")
    expect(hits(page).first).to_contain_text("chelsea.jpg")
    expect(page.get_by_text("The link does not keep pictures")).to_be_visible()
    page.reload()
    expect(page.get_by_text("was not kept: drop it again")).to_be_visible()
    expect(page.locator(".chip")).to_have_count(0)


def test_a_pasted_picture_is_looked_for(page: Page, searched: str, photographs: Path) -> None:
    page.goto(searched)
    expect(page.get_by_text(f"Search {ALL} photos")).to_be_visible()
    page.evaluate(PASTE, file_of(photographs / "holiday" / "coffee.jpg"))
    expect(page.locator(".chip .name")).to_have_text("coffee.jpg")
    expect(hits(page).first).to_contain_text("coffee.jpg")


def test_a_large_picture_is_made_smaller_before_it_is_sent(page: Page, searched: str, photographs: Path) -> None:
    with Image.open(photographs / "holiday" / "rocket.jpg") as photograph:
        large = photograph.resize((3000, 2000), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    large.save(buffer, "PNG")
    assert buffer.tell() > 1_500_000
    page.goto(searched)
    expect(page.get_by_text(f"Search {ALL} photos")).to_be_visible()
    with page.expect_request("**/v1/search") as sent:
        page.locator(".view.search input[type=file]").set_input_files(
            {"name": "large.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
        )
    assert len(sent.value.post_data or "") < 1_000_000
    expect(hits(page).first).to_contain_text("rocket")


def test_a_file_that_is_no_picture_is_refused_in_words(page: Page, searched: str) -> None:
    page.goto(searched)
    expect(page.get_by_text(f"Search {ALL} photos")).to_be_visible()
    page.evaluate(DROP, ["notes.txt", base64.b64encode(b"words").decode(), "text/plain"])
    expect(page.get_by_text("That is not a picture file")).to_be_visible()


def test_nothing_matches_is_said_above_the_nearest_photos(page: Page, searched: str) -> None:
    page.goto(searched)
    look_for(page, "an underwater cave full of jellyfish")
    expect(page.get_by_role("status").filter(has_text="Nothing matches.")).to_be_visible()
    expect(page.locator(".grid.dim .hit")).to_have_count(PAGE)


def test_the_lightbox_goes_by_the_keyboard(page: Page, searched: str) -> None:
    page.goto(searched)
    look_for(page, "a cat")
    first, second = names(page)[:2]
    hits(page).first.locator("button").first.focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading")).to_have_text(first)
    expect(dialog.get_by_text(re.compile(r"^photo:\d+$"))).to_be_visible()
    expect(dialog.get_by_role("button", name="Previous photo")).to_be_disabled()
    page.keyboard.press("ArrowRight")
    expect(dialog.get_by_role("heading")).to_have_text(second)
    address = dialog.get_by_role("link", name="Open the original").get_attribute("href")
    assert address is not None
    assert page.request.get(f"{searched}{address}").ok
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    expect(hits(page).nth(1).locator("button").first).to_be_focused()


def test_the_lightbox_tells_what_the_camera_wrote(page: Page, searched: str) -> None:
    page.goto(f"{searched}#search?q=a+cat&root=holiday")
    hits(page).first.locator("button").first.click()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_text(re.compile("Canon EOS R5|Pixel 8"))).to_be_visible()
    expect(dialog.get_by_text(re.compile(r"\d+ × \d+, JPEG, "))).to_be_visible()


def test_a_link_keeps_words_chips_and_filters(page: Page, searched: str) -> None:
    page.goto(f"{searched}#search?q=a+cat&plus=photo:3&minus=2:words:snow&format=JPEG&min_side=200")
    expect(page.get_by_role("searchbox")).to_have_value("a cat")
    expect(page.locator(".chip")).to_have_count(2)
    expect(page.locator(".chip .weight")).to_have_text(["×1", "×2"])
    page.get_by_role("button", name="Filters (2)").click()
    expect(page.get_by_label("Format")).to_have_value("JPEG")
    expect(page.get_by_label("Shorter side at least")).to_have_value("200")
    expect(hits(page)).not_to_have_count(0)
    assert all(name.endswith(".jpg") for name in names(page))


def test_filters_are_those_that_the_library_has(page: Page, searched: str) -> None:
    page.goto(searched)
    look_for(page, "a photo")
    page.get_by_role("button", name="Filters").click()
    assert page.get_by_role("combobox", name="Camera").locator("option").count() == 3
    assert page.get_by_text("Field of the catalogue").count() == 0
    page.get_by_role("combobox", name="Camera").select_option(index=1)
    expect(page).to_have_url(re.compile("camera="))
    expect(page.get_by_role("button", name="Filters (1)")).to_be_visible()
    expect(hits(page)).not_to_have_count(PAGE)
    page.get_by_label("Taken since").fill("2031")
    page.keyboard.press("Tab")
    expect(page.get_by_text("No photo passes these filters.")).to_be_visible()
    page.get_by_role("button", name="Clear filters").click()
    expect(hits(page)).to_have_count(PAGE)


def test_a_failed_search_says_so_and_can_be_tried_again(page: Page, searched: str, complaints: list[str]) -> None:
    page.goto(searched)
    expect(page.get_by_text(f"Search {ALL} photos")).to_be_visible()
    with met(page, "**/v1/search"):
        page.get_by_role("searchbox").fill("a cat")
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("The server does not answer")
    page.get_by_role("button", name="Try again").click()
    expect(hits(page)).to_have_count(PAGE)
    assert all("ERR_FAILED" in said for said in complaints)
    complaints.clear()


def test_no_verdict_on_matches_is_given_for_sums(page: Page, searched: str, complaints: list[str]) -> None:
    page.goto(searched)
    look_for(page, "food on a table - coffee")
    verdict = page.locator(".result-line")
    expect(verdict).to_contain_text("Nearest first, by cosine (-1 to 1). Whether a photo matches is measured for plain")
    assert all(text.startswith("cosine ") for text in hits(page).locator(".relevance").all_inner_texts())
    look_for(page, "a cat")
    expect(verdict).to_have_text(re.compile("Best match first|Nothing matches"))
    look_for(page, "dog + ")
    expect(page.get_by_role("alert")).to_be_visible()
    expect(verdict).to_have_text("")
    assert all("422" in said for said in complaints)
    complaints.clear()


def test_a_picture_that_cannot_be_read_is_named_and_can_be_taken_out(
    page: Page, searched: str, photographs: Path, complaints: list[str]
) -> None:
    page.goto(searched)
    expect(page.get_by_text(f"Search {ALL} photos")).to_be_visible()
    page.locator(".view.search input[type=file]").set_input_files(
        [photographs / "holiday" / name for name in ("chelsea.jpg", "broken.jpg")]
    )
    expect(page.get_by_role("alert")).to_contain_text("A picture cannot be read: broken.jpg.")
    page.get_by_role("button", name="Remove it").click()
    expect(page.locator(".chip .name")).to_have_text(["chelsea.jpg"])
    expect(hits(page).first).to_contain_text("chelsea.jpg")
    expect(page.get_by_role("searchbox")).to_be_focused()
    assert all("422" in said for said in complaints)
    complaints.clear()


def test_a_picture_of_too_many_pixels_is_made_smaller_before_it_is_sent(page: Page, searched: str) -> None:
    buffer = io.BytesIO()
    Image.new("RGB", (10_000, 6_000), "#c8a060").save(buffer, "PNG")
    assert buffer.tell() < 1_000_000  # a small file
    page.goto(searched)
    expect(page.get_by_text(f"Search {ALL} photos")).to_be_visible()
    page.locator(".view.search input[type=file]").set_input_files(
        {"name": "vast.png", "mimeType": "image/png", "buffer": buffer.getvalue()}
    )
    expect(hits(page)).to_have_count(PAGE)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("dog + ", "A term is empty"),
        ("a cat and " * 60, "have 182 tokens, and the model reads 77: shorten them."),
    ],
    ids=["no term", "a pasted paragraph"],
)
def test_what_the_server_refuses_is_shown_in_its_words(
    page: Page, searched: str, complaints: list[str], words: str, said: str
) -> None:
    page.goto(f"{searched}#search?{urlencode({'q': words})}")
    expect(page.get_by_role("alert")).to_contain_text(said)
    assert all("422" in said for said in complaints)
    complaints.clear()


@pytest.mark.parametrize("page", [PHONE], indirect=True)
def test_a_phone_has_all_of_it_in_its_width(page: Page, searched: str) -> None:
    page.goto(f"{searched}#search?q=a+cat&plus=photo:3&minus=words:a+rather+long+line+of+words+that+do+not+fit")
    expect(hits(page)).to_have_count(PAGE)
    page.get_by_role("button", name="Filters").click()
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    expect(page.get_by_role("searchbox")).to_have_attribute("placeholder", "Describe a photo")
    lines = "caption => [...caption.children].map((part) => part.getBoundingClientRect())"
    name, fits = hits(page).first.locator(".caption").evaluate(lines)
    assert name["bottom"] <= fits["top"]  # each on a line of its own
    hits(page).first.locator("button").first.tap()
    expect(page.get_by_role("dialog").get_by_role("button", name="More like this")).to_be_visible()
    page.get_by_role("button", name="Close").tap()
    expect(page.get_by_role("dialog")).to_be_hidden()


def test_coming_back_to_the_view_finds_it_as_it_was(page: Page, searched: str) -> None:
    page.goto(searched)
    look_for(page, "a cat")
    page.get_by_role("link", name="Library", exact=True).click()
    expect(page.get_by_role("heading", name="holiday")).to_be_visible()
    with page.expect_response("**/v1/library"):
        page.get_by_role("link", name="Search", exact=True).click()
    expect(hits(page)).to_have_count(PAGE)
    expect(page).to_have_url(re.compile(r"q=a\+cat"))


def test_without_a_library_the_view_says_how_to_get_one(page: Page, without_library: str) -> None:
    page.goto(without_library)
    expect(page.get_by_text("No library here")).to_be_visible()
    expect(page.get_by_text("diptych serve --library")).to_be_visible()
    expect(page.get_by_role("searchbox")).to_be_hidden()
