"""Policies as files have them, and what of a library they find."""

import math
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from diptych.calibration import none_of_these
from diptych.checkpoints import load_checkpoint
from diptych.demo.photographs import find_photographs
from diptych.encode.torch_encoder import TorchEncoder
from diptych.library.library import PhotoLibrary
from diptych.library.moderation import COLUMNS, Moderated, to_record
from diptych.library.policy import Category, Policy, read_policy, read_sample_policy
from diptych.prompts import DEFAULT_LABELS
from diptych.settings import to_dict
from diptych.zeroshot import build_classifier

CAT = Category(name="cats", prompts=("a photo of a cat.", "a photo of a kitten."), threshold=0.25)
ROCKET = Category(name="rockets", prompts=("a photo of a rocket.",), threshold=0.0, action="keep")


@pytest.fixture(scope="module")
def encoder() -> TorchEncoder:
    return TorchEncoder(load_checkpoint(None), device="cpu", dtype="float32", preprocess="fast")


@pytest.fixture
def library(tmp_path: Path, encoder: TorchEncoder) -> PhotoLibrary:
    photographs = {path.stem: path for path in find_photographs()}
    (tmp_path / "photos").mkdir()
    for stem in ("chelsea", "rocket"):
        with Image.open(photographs[stem]) as photograph:
            photograph.reduce(2).save(tmp_path / "photos" / f"{stem}.png")
    library = PhotoLibrary.open(tmp_path / "library", encoder=encoder, create_missing=True)
    library.index(tmp_path / "photos")
    return library


def moderated(library: PhotoLibrary, *categories: Category) -> dict[str, Moderated]:
    return {Path(each.source).stem: each for each in library.moderate(Policy(category=categories))}


# ---- the file


def test_a_policy_is_read_as_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(
        '[[category]]\nname = "cats"\nprompts = ["a photo of a cat."]\n'
        '[[category]]\nname = "dogs"\nprompts = ["a dog"]\nexceptions = ["a wolf"]\nthreshold = 1\naction = "blur"\n'
    )
    cats, dogs = read_policy(path).category
    assert to_dict(cats) == {
        "name": "cats",
        "prompts": ["a photo of a cat."],
        "exceptions": [],
        "threshold": 0.5,
        "action": "review",
    }
    assert (dogs.exceptions, dogs.threshold, dogs.action) == (("a wolf",), 1.0, "blur")


def test_the_sample_is_a_policy(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(read_sample_policy(), encoding="utf-8")
    categories = read_policy(path).category
    assert {each.name for each in categories} >= {"weapons", "alcohol", "smoking", "identity documents", "nudity"}
    assert all(each.exceptions and 0.5 <= each.threshold < 1 for each in categories)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('[[categorie]]\nname = "a"', "unknown key 'categorie'; did you mean 'category'?"),
        (
            '[[category]]\nname = "a"\nprompt = ["b"]',
            "unknown key 'category.0.prompt'; did you mean 'category.0.prompts'?",
        ),
        ('[[category]]\nname = "a"', "missing 'category.0.prompts'"),
        ('[[category]]\nname = "a"\nprompts = "b"', "category.0.prompts must be a list, got 'b'"),
        ('[[category]]\nname = "a"\nprompts = []', "category.0 is not valid: prompts must hold at least one sentence"),
        ('[[category]]\nname = "a"\nprompts = [" "]', "are texts of one line, got ' '"),
        (
            '[[category]]\nname = "a"\nprompts = ["b"]\nthreshold = 50',
            "threshold is a probability from 0 to 1, got 50.0",
        ),
        ('[[category]]\nname = "a"\nprompts = ["b"]\nexceptions = ["b"]', "'b' is a prompt and an exception"),
        ('[[category]]\nname = "a"\nprompts = ["b"]\n' * 2, "there are two categories named 'a'"),
        ("category = []", "there is no [[category]] in it"),
        ("", "missing 'category'"),
        ("[[category", "is not TOML: "),
        ("\udcff", "cannot be read: 'utf-8' codec"),
    ],
)
def test_what_is_wrong_with_a_policy_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    path = tmp_path / "policy.toml"
    path.write_text(content, errors="surrogateescape")
    with pytest.raises(ValueError) as raised:
        read_policy(path)
    assert message in str(raised.value)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)


def test_a_policy_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"The policy .*none.toml cannot be read: No such file or directory\."):
        read_policy(tmp_path / "none.toml")


# ---- what it finds


def test_a_finding_says_which_sentence_of_which_category_fits(library: PhotoLibrary, encoder: TorchEncoder) -> None:
    photos = moderated(library, CAT, ROCKET)
    assert [[reason.category.name for reason in photos[stem].found] for stem in ("chelsea", "rocket")] == [
        ["cats", "rockets"],  # a threshold of 0 finds everything
        ["rockets"],
    ]
    best = photos["chelsea"].found[0]
    features = encoder.encode_images([photos["chelsea"].source])
    cosines = (features @ encoder.encode_texts(CAT.prompts).T)[0]
    assert best.prompt == CAT.prompts[int(cosines.argmax())]
    assert best.cosine == pytest.approx(float(cosines.max()), abs=2e-3)
    others = [text for text in DEFAULT_LABELS if text not in ("cat", "kitten", "rocket")]
    background = features @ build_classifier(encoder, others).class_features.T
    assert best.probability == pytest.approx(1 - float(none_of_these(cosines.max()[None], background)[0]), abs=1e-2)
    assert best.above == pytest.approx(best.probability - 0.25)
    row = to_record(photos["chelsea"], best)
    assert list(row) == list(COLUMNS)
    assert (row["category"], row["action"], row["threshold"], row["exception"]) == ("cats", "review", 0.25, None)


def test_an_exception_takes_its_share_of_the_probability(library: PhotoLibrary, encoder: TorchEncoder) -> None:
    plain = moderated(library, CAT)["chelsea"].reasons[0]
    excepted = Category(name="cats", prompts=CAT.prompts, exceptions=("a photo of a tabby cat.", "a rocket"))
    [reason] = moderated(library, excepted)["chelsea"].reasons
    assert reason.exception == "a photo of a tabby cat."
    assert reason.exception_cosine is not None
    share = 1 / (1 + math.exp(encoder.logit_scale * (reason.exception_cosine - reason.cosine)))
    assert reason.probability == pytest.approx(plain.probability * share, rel=1e-3)
    assert reason.probability < plain.probability


def test_a_video_is_found_by_its_most_probable_frame(library: PhotoLibrary) -> None:
    before = moderated(library, CAT)
    cat, rocket = before["chelsea"], before["rocket"]
    assert (len(cat.found), len(rocket.found)) == (1, 0)
    with sqlite3.connect(library.folder / "library.db") as database:
        copy = "INSERT INTO vectors_1 (photo_id, vector, second) SELECT ?, vector, ? FROM vectors_1 WHERE photo_id = ?"
        database.execute(copy, (rocket.id, 2.5, cat.id))
        database.executemany(f"{copy} LIMIT 1", [(rocket.id, second, rocket.id) for second in range(8)])
    after = moderated(library, CAT)["rocket"]
    assert (after.reasons[0].second, cat.reasons[0].second) == (2.5, None)
    assert after.reasons[0].cosine == pytest.approx(cat.reasons[0].cosine, abs=1e-4)
    assert np.isclose(after.found[0].probability, cat.found[0].probability, atol=1e-4)
