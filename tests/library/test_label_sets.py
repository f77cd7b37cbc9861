import sqlite3
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from diptych import DualEncoder
from diptych.encode.encoder import Encoder, Features
from diptych.library.library import PhotoLibrary
from diptych.library.schema import MIGRATIONS, VERSION
from diptych.zeroshot import ZeroShotClassifier, build_classifier

LABELS = ("dog", "cat", "a red bicycle")
DESCRIBED: dict[str, str | list[str]] = {"dog": "a dog asleep", "pet": ["a dog", "a cat"]}


@pytest.fixture
def library(tmp_path: Path) -> Iterator[PhotoLibrary]:
    with PhotoLibrary.open(tmp_path / "library", create_missing=True) as library:
        yield library


class Counting:
    """An encoder that says which texts it was asked for."""

    def __init__(self, encoder: DualEncoder, *, fingerprint: str | None = None, dtype: str | None = None) -> None:
        self.embed_dim, self.logit_scale = encoder.embed_dim, encoder.logit_scale
        self.fingerprint, self.dtype = fingerprint or encoder.fingerprint, dtype or encoder.dtype
        self.asked: list[str] = []
        self._encoder = encoder

    def encode_texts(self, texts: Iterable[str], **options: bool) -> Features:
        given = list(texts)
        self.asked += given
        return self._encoder.encode_texts(given)


def classifier_of(library: PhotoLibrary, name: str, encoder: Encoder) -> ZeroShotClassifier:
    """What is kept for a set, or else made of it and kept."""
    found = library.label_sets.find(name)
    assert found is not None
    kept = library.label_sets.find_classifier(found, encoder)
    if kept is not None:
        return kept
    made = build_classifier(encoder, found.labels, found.forms(), cache=False)
    library.label_sets.keep_classifier(found, made)
    return made


def test_label_sets_are_kept_as_they_were_given(library: PhotoLibrary) -> None:
    assert library.label_sets.all() == []
    assert library.label_sets.put("pets", LABELS)
    assert library.label_sets.put("described", DESCRIBED, "imagenet-7")
    assert library.label_sets.put("own", LABELS, ("a sketch of a {}.", "{} in snow"))
    with PhotoLibrary.open(library.folder) as again:
        described, own, pets = again.label_sets.all()
        assert (pets.name, pets.labels, pets.templates) == ("pets", LABELS, None)
        assert (described.labels, described.templates) == (DESCRIBED, "imagenet-7")
        assert (own.labels, own.templates) == (LABELS, ("a sketch of a {}.", "{} in snow"))
        assert again.label_sets.find("pets") == pets
        assert again.label_sets.find("none") is None


def test_a_name_that_is_taken_keeps_its_labels(library: PhotoLibrary) -> None:
    assert library.label_sets.put("pets", LABELS)
    assert not library.label_sets.put("pets", ("hamster",))
    assert library.label_sets.all()[0].labels == LABELS


def test_what_is_deleted_is_gone_and_its_name_is_free(library: PhotoLibrary, encoder: DualEncoder) -> None:
    library.label_sets.put("pets", LABELS)
    classifier_of(library, "pets", encoder)
    assert library.label_sets.delete("pets")
    assert not library.label_sets.delete("pets")
    assert library.label_sets.find("pets") is None
    assert library.label_sets.put("pets", ("hamster", "parrot"))
    classifier = classifier_of(library, "pets", encoder)
    assert classifier.class_names == ("hamster", "parrot")


@pytest.mark.parametrize(("labels", "templates"), [(LABELS, None), (DESCRIBED, None), (LABELS, "imagenet-7")])
def test_a_classifier_is_computed_once_and_is_what_a_new_one_would_be(
    library: PhotoLibrary,
    encoder: DualEncoder,
    labels: tuple[str, ...] | dict[str, str | list[str]],
    templates: str | None,
) -> None:
    library.label_sets.put("set", labels, templates)
    expected = build_classifier(encoder, labels, templates)
    for asks in (True, False):
        counting = Counting(encoder)
        made = classifier_of(library, "set", cast(Encoder, counting))
        assert made.prompts == expected.prompts
        assert made.templates == expected.templates
        np.testing.assert_array_equal(made.class_features, expected.class_features)
        assert bool(counting.asked) is asks


def test_a_set_can_be_kept_with_its_classifier_at_once(library: PhotoLibrary, encoder: DualEncoder) -> None:
    made = build_classifier(encoder, LABELS, "imagenet-7")
    assert library.label_sets.put("set", LABELS, "imagenet-7", classifier=made)
    counting = Counting(encoder)
    kept = classifier_of(library, "set", cast(Encoder, counting))
    np.testing.assert_array_equal(kept.class_features, made.class_features)
    assert not counting.asked
    assert not library.label_sets.put("set", ("hamster",), classifier=build_classifier(encoder, ("hamster",)))
    np.testing.assert_array_equal(classifier_of(library, "set", encoder).class_features, made.class_features)


def test_each_model_and_each_dtype_has_its_own(library: PhotoLibrary, encoder: DualEncoder) -> None:
    library.label_sets.put("set", LABELS)
    for fingerprint, dtype in ((None, None), ("another", None), (None, "bfloat16")):
        counting = Counting(encoder, fingerprint=fingerprint, dtype=dtype)
        classifier_of(library, "set", cast(Encoder, counting))
        assert len(counting.asked) == len(LABELS)


def test_a_set_that_is_replaced_meanwhile_keeps_nothing_of_the_one_before(
    library: PhotoLibrary, encoder: DualEncoder
) -> None:
    class Slow(Counting):
        def encode_texts(self, texts: Iterable[str], **options: bool) -> Features:
            library.label_sets.delete("set")
            library.label_sets.put("set", ("hamster", "parrot", "fish"))
            return super().encode_texts(texts)

    library.label_sets.put("set", LABELS)
    classifier_of(library, "set", cast(Encoder, Slow(encoder)))
    made = classifier_of(library, "set", encoder)
    expected = build_classifier(encoder, ("hamster", "parrot", "fish"))
    np.testing.assert_array_equal(made.class_features, expected.class_features)


def test_labels_that_are_none_are_refused_and_no_file_is_read(library: PhotoLibrary, tmp_path: Path) -> None:
    (tmp_path / "templates.txt").write_text("a secret {}.")
    refused: list[tuple[tuple[str, ...], str | tuple[str, ...] | None, str]] = [
        ((), None, "must hold at least one name"),
        (LABELS, ("no place",), "must have one {} where the class name goes"),
        (LABELS, "imagnet", r"no templates named 'imagnet'; the nearest .* imagenet"),
        (LABELS, str(tmp_path / "templates.txt"), "there are no templates named"),
    ]
    for labels, templates, message in refused:
        with pytest.raises(ValueError, match=message):
            library.label_sets.put("set", labels, templates)
    with pytest.raises(ValueError, match="A label set needs a name"):
        library.label_sets.put("", LABELS)
    assert library.label_sets.all() == []


def test_a_library_of_the_second_version_gets_the_tables(tmp_path: Path, encoder: DualEncoder) -> None:
    folder = tmp_path / "library"
    folder.mkdir()
    with closing(sqlite3.connect(folder / "library.db", isolation_level=None)) as database:
        for migrate in MIGRATIONS[:2]:
            migrate(database)
        database.execute("INSERT INTO roots (path, scanned_at, kind) VALUES ('/photos', 1.7e9, 'folder')")
        database.execute("PRAGMA application_id = 1145655380")
        database.execute("PRAGMA user_version = 2")
    with PhotoLibrary.open(folder) as library:
        assert [str(root.path) for root in library.roots()] == ["/photos"]
        assert library.label_sets.put("pets", LABELS)
        assert classifier_of(library, "pets", encoder) is not None
    with closing(sqlite3.connect(folder / "library.db")) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (VERSION,)
