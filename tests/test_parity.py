"""Every format, both towers, both encoders: the features that the reference implementations compute."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose

import diptych
import formats
import seeded
from diptych.checkpoints import load_checkpoint
from diptych.encode.numpy_encoder import NumpyEncoder
from formats import Writer

# Both sides sum in float32 in their own order; unit features are of size 0.1 and differ by 2e-7 as measured.
TOLERANCE = 1e-5
# What OpenAI's archives lose by storing weights in half precision.
HALF_TOLERANCE = 3e-3


def pictures(kind: str) -> list[np.ndarray]:
    size = seeded.FAMILIES[kind].image_size
    return [seeded.seeded_image(size, size, seed) for seed in range(seeded.IMAGES)]


@pytest.mark.parametrize(("kind", "writer"), formats.WRITTEN, ids=lambda value: getattr(value, "__name__", value))
def test_torch_encoder_equals_the_reference(kind: str, writer: Writer, tmp_path: Path) -> None:
    encoder = diptych.load(writer(kind, tmp_path), dtype="float32", device="cpu", **formats.load_options(kind, writer))
    expected = seeded.reference(kind)
    image_features = encoder.encode_images(pictures(kind))
    text_features = encoder.encode_texts(seeded.TEXTS)
    assert_allclose(image_features, expected["image_features"], atol=TOLERANCE, rtol=0)
    assert_allclose(text_features, expected["text_features"], atol=TOLERANCE, rtol=0)
    logits = encoder.logit_scale * image_features @ text_features.T
    assert_allclose(logits, expected["logits_per_image"], atol=TOLERANCE * encoder.logit_scale, rtol=0)


@pytest.mark.parametrize("kind", formats.OPENAI_KINDS)
def test_openai_archive_equals_the_reference_but_for_half_precision(kind: str, tmp_path: Path) -> None:
    encoder = diptych.load(formats.write_torchscript(kind, tmp_path), dtype="float32", device="cpu")
    expected = seeded.reference(kind)
    assert encoder.config.activation == "quick_gelu"
    assert_allclose(encoder.encode_images(pictures(kind)), expected["image_features"], atol=HALF_TOLERANCE, rtol=0)
    assert_allclose(encoder.encode_texts(seeded.TEXTS), expected["text_features"], atol=HALF_TOLERANCE, rtol=0)


@pytest.mark.parametrize(
    ("kind", "writer"),
    [
        ("vit", formats.write_open_clip),
        ("open_clip", formats.write_open_clip),
        ("huggingface", formats.write_huggingface),
        ("huggingface-gelu", formats.write_huggingface),
        ("resnet", formats.write_custom_text),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_numpy_encoder_equals_the_reference(kind: str, writer: Writer, tmp_path: Path) -> None:
    told = formats.load_options(kind, writer)
    encoder = NumpyEncoder(load_checkpoint(writer(kind, tmp_path), framework="numpy", **told))
    expected = seeded.reference(kind)
    assert_allclose(encoder.encode_images(pictures(kind)), expected["image_features"], atol=TOLERANCE, rtol=0)
    assert_allclose(encoder.encode_texts(seeded.TEXTS), expected["text_features"], atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize(
    ("kind", "size"),
    [("vit", (96, 96)), ("vit", (32, 80)), ("open_clip", (70, 70)), ("open_clip", (28, 70))],
)
def test_another_image_size_equals_open_clip(kind: str, size: tuple[int, int], tmp_path: Path) -> None:
    encoder = diptych.load(formats.write_open_clip(kind, tmp_path), dtype="float32", device="cpu", image_size=size)
    images = [seeded.seeded_image(*size, seed) for seed in range(seeded.IMAGES)]
    expected = seeded.reference(f"{kind}@{size[0]}x{size[1]}")["image_features"]
    assert_allclose(encoder.encode_images(images), expected, atol=TOLERANCE, rtol=0)


@pytest.mark.parametrize("kind", ["open_clip", "huggingface"])
def test_raw_features_equal_the_reference(kind: str, tmp_path: Path) -> None:
    writer = formats.write_open_clip if kind == "open_clip" else formats.write_huggingface
    encoder = diptych.load(writer(kind, tmp_path), dtype="float32", device="cpu")
    expected = seeded.reference(kind)
    # Not unit length but of size 1 to 4, so the same relative error is 10 times as large.
    assert_allclose(encoder.pooled_images(pictures(kind)), expected["image_pooled"], atol=1e-4, rtol=0)
    assert_allclose(encoder.pooled_texts(seeded.TEXTS), expected["text_pooled"], atol=1e-4, rtol=0)
    if "patch_tokens" in expected:
        assert_allclose(encoder.patch_tokens(pictures(kind)), expected["patch_tokens"], atol=1e-4, rtol=0)


def test_tokens_of_the_reference_texts_are_openais() -> None:
    from diptych.openai_api import tokenize

    assert (tokenize(list(seeded.TEXTS)).numpy() == seeded.reference_tokens()).all()
