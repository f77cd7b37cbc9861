"""The published prompts are here in full, to the letter, and cost nothing until they are used."""

import hashlib
import subprocess
import sys

import pytest

from diptych.prompts import CLASS_NAMES, DEFAULT_LABELS, TEMPLATES, UnknownPromptsError


def digest(strings: tuple[str, ...]) -> str:
    return hashlib.sha256("\n".join(strings).encode()).hexdigest()[:16]


def test_imagenet_templates_are_the_published_80_and_7() -> None:
    assert len(TEMPLATES["imagenet"]) == 80
    assert TEMPLATES["imagenet"][0] == "a bad photo of a {}."
    assert TEMPLATES["imagenet"][-1] == "a tattoo of the {}."
    assert len(TEMPLATES["imagenet-7"]) == 7
    assert TEMPLATES["imagenet-7"][0] == "itap of a {}."
    assert set(TEMPLATES["imagenet-7"]) <= set(TEMPLATES["imagenet"])
    assert TEMPLATES["simple"] == ("a photo of a {}.",)


def test_imagenet_class_names_are_the_published_1000() -> None:
    names = CLASS_NAMES["imagenet"]
    assert len(names) == 1000
    assert (names[0], names[1], names[134], names[517], names[999]) == (
        "tench",
        "goldfish",
        "crane bird",
        "construction crane",
        "toilet paper",
    )
    # Published so: two classes share each of these names, and scores depend on keeping them.
    assert {name for name in names if names.count(name) > 1} == {"missile", "sunglasses"}


@pytest.mark.parametrize(
    ("name", "count", "first", "last"),
    [
        ("cifar10", 10, "airplane", "truck"),
        ("cifar100", 100, "apple", "worm"),
        ("caltech101", 102, "background", "yin and yang symbol"),
        ("country211", 211, "Andorra", "Zimbabwe"),
        ("dtd", 47, "banded", "zigzagged"),
        ("eurosat", 10, "annual crop land", "lake or sea"),
        ("fgvc-aircraft", 100, "707-320", "Yak-42"),
        ("food101", 101, "apple pie", "waffles"),
        ("gtsrb", 43, "red and white circle 20 kph speed limit", None),
        ("oxford-flowers", 102, "pink primrose", "blackberry lily"),
        ("oxford-pets", 37, "Abyssinian", "Yorkshire Terrier"),
        ("resisc45", 45, "airplane", "wetland"),
        ("stanford-cars", 196, "AM General Hummer SUV 2000", "smart fortwo Convertible 2012"),
        ("stl10", 10, "airplane", "truck"),
        ("sun397", 397, "abbey", "youth hostel"),
        ("voc2007", 20, "aeroplane", "tvmonitor"),
    ],
)
def test_class_names_of_each_data_set_are_complete_and_in_order(
    name: str, count: int, first: str, last: str | None
) -> None:
    names = CLASS_NAMES[name]
    assert len(names) == len(set(names)) == count
    assert names[0] == first
    assert last is None or names[-1] == last


def test_strings_are_the_published_ones_to_the_letter() -> None:
    assert digest(TEMPLATES["imagenet"]) == "4f976686fb651bb5"
    assert digest(CLASS_NAMES["imagenet"]) == "571ae1c583b4be7d"
    # A published misspelling, kept: results are compared with others who kept it.
    assert TEMPLATES["resisc45"][0] == "a sattelite image of {}"


def test_every_template_has_exactly_one_slot_and_no_twin() -> None:
    for name, templates in TEMPLATES.items():
        assert len(set(templates)) == len(templates) > 0, name
        for template in templates:
            assert template.count("{}") == 1, (name, template)
            assert template.format("dog") == template.replace("{}", "dog"), (name, template)


def test_names_are_lower_case_with_hyphens() -> None:
    for name in [*TEMPLATES, *CLASS_NAMES]:
        assert name == name.lower()
        assert name.replace("-", "").isalnum()


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [("imagenet1k", "imagenet"), ("pets", "oxford-pets"), ("fgvc_aircraft", "fgvc-aircraft"), ("ImageNet", "imagenet")],
)
def test_clip_benchmark_names_are_understood(theirs: str, ours: str) -> None:
    assert theirs in TEMPLATES
    assert TEMPLATES[theirs] is TEMPLATES[ours]
    assert CLASS_NAMES[theirs] is CLASS_NAMES[ours]
    assert theirs == ours or theirs not in list(TEMPLATES)


def test_an_unknown_name_is_an_error_of_one_line_that_names_the_nearest() -> None:
    with pytest.raises(UnknownPromptsError) as caught:
        TEMPLATES["imagnet"]
    assert str(caught.value).startswith(
        "there are no templates named 'imagnet'; the nearest of the 34 names are imagenet"
    )
    assert "\n" not in str(caught.value)
    assert isinstance(caught.value, KeyError)
    assert isinstance(caught.value, ValueError)
    with pytest.raises(UnknownPromptsError, match=r"there are no class names named 'food'; .* food101"):
        CLASS_NAMES["food"]


def test_membership_and_get_behave_as_a_mappings_do() -> None:
    assert "imagnet" not in TEMPLATES
    assert TEMPLATES.get("imagnet") is None
    assert len(TEMPLATES) == len(list(TEMPLATES)) == 34


def test_default_labels_are_plain_and_distinct() -> None:
    assert 400 <= len(DEFAULT_LABELS) <= 600
    folded = [label.lower().removesuffix("s") for label in DEFAULT_LABELS]
    assert len(set(folded)) == len(folded)
    for label in DEFAULT_LABELS:
        assert label == " ".join(label.split())
        assert not label.startswith(("#", "a ", "an ", "the "))
        assert len(label) <= 40
    assert {"dog", "birthday party", "screenshot of a chat", "beach at sunset", "receipt"} <= set(DEFAULT_LABELS)


def test_an_unknown_attribute_is_refused() -> None:
    import diptych.prompts

    with pytest.raises(AttributeError, match=r"has no attribute 'TEMPLATE'; it has .*TEMPLATES"):
        diptych.prompts.TEMPLATE  # noqa: B018 (the access is the test)


def test_importing_reads_nothing_and_is_quick() -> None:
    program = """
import sys, time
import diptych
opened = []
sys.addaudithook(lambda event, args: opened.append(str(args[0])) if event == "open" else None)
start = time.process_time()
import diptych.prompts
seconds = time.process_time() - start
assert not {"torch", "numpy", "json"} & set(sys.modules), "a heavy import"
assert not [path for path in opened if path.endswith((".json", ".txt"))], opened
diptych.prompts.TEMPLATES["simple"], diptych.prompts.DEFAULT_LABELS
assert {"templates.json", "labels.txt"} <= {path.replace(chr(92), "/").rsplit("/", 1)[-1] for path in opened}
start = time.process_time()
import argparse
print(seconds, time.process_time() - start)
"""
    ours, theirs = [], []
    for _ in range(5):
        result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
        assert result.returncode == 0, result.stderr
        ours.append(float(result.stdout.split()[0]))
        theirs.append(float(result.stdout.split()[1]))
    # Processor time, since others may be using this machine; about 2 ms is usual. The best of several: the file system
    # and the byte code may be cold. A slow processor is held to what a module of Python's own takes there.
    assert min(ours) < max(0.02, 5 * min(theirs))
