"""The Classify view: pictures in, labels typed, bars that follow."""

import re
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, Route, expect

from diptych.prompts import TEMPLATES
from hands import drop_file, paste_file
from on_the_way import met, wait_until

pytestmark = pytest.mark.browser

CLASSIFY = "**/v1/classify"
# As fast as can be, on a machine however slow.
TYPE = """(field, letters) => {
  for (const letter of letters) {
    field.value += letter;
    field.dispatchEvent(new InputEvent("input", { bubbles: true, data: letter, inputType: "insertText" }));
  }
}"""
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


@pytest.fixture
def cat(photographs: Path) -> Path:
    return photographs / "holiday" / "chelsea.jpg"


def names(page: Page) -> list[str]:
    return page.locator(".classify .bar .name").all_inner_texts()


def bar(page: Page, name: str) -> Locator:
    return page.locator(".classify .bar", has=page.get_by_text(name, exact=True))


def share(page: Page, name: str) -> float:
    return float(bar(page, name).locator(".number").last.inner_text().rstrip("%")) / 100


def open_view(page: Page, address: str, more: str = "") -> None:
    page.goto(f"{address}#classify{more}")
    expect(page.get_by_text("Drop a picture here")).to_be_visible()


def open_with(page: Page, address: str, picture: Path, *labels: str, more: str = "") -> None:
    """The view with these labels, and a picture that was dropped."""
    open_view(page, address, f"?{'&'.join(f'label={label}' for label in labels)}{more}")
    drop_file(page, ".view.classify", picture)
    expect(page.locator(".classify .bar").first).to_be_visible()


def tab_to(page: Page, wanted: Locator) -> None:
    for _ in range(15):
        page.keyboard.press("Tab")
        if wanted.evaluate("element => element === document.activeElement"):
            break
    expect(wanted).to_be_focused()


def link_of(page: Page) -> str:
    return str(page.evaluate("location.href"))  # page.url hears of changes late


def params(page: Page) -> list[tuple[str, str]]:
    return parse_qsl(urlsplit(link_of(page)).fragment.partition("?")[2])


def test_a_picture_that_is_dropped_is_classified_among_the_first_labels(
    page: Page, without_library: str, cat: Path
) -> None:
    open_view(page, without_library)
    drop_file(page, ".view.classify", cat)
    expect(page.locator(".bar .name").first).to_have_text("cat")
    assert sorted(names(page)) == sorted(page.locator(".label-chip .edit").all_inner_texts())
    expect(bar(page, "cat")).to_contain_text(re.compile(r"cosine 0\.\d{3}"))
    assert sum(share(page, name) for name in names(page)) == pytest.approx(1, abs=0.01)
    expect(page.get_by_role("img", name="The picture: chelsea.jpg")).to_be_visible()
    expect(page.get_by_role("status").filter(has_text=re.compile(r"^cat \d+%"))).to_have_count(1)


def test_a_picture_may_be_pasted(page: Page, without_library: str, cat: Path) -> None:
    open_view(page, without_library)
    paste_file(page, cat)
    expect(page.locator(".bar .name").first).to_have_text("cat")


def test_a_file_that_is_no_picture_is_refused_in_words(page: Page, without_library: str, tmp_path: Path) -> None:
    open_view(page, without_library)
    (tmp_path / "notes.txt").write_text("no picture")
    drop_file(page, ".view.classify", tmp_path / "notes.txt", "text/plain")
    expect(page.get_by_role("status").filter(has_text="That is not a picture file")).to_be_visible()


def test_bars_move_with_each_letter_and_a_bar_grows_with_its_name(page: Page, without_library: str, cat: Path) -> None:
    open_with(page, without_library, cat, "dog", "car")
    before = share(page, "dog") + share(page, "car")
    page.get_by_label("Labels", exact=True).press_sequentially("c")
    expect(bar(page, "c")).to_be_visible()
    drafted = bar(page, "c").element_handle()
    page.get_by_label("Labels", exact=True).press_sequentially("at")
    expect(page.locator(".bar .name").first).to_have_text("cat")
    assert drafted.inner_text().startswith("cat")
    assert drafted.evaluate("row => getComputedStyle(row.querySelector('.fill')).transitionProperty") == "transform"
    assert share(page, "dog") + share(page, "car") < before
    page.keyboard.type(",tabby cat")
    expect(bar(page, "tabby cat")).to_be_visible()
    assert params(page) == [("label", name) for name in ("dog", "car", "cat", "tabby cat")]


def test_letters_that_follow_fast_make_few_requests_and_an_overtaken_answer_is_not_shown(
    page: Page, without_library: str, cat: Path
) -> None:
    open_with(page, without_library, cat, "dog")
    asked: list[Route] = []

    def hold_the_first(route: Route) -> None:
        asked.append(route)
        if len(asked) > 1:
            route.continue_()

    page.route(CLASSIFY, hold_the_first)
    labels = page.get_by_label("Labels", exact=True)
    labels.evaluate(TYPE, "ca")
    wait_until(page, lambda: bool(asked))
    labels.evaluate(TYPE, "terpillars in the")
    expect(bar(page, "caterpillars in the")).to_be_visible()
    asked[0].abort()
    page.wait_for_timeout(100)
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(bar(page, "caterpillars in the")).to_be_visible()
    assert len(asked) < 5


def test_a_picture_can_be_classified_with_the_keyboard_alone(page: Page, without_library: str, cat: Path) -> None:
    page.on("filechooser", lambda _: None)  # from now on: told of it only when Enter is pressed, Chromium is told late
    open_view(page, without_library, "?label=dog&label=car")
    choose = page.get_by_role("button", name="Choose pictures")
    tab_to(page, choose)
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(cat)
    expect(page.locator(".bar")).to_have_count(2)
    labels = page.get_by_label("Labels", exact=True)
    tab_to(page, labels)
    page.keyboard.type("cats")
    page.keyboard.press("Enter")
    expect(page.locator(".label-chip")).to_have_count(3)
    page.keyboard.press("Backspace")  # brings the last label back to be changed
    expect(labels).to_have_value("cats")
    page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    expect(page.locator(".bar .name").first).to_have_text("cat")
    page.keyboard.press("Shift+Tab")
    expect(page.get_by_role("button", name="Remove cat")).to_be_focused()
    page.keyboard.press("Enter")
    expect(bar(page, "cat")).to_have_count(0)
    expect(labels).to_be_focused()


def test_lines_that_are_pasted_become_labels(page: Page, without_library: str, cat: Path) -> None:
    open_with(page, without_library, cat, "dog")
    page.get_by_label("Labels", exact=True).focus()
    page.evaluate(
        """() => {
          const clipboardData = new DataTransfer();
          clipboardData.setData("text/plain", "cat\\nhorse, cow\\r\\ncat\\n");
          const event = new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true });
          document.activeElement.dispatchEvent(event);
        }"""
    )
    expect(page.locator(".label-chip .edit")).to_have_text(["dog", "cat", "horse", "cow"])


def test_labels_of_which_none_fits_are_said_to_be_relative(page: Page, without_library: str, cat: Path) -> None:
    open_with(page, without_library, cat, "pizza", "bicycle", "airplane")
    note = page.get_by_text("None of these labels seems to fit.")
    expect(note).to_be_visible()
    expect(page.get_by_text("The bars share 100% among your labels")).to_be_visible()
    page.get_by_label("Labels", exact=True).fill("cat")
    expect(note).to_have_count(0)


def test_each_label_may_be_held_by_itself(page: Page, without_library: str, cat: Path) -> None:
    open_with(page, without_library, cat, "cat", "animal", "flower")
    page.get_by_label("Each by itself").check()
    expect(page.get_by_text("Each by itself: every bar may reach 100%.")).to_be_visible()
    expect(page.locator(".none-of-these")).to_be_hidden()
    wait_until(page, lambda: min(share(page, name) for name in ("cat", "animal")) > 0.5)
    assert params(page)[-1] == ("each", "1")
    page.get_by_label("Labels", exact=True).fill("plant")
    for name in ("cat", "animal"):
        page.get_by_role("button", name=f"Remove {name}").click()
    expect(page.get_by_text("None of the labels holds by itself.")).to_be_visible()


def test_the_sentence_changes_the_answer_and_must_have_a_place_for_the_label(
    page: Page, without_library: str, cat: Path
) -> None:
    open_with(page, without_library, cat, "cat", "dog")
    usual = bar(page, "cat").inner_text()
    page.get_by_label("In the sentence").select_option("my own sentence…")
    expect(bar(page, "cat")).not_to_have_text(usual, use_inner_text=True)
    drawing = bar(page, "cat").inner_text()
    page.get_by_label("Your own sentence").fill("a cat")
    expect(page.get_by_text("Write {} once, where the label goes.")).to_be_visible()
    expect(bar(page, "cat")).to_be_hidden()
    page.get_by_label("Your own sentence").fill("a photo of my {}.")
    expect(bar(page, "cat")).to_be_visible()
    expect(bar(page, "cat")).not_to_have_text(drawing, use_inner_text=True)
    assert params(page)[-1] == ("template", "a photo of my {}.")


def test_the_sentences_that_are_offered_by_name_are_published(page: Page, without_library: str) -> None:
    open_view(page, without_library)
    offered = page.get_by_label("In the sentence").locator("option").evaluate_all("all => all.map((o) => o.value)")
    assert len(offered) > 10
    assert [name for name in offered if name not in {"", "own"} and name not in TEMPLATES] == []


def test_a_link_keeps_labels_and_sentence_and_says_that_it_does_not_keep_the_picture(
    page: Page, without_library: str, cat: Path
) -> None:
    open_with(page, without_library, cat, "cat", "dog", more="&template=oxford-pets&each=1")
    page.get_by_label("Labels", exact=True).fill("an old cat")
    link = link_of(page)
    page.get_by_role("link", name="Draw").click()
    expect(page.locator(".sheet")).to_be_visible()
    page.get_by_role("link", name="Classify").click()
    expect(page.locator(".label-chip .edit")).to_have_text(["cat", "dog", "an old cat"])
    expect(page.locator(".bar")).to_have_count(3)
    page.goto("about:blank")
    page.goto(link)
    expect(page.locator(".label-chip .edit")).to_have_text(["cat", "dog", "an old cat"])
    expect(page.get_by_label("In the sentence")).to_have_value("oxford-pets")
    expect(page.get_by_label("Each by itself")).to_be_checked()
    expect(page.get_by_text("The link keeps the labels, not the picture.")).to_be_visible()
    expect(page.get_by_text("Drop a picture here")).to_be_visible()


def test_several_pictures_stand_in_a_strip_of_which_one_is_classified(
    page: Page, without_library: str, photographs: Path
) -> None:
    open_view(page, without_library, "?label=cat&label=flower&label=rocket")
    files = [photographs / "holiday" / f"{name}.jpg" for name in ("chelsea", "flower", "rocket")]
    page.locator(".classify input[type=file]").first.set_input_files(files)
    expect(page.get_by_role("button", name="Classify chelsea.jpg")).to_have_attribute("aria-pressed", "true")
    expect(page.locator(".bar .name").first).to_have_text("cat")
    page.get_by_role("button", name="Classify flower.jpg").click()
    expect(page.locator(".bar .name").first).to_have_text("flower")
    page.get_by_role("button", name="Remove flower.jpg").click()
    expect(page.locator(".bar .name").first).to_have_text("rocket")
    for name in ("rocket", "chelsea"):
        page.get_by_role("button", name=f"Remove {name}.jpg").click()
    expect(page.get_by_text("Drop a picture here")).to_be_visible()
    expect(page.locator(".classify-results")).to_be_hidden()


def test_a_damaged_picture_is_named_and_removed_and_the_verdict_before_it_is_not_said_on(
    page: Page, without_library: str, photographs: Path, cat: Path
) -> None:
    verdict = page.get_by_role("status").filter(has_text=re.compile(r"^cat \d+%"))
    open_view(page, without_library)
    drop_file(page, ".view.classify", cat)
    expect(verdict).to_have_count(1)
    drop_file(page, ".view.classify", photographs / "holiday" / "broken.jpg")
    expect(page.get_by_role("alert")).to_contain_text("broken.jpg is damaged or is no picture: remove it.")
    expect(page.get_by_text("This browser cannot show the picture.")).to_be_visible()
    expect(page.get_by_role("button", name="Try again")).to_have_count(0)
    expect(verdict).to_have_count(0)
    expect(page.locator(".bars-caption")).to_be_hidden()
    page.get_by_role("button", name="Remove it").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_role("img", name="The picture: chelsea.jpg")).to_be_visible()
    expect(page.locator(".bar .name").first).to_have_text("cat")


def test_a_picture_of_more_pixels_than_the_server_takes_is_made_smaller(
    page: Page, without_library: str, tmp_path: Path
) -> None:
    Image.new("L", (9000, 7000), 90).save(tmp_path / "poster.png")
    open_view(page, without_library)
    drop_file(page, ".view.classify", tmp_path / "poster.png", "image/png")
    expect(page.locator(".bar").first).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.get_by_role("img", name="The picture: poster.png")).to_have_js_property("naturalHeight", 1024)


def test_none_of_these_stands_apart_from_the_bars_that_share(page: Page, without_library: str, cat: Path) -> None:
    open_with(page, without_library, cat, "cat", "dog")
    expect(page.get_by_text("Of the labels offered: together the bars are 100%.")).to_be_visible()
    assert sorted(names(page)) == ["cat", "dog"]
    apart = page.locator(".none-of-these")
    expect(apart).to_have_text(
        re.compile(r"None of these: the chance that no label fits the picture\d+(\.\d)?%"), use_inner_text=False
    )
    expect(apart.locator(".track")).to_have_count(0)


def test_the_same_label_is_taken_once_whatever_its_capitals(page: Page, without_library: str, cat: Path) -> None:
    open_with(page, without_library, cat, "dog", "Dog", "cat")
    said = page.locator(".label-said")
    expect(said).to_have_text("Dog: there already.")
    expect(page.locator(".label-chip .edit")).to_have_text(["dog", "cat"])
    labels = page.get_by_label("Labels", exact=True)
    labels.fill("horse")
    expect(said).to_be_empty()
    labels.fill("CAT")
    expect(said).to_have_text("CAT: there already.")
    expect(page.locator(".bar")).to_have_count(2)
    page.keyboard.press("Enter")
    expect(said).to_have_text("CAT: there already.")
    expect(page.locator(".label-chip .edit")).to_have_text(["dog", "cat"])


def test_a_request_that_fails_is_shown_and_tried_again(
    page: Page, without_library: str, cat: Path, complaints: list[str]
) -> None:
    with met(page, CLASSIFY):
        open_view(page, without_library)
        drop_file(page, ".view.classify", cat)
        expect(page.get_by_role("alert")).to_contain_text("The server does not answer.")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".bar .name").first).to_have_text("cat")
    expect(page.get_by_role("alert")).to_have_count(0)
    assert complaints  # the browser's own, of the request that was cut
    complaints.clear()


def test_label_sets_are_saved_picked_and_deleted(page: Page, searched: str, cat: Path) -> None:
    open_with(page, searched, cat, "cat", "dog", more="&template=oxford-pets")
    page.get_by_role("button", name="Save these labels…").click()
    page.get_by_label("Name of the set").fill("pets of ours")
    page.keyboard.press("Enter")
    expect(page.get_by_text("Saved as pets of ours.")).to_be_visible()
    wait_until(page, lambda: params(page) == [("set", "pets of ours")])
    page.goto("about:blank")
    open_view(page, searched)
    drop_file(page, ".view.classify", cat)
    expect(page.locator(".bar")).to_have_count(8)
    with page.expect_request(CLASSIFY) as asked:
        page.get_by_label("Label set").select_option("pets of ours")
    assert '"label_set":"pets of ours"' in (asked.value.post_data or "")
    expect(page.locator(".label-chip .edit")).to_have_text(["cat", "dog"])
    expect(page.get_by_label("In the sentence")).to_have_value("oxford-pets")
    expect(page.locator(".bar")).to_have_count(2)
    page.get_by_label("Labels", exact=True).fill("horse")
    expect(page.get_by_label("Label set")).to_have_value("")  # these are no longer its labels
    page.get_by_label("Label set").select_option("pets of ours")
    page.get_by_role("button", name="Delete this set").click()
    expect(page.get_by_text("Deleted pets of ours.")).to_be_visible()
    expect(page.get_by_label("Label set").locator("option")).to_have_count(1)


def test_a_set_with_sentences_and_phrases_says_when_they_are_used_and_when_not(
    page: Page, searched: str, cat: Path
) -> None:
    body = {"name": "rich", "labels": {"cat": ["a cat", "a kitten"], "dog": "a dog"}, "templates": ["{}.", "my {}."]}
    assert page.request.post(f"{searched}v1/label-sets", data=body).status == 201
    open_with(page, searched, cat, more="set=rich")
    own = "rich has 2 sentences and phrases of its own, used while neither its labels nor the sentence are changed."
    expect(page.get_by_text(own)).to_be_visible()
    page.get_by_label("Labels", exact=True).fill("horse")
    left = "Changed: 2 sentences and phrases of rich are not used now. Pick the set again to have them back."
    expect(page.get_by_text(left)).to_be_visible()
    expect(bar(page, "horse")).to_be_visible()
    page.get_by_label("Label set").select_option("rich")
    expect(page.get_by_text(own)).to_be_visible()
    page.get_by_role("button", name="Delete this set").click()
    expect(page.get_by_text("Deleted rich.")).to_be_visible()


def test_a_name_that_a_set_has_already_is_refused_in_words(
    page: Page, searched: str, cat: Path, complaints: list[str]
) -> None:
    open_with(page, searched, cat, "cat", "dog")
    for _ in range(2):
        page.get_by_label("Label set").select_option("")
        page.get_by_role("button", name="Save these labels…").click()
        page.get_by_label("Name of the set").fill("twice")
        page.keyboard.press("Enter")
        expect(page.locator(".label-sets div[role=status]")).not_to_be_empty()
    expect(page.get_by_role("alert")).to_contain_text("The name is taken")
    page.get_by_label("Label set").select_option("twice")
    page.get_by_role("button", name="Delete this set").click()
    expect(page.get_by_text("Deleted twice.")).to_be_visible()
    complaints.clear()  # the browser's own, of the answer 409


@pytest.mark.parametrize("page", [{"reduced_motion": "reduce"}], indirect=True)
def test_bars_jump_where_the_system_asks_for_less_motion(page: Page, without_library: str, cat: Path) -> None:
    open_with(page, without_library, cat, "cat", "dog")
    seconds = page.locator(".bar .fill").first.evaluate("bar => parseFloat(getComputedStyle(bar).transitionDuration)")
    assert seconds == 0


@pytest.mark.parametrize("page", [{"viewport": {"width": 360, "height": 740}, "is_mobile": True}], indirect=True)
def test_a_phone_shows_the_view_without_scrolling_sideways(page: Page, without_library: str, cat: Path) -> None:
    open_with(page, without_library, cat, "cat", "a label that is long enough to be broken or cut somewhere on a phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_who_has_no_picture_at_hand_is_given_a_painted_one(page: Page, without_library: str) -> None:
    open_view(page, without_library)
    page.get_by_role("button", name="or try a painted one").click()
    expect(page.locator(".bar .name").first).to_have_text("beach")
    expect(page.get_by_role("img", name="The picture: painted beach.png")).to_be_visible()
    expect(page.get_by_text("None of these labels seems to fit.")).to_have_count(0)


@pytest.mark.parametrize("page", [PHONE], indirect=True)
def test_a_phone_is_asked_to_choose_a_picture_not_to_drop_one(page: Page, without_library: str) -> None:
    page.goto(f"{without_library}#classify")
    expect(page.get_by_role("button", name="Choose a picture")).to_be_visible()
    expect(page.locator(".invitation")).not_to_contain_text("Drop")
    expect(page.locator(".invitation")).not_to_contain_text("paste")
