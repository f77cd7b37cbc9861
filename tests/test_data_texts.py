"""Which words a sample is learnt with, and which of them count as the same."""

import random
from collections import Counter

import pytest

from diptych.data.config import SourceConfig
from diptych.data.sample import DataError, SampleError, Texts
from diptych.data.texts import TRAINING_TEMPLATES, DrawnText, Wording, make_wording, shared_names
from drawn_pairs import Pairs

FELINES = (("tabby", "cat"), ("siamese", "cat"), ("dog", "animal"))


def draws(wording: Wording, texts: Texts, count: int = 400) -> list[DrawnText]:
    generator = random.Random(0)
    return [wording.draw(texts, generator) for _ in range(count)]


def test_each_caption_is_drawn_as_often() -> None:
    counts = Counter(drawn.text for drawn in draws(Wording(), Texts(captions=("one", "two", "three", " "))))
    assert set(counts) == {"one", "two", "three"}
    assert min(counts.values()) > 100


def test_a_class_comes_in_every_template_under_one_id() -> None:
    found = draws(Wording(), Texts(class_names=("dog", "animal")))
    assert {drawn.text for drawn in found} == {template.replace("{}", "dog") for template in TRAINING_TEMPLATES}
    assert len({drawn.id for drawn in found}) == 1


def test_captions_are_the_same_whatever_their_case_spacing_and_full_stop() -> None:
    texts = ("A dog  runs.", "a dog runs", " A DOG RUNS ."), ("a dog ran",)
    ids = [{drawn.id for drawn in draws(Wording(), Texts(captions=captions), 20)} for captions in texts]
    assert [len(each) for each in ids] == [1, 1]
    assert ids[0] != ids[1]


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(("apple", "an apple"), ("dog", "a dog"), ("unicycle", "a unicycle"), ("umbrella", "an umbrella")),
        *(("hourglass", "an hourglass"), ("Owl", "an Owl"), ("ukulele", "a ukulele"), ("onion", "an onion")),
    ],
)
def test_built_in_templates_have_the_right_article(name: str, text: str) -> None:
    texts = {drawn.text for drawn in draws(make_wording(SourceConfig(path=""), Pairs("a", 1), {}), _named(name))}
    assert text in texts


def test_given_templates_are_used_as_they_are() -> None:
    wording = make_wording(SourceConfig(path="", templates=("a {} here",)), Pairs("a", 1), {})
    assert {drawn.text for drawn in draws(wording, _named("apple"), 5)} == {"a apple here"}


def test_templates_are_found_by_name_or_are_one_prompt() -> None:
    named = make_wording(SourceConfig(path="", templates="mine"), Pairs("a", 1), {"mine": ["x {}", "y {}"]})
    assert named.templates == ("x {}", "y {}")
    assert make_wording(SourceConfig(path="", templates="my {}"), Pairs("a", 1), {}).templates == ("my {}",)
    with pytest.raises(DataError, match=r"templates is neither a prompt with {} nor a known name: 'yours'"):
        make_wording(SourceConfig(path="", templates="yours"), Pairs("a", 1), {"mine": ["x {}"]})


def test_any_name_may_be_drawn_and_stands_for_the_class_unless_classes_share_it() -> None:
    source = Pairs("a", 9, FELINES, unreadable=frozenset({1}))
    assert shared_names(source) == {"cat"}
    wording = make_wording(SourceConfig(path="", templates="{}", class_name_draw="any"), source, {})
    ids = {
        (names[0], drawn.text): drawn.id for names in FELINES for drawn in draws(wording, Texts(class_names=names), 50)
    }
    assert ids["tabby", "cat"] == ids["siamese", "cat"]
    assert ids["dog", "dog"] == ids["dog", "animal"]
    assert len(set(ids.values())) == 4  # tabby, siamese, cat, dog


def test_a_sample_without_words_is_a_bad_one() -> None:
    with pytest.raises(SampleError, match="neither a caption nor a class name"):
        Wording().draw(Texts(captions=("",), class_names=(" ",)), random.Random(0))


def test_half_a_surrogate_pair_in_a_caption_does_no_harm() -> None:
    assert draws(Wording(), Texts(captions=("\ud83d dog",)), 1)[0].text == "\ud83d dog"


def _named(*names: str) -> Texts:
    return Texts(class_names=names)


def test_words_of_captions_are_dropped_but_not_of_class_names() -> None:
    wording = Wording(word_dropout=0.5)
    drawn = draws(wording, Texts(captions=("a dog runs over wet grass",)), 400)
    kept = Counter(word for each in drawn for word in each.text.split())
    assert set(kept) == {"a", "dog", "runs", "over", "wet", "grass"}
    assert all(150 < count < 260 for count in kept.values())
    assert all(each.text for each in drawn)
    assert len({each.id for each in drawn}) == 1
    assert all("dog house" in each.text for each in draws(wording, Texts(class_names=("dog house",)), 50))
