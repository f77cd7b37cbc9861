from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

import diptych
from diptych import DiptychError, DualEncoder, ZeroShotClassifier
from diptych.files import cache_dir
from diptych.prompts import CLASS_NAMES, TEMPLATES
from diptych.zeroshot import resolve_templates, softmax, write_prompts


def test_class_features_follow_the_protocol(encoder: DualEncoder) -> None:
    templates = ["a photo of a {}.", "a drawing of a {}.", "{} outdoors"]
    classifier = encoder.classifier(["dog", "cat"], templates=templates, cache=False)
    for i, name in enumerate(("dog", "cat")):
        units = encoder.encode_texts([template.format(name) for template in templates])
        mean = units.mean(axis=0)
        assert_allclose(classifier.class_features[i], mean / np.linalg.norm(mean), atol=2e-6)


def test_prediction_is_the_softmax_of_scaled_cosines(encoder: DualEncoder, photos: list[Path]) -> None:
    names = ["dog", "cat", "boat"]
    classifier = encoder.classifier(names)
    cosines = encoder.encode_images(photos[:4]) @ classifier.class_features.T
    expected = np.exp(encoder.logit_scale * cosines)
    expected /= expected.sum(axis=1, keepdims=True)
    for row, probabilities, labels in zip(cosines, expected, classifier.predict(photos[:4]), strict=True):
        order = np.argsort(-row)
        assert [label.name for label in labels] == [names[i] for i in order]
        assert_allclose([label.probability for label in labels], probabilities[order], atol=1e-5)
        assert_allclose([label.cosine for label in labels], row[order], atol=2e-6)
        assert labels[0].margin == pytest.approx(row[order[0]] - row[order[1]], abs=2e-6)
        assert labels[2].margin == pytest.approx(row[order[2]] - row[order[0]], abs=2e-6)


def test_softmax_by_hand() -> None:
    assert_allclose(softmax(np.log([[1.0, 3.0], [500.0, 500.0]])), [[0.25, 0.75], [0.5, 0.5]])
    assert_allclose(softmax(np.array([[1e4, 0.0]])), [[1, 0]])


def test_top_keeps_the_best(encoder: DualEncoder, photos: list[Path]) -> None:
    classifier = encoder.classifier(["dog", "cat", "boat"])
    whole, best = classifier.predict(photos[:1])[0], classifier.predict(photos[:1], top=2)[0]
    assert best == whole[:2]


def test_similarity_is_the_cosine(encoder: DualEncoder, photos: list[Path]) -> None:
    cosines = encoder.similarity(photos[:3], ["a dog", "a cat"])
    assert_allclose(cosines, encoder.encode_images(photos[:3]) @ encoder.encode_texts(["a dog", "a cat"]).T, atol=2e-6)


def test_features_that_are_there_are_ranked_without_their_images(encoder: DualEncoder, photos: list[Path]) -> None:
    told: list[int] = []
    classifier = encoder.classifier(["dog", "cat"])
    sources: list[Path | bytes] = [photos[0], b"", photos[1]]
    indices, features = encoder.encode_images(sources, on_error=lambda index, *_: told.append(index))
    assert told == [1]
    assert indices.tolist() == [0, 2]
    assert [labels[0].name for labels in classifier.rank(features)] == [
        labels[0].name for labels in classifier.predict(photos[:2])
    ]
    with pytest.raises(ValueError, match="top must be at least 1"):
        classifier.rank(features, top=0)


def test_several_descriptions_of_a_class_are_averaged(encoder: DualEncoder) -> None:
    described: Mapping[str, str | list[str]] = {
        "zebra": ["a zebra looks like a striped horse", "black and white stripes"],
        "horse": "a horse",
    }
    classifier = encoder.classifier(described)
    assert classifier.class_names == ("zebra", "horse")
    units = encoder.encode_texts(described["zebra"])
    mean = units.mean(axis=0)
    assert_allclose(classifier.class_features[0], mean / np.linalg.norm(mean), atol=2e-6)
    assert classifier.prompts[1] == ("horse", ("a horse",))


def test_extending_computes_the_new_classes_only(encoder: DualEncoder) -> None:
    first = encoder.classifier(["dog", "cat"])
    longer = first.extended(["boat"])
    assert longer.class_names == ("dog", "cat", "boat")
    assert_array_equal(longer.class_features[:2], first.class_features)
    assert_allclose(longer.class_features, encoder.classifier(["dog", "cat", "boat"]).class_features, atol=2e-6)
    with pytest.raises(ValueError, match="these classes already: cat"):
        first.extended(["cat"])


def test_what_comes_later_is_put_into_the_same_templates(encoder: DualEncoder, tmp_path: Path) -> None:
    first = encoder.classifier(["dog", "cat"], templates="imagenet-7")
    first.save(tmp_path / "pets")
    for classifier in (first, ZeroShotClassifier.load(tmp_path / "pets", encoder.encoder)):
        assert len(classifier.extended(["boat"]).prompts[2][1]) == 7


def test_a_cache_that_cannot_be_written_costs_time_only(
    encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("DIPTYCH_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="Class vectors are not kept"):
        classifier = encoder.classifier(["dog", "cat"], templates="imagenet")
    assert len(classifier.class_features) == 2


def test_a_generator_of_names_is_gone_through_once(encoder: DualEncoder) -> None:
    names = ["dog", "cat", "bird"]
    assert write_prompts(name for name in names) == write_prompts(names)
    assert write_prompts(np.array(names)) == write_prompts(names)


def test_a_file_does_not_stand_in_for_published_templates(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "imagenet").write_text("{} of mine\n")
    monkeypatch.chdir(tmp_path)
    assert resolve_templates("imagenet") == TEMPLATES["imagenet"]


def test_saved_and_loaded_it_predicts_the_same(encoder: DualEncoder, photos: list[Path], tmp_path: Path) -> None:
    classifier = encoder.classifier(["dog", "cat"], templates="imagenet-7")
    classifier.save(tmp_path / "pets.safetensors")
    loaded = ZeroShotClassifier.load(tmp_path / "pets.safetensors", encoder.encoder)
    assert loaded.prompts == classifier.prompts
    assert loaded.predict(photos[:2]) == classifier.predict(photos[:2])


def test_a_classifier_of_another_model_is_refused(encoder: DualEncoder, model_folder: Path, tmp_path: Path) -> None:
    encoder.classifier(["dog", "cat"]).save(tmp_path / "pets.safetensors")
    other = diptych.load(model_folder, dtype="bfloat16", device="cpu")
    with pytest.raises(DiptychError, match=r"was made with model .* in float32, and this is .* in bfloat16"):
        ZeroShotClassifier.load(tmp_path / "pets.safetensors", other.encoder)


@pytest.mark.parametrize("content", [b"", b"\x10" + bytes(7) + b'{"a":', b"not a zip"])
def test_a_damaged_classifier_file_is_refused(encoder: DualEncoder, tmp_path: Path, content: bytes) -> None:
    (tmp_path / "pets.safetensors").write_bytes(content)
    with pytest.raises(DiptychError, match=r"pets\.safetensors is not a classifier that can be read"):
        ZeroShotClassifier.load(tmp_path / "pets.safetensors", encoder.encoder)


def test_many_prompts_are_cached_by_content(
    encoder: DualEncoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DIPTYCH_CACHE", str(tmp_path))
    names = ["dog", "cat"]
    first = encoder.classifier(names, templates="imagenet")
    (cached,) = cache_dir("classifiers").glob("*.safetensors")
    written = cached.stat().st_mtime_ns
    again = encoder.classifier(names, templates="imagenet")
    assert_array_equal(first.class_features, again.class_features)
    assert cached.stat().st_mtime_ns == written
    encoder.classifier(["dog", "fox"], templates="imagenet")
    encoder.classifier(["dog", "rat"], templates="imagenet", cache=False)
    assert len(list(cache_dir("classifiers").glob("*.safetensors"))) == 2
    cached.write_bytes(b"damaged")
    assert_allclose(encoder.classifier(names, templates="imagenet").class_features, first.class_features, atol=2e-6)


def test_labels_hold_each_by_itself(encoder: DualEncoder, photos: list[Path]) -> None:
    classifier = encoder.classifier(["dog", "cat", "boat"])
    everything = classifier.predict_each(photos[:3], threshold=0.0)
    assert all(len(labels) == 3 for labels in everything)
    background = ["a house", "a tree", "a car", "a cup", "dog"]  # its own name is no background to a label
    reached = encoder.encode_images(photos[:1]) @ encoder.classifier(background[:4]).class_features.T
    reference = np.quantile(reached, 0.95)
    for label in classifier.predict_each(photos[:1], threshold=0.0, background=background)[0]:
        expected = 1 / (1 + np.exp(-encoder.logit_scale * (label.cosine - reference)))
        assert label.probability == pytest.approx(expected, abs=1e-4)


def test_a_background_may_be_features_already(encoder: DualEncoder, photos: list[Path]) -> None:
    classifier, features = encoder.classifier(["dog", "cat"]), encoder.encode_images(photos[:3])
    background = encoder.classifier(["boat", "tree", "house"]).class_features
    found = classifier.rank_each(features, threshold=0, background=background)
    assert found == classifier.rank_each(features, threshold=0, background=["boat", "tree", "dog", "house"])
    for nothing in (background[:0], ["dog"], []):
        with pytest.raises(ValueError, match="background must hold a text that is not a label"):
            classifier.rank_each(features, background=nothing)


def test_thresholds_may_differ_by_label(encoder: DualEncoder, photos: list[Path]) -> None:
    classifier = encoder.classifier(["dog", "cat"])
    (labels,) = classifier.predict_each(photos[:1], threshold={"dog": 1.0, "cat": 0.0})
    assert [label.name for label in labels] == ["cat"]
    with pytest.raises(ValueError, match="No threshold is given for cat"):
        classifier.predict_each(photos[:1], threshold={"dog": 0.5})
    with pytest.raises(ValueError, match=r"from 0 to 1, got 1\.5"):
        classifier.predict_each(photos[:1], threshold=1.5)


def test_published_names_that_repeat_are_allowed() -> None:
    prompts = write_prompts(CLASS_NAMES["imagenet"], "imagenet")
    assert len(prompts) == 1_000
    assert all(len(sentences) == 80 for _, sentences in prompts)
    assert prompts[0][1][0] == "a bad photo of a tench."


def test_templates_by_name_string_list_and_file(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("\ufeff# of birds\na {} in flight\n\n{}\n", encoding="utf-8")
    assert resolve_templates("imagenet") == TEMPLATES["imagenet"]
    assert resolve_templates("a {} indoors") == ("a {} indoors",)
    assert resolve_templates(["a {}", "the {}"]) == ("a {}", "the {}")
    assert resolve_templates(tmp_path / "mine.txt") == ("a {} in flight", "{}")
    assert resolve_templates(str(tmp_path / "mine.txt")) == ("a {} in flight", "{}")


def test_templates_of_strangers_name_no_file(tmp_path: Path) -> None:
    path = tmp_path / "templates.txt"
    path.write_text("a secret {}.")
    assert resolve_templates(str(path)) == ("a secret {}.",)
    with pytest.raises(ValueError, match=r"there are no templates named .*; a template of one's own has \{\}"):
        resolve_templates(str(path), may_read=False)
    assert resolve_templates("imagenet-7", may_read=False) == TEMPLATES["imagenet-7"]
    assert resolve_templates("a {}", may_read=False) == ("a {}",)


def test_braces_in_names_are_only_text() -> None:
    assert write_prompts(["{0.__class__}", "{}"])[0][1] == ("a photo of a {0.__class__}.",)


@pytest.mark.parametrize(
    ("class_names", "templates", "message"),
    [
        ([], None, "at least one name, got none"),
        ("dog", None, r"write \['dog'\]"),
        ([1, 2], None, "phrases that are texts, got 1"),
        ({"dog": []}, None, "phrases that are texts, got 'dog'"),
        (["dog"], [], "templates must hold at least one"),
        (["dog"], "a photo of a {} and a {}", r"must have one \{\}"),
        (["dog"], ["a photo"], r"must have one \{\}"),
        (["dog"], "imagnet", "nearest of the .* names are imagenet"),
    ],
)
def test_nonsense_is_refused_in_one_line(class_names: object, templates: object, message: str) -> None:
    with pytest.raises(ValueError, match=message) as refused:
        write_prompts(class_names, templates)  # type: ignore[arg-type]
    assert "\n" not in str(refused.value)
