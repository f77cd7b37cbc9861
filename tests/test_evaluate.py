import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

import formats
import seeded
from diptych import DualEncoder, ImageError
from diptych.checkpoints import Checkpoint
from diptych.data.sample import DataError, Sample, SampleError, Texts
from diptych.encode.encoder import Features, OnError, Rows
from diptych.encode.torch_encoder import TorchEncoder
from diptych.evaluate.report import mean_numbers, record
from diptych.evaluate.retrieval import evaluate_retrieval
from diptych.evaluate.zeroshot import classes_of, evaluate_zero_shot
from diptych.images import ImageSource
from diptych.model.clip import CLIP
from diptych.preprocess import Preprocess

NAMES = ("dog", "cat", "boat", "tree", "bus", "violin", "apple")


@dataclass(frozen=True)
class MemorySource:
    """Samples in memory; of those in `broken` the image cannot be read."""

    samples: tuple[Sample, ...]
    broken: frozenset[int] = frozenset()
    name: str = "memory"

    def __len__(self) -> int:
        return len(self.samples)

    def key(self, index: int) -> str:
        return self.samples[index].key

    def texts(self, index: int) -> Texts:
        return self.samples[index].texts

    def read(self, index: int) -> Sample:
        if index in self.broken:
            raise SampleError(f"{self.key(index)}: the tar ends within it")
        return self.samples[index]


def jpeg(seed: int) -> bytes:
    buffer = BytesIO()
    Image.fromarray(seeded.seeded_image(40 + seed % 7, 50, seed)).save(buffer, "JPEG")
    return buffer.getvalue()


def labelled(*classes: Sequence[str], broken: Iterable[int] = ()) -> MemorySource:
    """One sample for each sequence of class names."""
    samples = (
        Sample(key=f"{i:03}", image=jpeg(i), texts=Texts(class_names=tuple(names))) for i, names in enumerate(classes)
    )
    return MemorySource(tuple(samples), frozenset(broken))


def captioned(*captions: Sequence[str], broken: Iterable[int] = ()) -> MemorySource:
    """One sample for each sequence of captions."""
    samples = (
        Sample(key=f"{i:03}", image=jpeg(i), texts=Texts(captions=tuple(texts))) for i, texts in enumerate(captions)
    )
    return MemorySource(tuple(samples), frozenset(broken))


class Told:
    """An Encoder that is told the vector of each image (by its bytes) and of each text (by a word in it)."""

    embed_dim, logit_scale, dtype, fingerprint = 3, 1.0, "float32", "told"

    def __init__(self, images: dict[bytes, Sequence[float]], words: dict[str, Sequence[float]]) -> None:
        self.images, self.words = images, words

    def iter_images(self, images: Iterable[ImageSource], *, on_error: OnError | None = None) -> Iterator[Rows]:
        for index, image in enumerate(images):
            assert isinstance(image, bytes)
            if image in self.images:
                yield Rows(np.array([index]), np.array([self.images[image]], np.float32))
            elif on_error is not None:
                on_error(index, image, ImageError("the given bytes: not an image"))

    def encode_images(self, images: Iterable[ImageSource], **_: Any) -> Any:  # noqa: ANN401
        return np.concatenate([rows.features for rows in self.iter_images(images)])

    def encode_texts(self, texts: Iterable[str], **_: Any) -> Features:  # noqa: ANN401
        rows = [next(row for word, row in self.words.items() if word in text) for text in texts]
        return np.array(rows, np.float32)


AXES: dict[str, Sequence[float]] = {"dog": (1, 0, 0), "cat": (0, 1, 0), "boat": (0, 0, 1)}


# ---- zero-shot


def test_zero_shot_by_hand() -> None:
    source = labelled(["dog"], ["dog"], ["dog"], ["cat"], ["boat"])
    seen = [(0.9, 0.1, 0), (0.2, 0.9, 0), (0.8, 0.3, 0.1), (0, 1, 0), (0.1, 0.8, 0.2)]
    told = Told({sample.image: row for sample, row in zip(source.samples, seen, strict=True)}, AXES)
    result = evaluate_zero_shot(told, source)
    assert (result.source, result.samples, result.templates) == ("memory", 5, ("a photo of a {}.",))
    assert (result.top1.hits, result.top1.total, result.top5) == (3, 5, None)
    assert result.mean_per_class == pytest.approx((1 + 0 + 2 / 3) / 3)
    accuracies = {each.name: (each.top1.hits, each.top1.total) for each in result.classes if each.top1}
    assert accuracies == {"boat": (0, 1), "cat": (1, 1), "dog": (2, 3)}
    assert {(c.true, c.predicted, c.count) for c in result.confusions} == {("dog", "cat", 1), ("boat", "cat", 1)}
    assert result.skipped == ()
    assert result.numbers() == {"top1": 0.6, "mean_per_class": result.mean_per_class}


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 1_000))
def test_zero_shot_equals_a_plain_loop(encoder: DualEncoder, seed: int) -> None:
    drawn = np.random.default_rng(seed).integers(0, len(NAMES), 24)
    source = labelled(*([NAMES[i]] for i in [*range(len(NAMES)), *drawn]))
    result = evaluate_zero_shot(encoder, source, templates=["a photo of a {}.", "{}"])

    classifier = encoder.classifier(sorted(NAMES), templates=["a photo of a {}.", "{}"], cache=False)
    first = within_five = 0
    by_class: dict[str, list[bool]] = {}
    for sample in source.samples:
        (labels,) = classifier.predict([sample.image])
        (name,) = sample.texts.class_names
        first += labels[0].name == name
        within_five += name in [label.name for label in labels[:5]]
        by_class.setdefault(name, []).append(labels[0].name == name)
    assert (result.top1.hits, result.top1.total) == (first, len(source))
    assert result.top5 is not None
    assert result.top5.hits == within_five
    assert result.mean_per_class == pytest.approx(np.mean([np.mean(right) for right in by_class.values()]))


def test_the_classes_are_the_distinct_first_names() -> None:
    source = labelled(["Dog", "animal"], ["dog "], ["  fire  engine"], ["Fire Engine", "dog"], ["cat"])
    assert classes_of(source) == ["  fire  engine", "Dog", "cat"]


def test_case_and_white_space_make_no_other_class() -> None:
    source = labelled(["Dog"], ["dog"], ["cat"])
    told = Told(
        {sample.image: AXES[sample.texts.class_names[0].lower()] for sample in source.samples},
        {**AXES, "Dog": AXES["dog"]},
    )
    assert evaluate_zero_shot(told, source).top1.hits == 3
    assert evaluate_zero_shot(told, source, class_names=["dog", "DOG", "cat", "Cat"]).top1.hits == 3


def test_of_given_labels_a_sample_is_the_first_that_it_has(encoder: DualEncoder) -> None:
    source = labelled(["spaniel", "dog", "pet"], ["tabby", "cat", "pet"], ["poodle", "dog"])
    result = evaluate_zero_shot(encoder, source, class_names=["cat", "dog", "boat"])
    assert [(each.name, each.top1.total if each.top1 else None) for each in result.classes] == [
        ("cat", 1),
        ("dog", 2),
        ("boat", None),
    ]
    described = {"cat": ["a tabby"], "dog": ["a spaniel", "a poodle"]}
    assert evaluate_zero_shot(encoder, source, class_names=described).templates == ("{}",)


def test_a_sample_of_no_given_label_is_an_error(encoder: DualEncoder) -> None:
    with pytest.raises(DataError, match="001 is of class 'okapi', which is not among the 2 labels given"):
        evaluate_zero_shot(encoder, labelled(["dog"], ["okapi"]), class_names=["dog", "cat"])


@pytest.mark.parametrize(
    ("source", "said"),
    [
        (labelled(), "memory holds no samples"),
        (captioned(["a dog"], ["a cat"]), "memory has no class names, which zero-shot accuracy needs"),
        (labelled(["dog"], ["Dog"]), "memory has one class, 'dog': at least two|memory has one class, 'Dog'"),
    ],
    ids=["empty", "captions", "one class"],
)
def test_sources_that_zero_shot_cannot_use(encoder: DualEncoder, source: MemorySource, said: str) -> None:
    with pytest.raises(DataError, match=said):
        evaluate_zero_shot(encoder, source)


def test_captions_with_given_labels_are_refused_in_the_same_words(encoder: DualEncoder) -> None:
    with pytest.raises(DataError, match="no class names"):
        evaluate_zero_shot(encoder, captioned(["a dog"]), class_names=["dog", "cat"])


@pytest.mark.parametrize("names", ["dog", ["dog"], ["dog", "Dog"], []])
def test_labels_that_leave_no_choice_are_refused(encoder: DualEncoder, names: Any) -> None:  # noqa: ANN401
    with pytest.raises(ValueError, match="class_names must"):
        evaluate_zero_shot(encoder, labelled(["dog"]), class_names=names)


# ---- what cannot be measured


def test_samples_that_cannot_be_used_are_named_and_do_not_count(encoder: DualEncoder) -> None:
    source = labelled(*([NAMES[i % 2]] for i in range(9)), [], broken=[3])
    samples = list(source.samples)
    samples[5] = replace(samples[5], image=b"GIF")
    source = replace(source, samples=tuple(samples))
    result = evaluate_zero_shot(encoder, source, bad_sample_limit=0.3)
    assert result.top1.total == 7
    assert [skipped.key for skipped in result.skipped] == ["003", "005", "009"]
    assert result.skipped[0].reason == "003: the tar ends within it"
    assert result.skipped[1].reason.startswith("005: not an image")
    assert result.skipped[2].reason == "009: has no class name"
    rest = replace(
        source, samples=tuple(sample for i, sample in enumerate(samples) if i not in (3, 5, 9)), broken=frozenset()
    )
    assert result.numbers() == evaluate_zero_shot(encoder, rest).numbers()


@pytest.mark.parametrize("evaluate", [evaluate_zero_shot, evaluate_retrieval])
def test_more_than_one_in_a_hundred_is_too_many(encoder: DualEncoder, evaluate: Any) -> None:  # noqa: ANN401
    both = [Texts(class_names=(NAMES[i % 2],), captions=(f"a {NAMES[i % 7]}",)) for i in range(100)]
    samples = tuple(Sample(key=str(i), image=jpeg(i), texts=texts) for i, texts in enumerate(both))
    assert len(evaluate(encoder, MemorySource(samples, frozenset([7]))).skipped) == 1
    with pytest.raises(
        DataError, match=r"memory: 2 of 100 samples cannot be used, more than 1.0% \(the last: 9: the tar"
    ):
        evaluate(encoder, MemorySource(samples, frozenset([7, 9])))


def test_a_limit_takes_samples_from_all_of_the_source(encoder: DualEncoder) -> None:
    source = labelled(*([name] for name in NAMES for _ in range(4)))
    result = evaluate_zero_shot(encoder, source, limit=14)
    assert [each.top1.total if each.top1 else 0 for each in result.classes] == [2] * 7
    assert evaluate_zero_shot(encoder, source, limit=1_000).samples == 28
    assert len(evaluate_zero_shot(encoder, source, limit=1).classes) == 7
    with pytest.raises(ValueError, match="limit must be at least 1, got 0"):
        evaluate_zero_shot(encoder, source, limit=0)


# ---- retrieval


def test_retrieval_by_hand() -> None:
    source = captioned(["a dog", "a cat"], ["the cat"], ["a boat"])
    told = Told({sample.image: row for sample, row in zip(source.samples, AXES.values(), strict=True)}, AXES)
    result = evaluate_retrieval(told, source)
    assert (result.images, result.captions, result.shared_captions) == (3, 4, 0)
    assert (result.text_to_image.at1.hits, result.text_to_image.at1.total) == (3, 4)  # "a cat" finds the other image
    assert (result.text_to_image.at5.hits, result.text_to_image.at10.hits) == (4, 4)
    # The dog finds "a dog"; the cat is level between its own "the cat" and the dog's "a cat": a miss.
    assert (result.image_to_text.at1.hits, result.image_to_text.at1.total) == (2, 3)
    assert result.numbers()["text_to_image_r1"] == 0.75
    assert result.text_to_image.at1.interval[0] < result.text_to_image.at1.value


@settings(deadline=None, max_examples=8)
@given(seed=st.integers(0, 1_000), captions=st.lists(st.integers(1, 5), min_size=12, max_size=24))
def test_retrieval_equals_a_plain_loop(encoder: DualEncoder, seed: int, captions: list[int]) -> None:
    words = np.random.default_rng(seed).permutation(200)
    texts = iter(f"word {words[i]} {NAMES[i % 7]}" for i in range(200))
    source = captioned(*([next(texts) for _ in range(count)] for count in captions))
    result = evaluate_retrieval(encoder, source)

    owners = [i for i, count in enumerate(captions) for _ in range(count)]
    similarity = encoder.similarity(
        [sample.image for sample in source.samples],
        [text for sample in source.samples for text in sample.texts.captions],
    )
    for k, to_image, to_text in (
        (1, result.text_to_image.at1, result.image_to_text.at1),
        (5, result.text_to_image.at5, result.image_to_text.at5),
        (10, result.text_to_image.at10, result.image_to_text.at10),
    ):
        found = [owner in np.argsort(-similarity[:, j])[:k] for j, owner in enumerate(owners)]
        assert (to_image.hits, to_image.total) == (sum(found), len(owners))
        nearest = [np.argsort(-row)[:k] for row in similarity]
        any_found = [any(owners[j] == i for j in chosen) for i, chosen in enumerate(nearest)]
        assert (to_text.hits, to_text.total) == (sum(any_found), len(source))


def test_the_same_image_in_several_samples_is_one_with_all_their_captions() -> None:
    one, other = captioned(["a dog"], ["a boat"]).samples
    again = replace(one, key="again", texts=Texts(captions=("the dog",)))
    told = Told({one.image: AXES["dog"], other.image: AXES["boat"]}, AXES)
    result = evaluate_retrieval(told, MemorySource((one, other, again)))
    assert (result.images, result.captions) == (2, 3)
    assert result.text_to_image.at1.hits == 3
    assert result.image_to_text.at1.total == 2


def test_captions_that_several_images_share_are_counted_and_missed() -> None:
    source = captioned(["a dog"], ["a dog", "a dog"], ["a boat"])
    rows = ((1, 0, 0), (0.9, 0, 0.1), (0, 0, 1))
    told = Told({sample.image: row for sample, row in zip(source.samples, rows, strict=True)}, AXES)
    result = evaluate_retrieval(told, source)
    assert result.shared_captions == 3
    assert result.text_to_image.at1.hits == 2  # the first dog, and the boat
    assert result.image_to_text.at1.hits == 1


def test_retrieval_sets_aside_what_cannot_be_read(encoder: DualEncoder) -> None:
    source = captioned(*([f"a {name}", f"the {name}"] for name in NAMES), [], broken=[2])
    samples = list(source.samples)
    samples[4] = replace(samples[4], image=b"GIF")
    samples[5] = replace(samples[5], image=b"GIF")
    result = evaluate_retrieval(encoder, replace(source, samples=tuple(samples)), bad_sample_limit=0.5)
    assert (result.images, result.captions) == (4, 8)
    assert [skipped.key for skipped in result.skipped] == ["002", "004", "005", "007"]
    assert result.skipped[2].reason == "005: its image is that of 004, which cannot be read"
    assert result.skipped[3].reason == "007: has no caption"


def test_sources_that_retrieval_cannot_use(encoder: DualEncoder) -> None:
    with pytest.raises(DataError, match="memory has no captions, which retrieval needs"):
        evaluate_retrieval(encoder, labelled(["dog"], ["cat"]))
    with pytest.raises(DataError, match="no image that can be used"):
        evaluate_retrieval(encoder, captioned(["a dog"], broken=[0]), bad_sample_limit=1)


# ---- reports


def test_a_record_is_plain_data_without_gaps(encoder: DualEncoder) -> None:
    made = record(evaluate_zero_shot(encoder, labelled(["dog"], ["cat"]), class_names=["dog", "cat", "boat"]))
    assert json.loads(json.dumps(made, allow_nan=False)) == made
    assert made["top5"] is None
    assert made["per_class"][2] == {"name": "boat", "top1": None}
    assert made["top1"].keys() == {"value", "low", "high", "hits", "total"}


def test_a_mean_is_of_what_all_sets_have(encoder: DualEncoder) -> None:
    few = evaluate_zero_shot(encoder, labelled(["dog"], ["cat"]))
    many = evaluate_zero_shot(encoder, labelled(*([name] for name in NAMES)))
    assert mean_numbers([few, many]).keys() == {"top1", "mean_per_class"}
    assert mean_numbers([few, many])["top1"] == pytest.approx((few.top1.value + many.top1.value) / 2)
    assert mean_numbers([many]).keys() == {"top1", "top5", "mean_per_class"}


# ---- in training


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_a_model_is_measured_between_two_steps_and_trains_on_as_if_it_was_not(kind: str) -> None:
    """Threads, random states, modes, weights and running averages all stay as they are."""
    config = formats.clip_config(kind)
    source = labelled(*([name] for name in NAMES))
    pixels = torch.from_numpy(seeded.seeded_pixels(4, *config.vision.image_size))
    tokens = torch.tensor([[49_406, 320 + i, 49_407] for i in range(4)])

    def trained(*, is_measured: bool) -> dict[str, torch.Tensor]:
        torch.manual_seed(0)
        model = CLIP(config).train()
        optimiser = torch.optim.AdamW(model.parameters(), lr=1e-3)
        for _ in range(3):
            image, text, scale = model(pixels, tokens[torch.randperm(4)])
            loss = torch.nn.functional.cross_entropy(scale * image @ text.T, torch.arange(4))
            torch.autograd.backward(loss)
            optimiser.step()
            optimiser.zero_grad()
            if is_measured:
                measure(model)
        return model.state_dict()

    def measure(model: CLIP) -> None:
        checkpoint = Checkpoint(
            config=config,
            tensors=model.state_dict(),
            preprocess=Preprocess(size=config.vision.image_size),
            source="the model in training",
            format="diptych",
        )
        threads = torch.get_num_threads()
        encoder = TorchEncoder(checkpoint, device="cpu", dtype="float32")
        shared = encoder.model.state_dict()["visual.conv1.weight"].data_ptr()
        assert shared == model.state_dict()["visual.conv1.weight"].data_ptr()
        assert evaluate_zero_shot(encoder, source).samples == 7
        assert evaluate_retrieval(encoder, captioned(["a dog"], ["a cat"])).images == 2
        assert torch.get_num_threads() == threads
        assert all(module.training for module in model.modules())
        assert all(parameter.requires_grad for parameter in model.parameters())

    alone, measured = trained(is_measured=False), trained(is_measured=True)
    for name, tensor in alone.items():
        assert torch.equal(tensor, measured[name]), name
