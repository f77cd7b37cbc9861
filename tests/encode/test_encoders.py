import io
import threading
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image

import diptych
import seeded
from diptych import DualEncoder
from diptych.checkpoints import load_checkpoint
from diptych.encode.numpy_encoder import NumpyEncoder
from diptych.encode.numpy_towers import erf
from diptych.errors import ImageError, TextTooLongError
from diptych.images import ImageSource

WORDS = ("a", "photo", "of", "the", "dog", "cat", "running", "in", "snow", "große", "東京", "!", "<|endoftext|>")
# Rows computed in another company differ by the rounding of float32 sums.
ROUNDING = 2e-6


def test_order_is_kept_over_many_batches(encoder: DualEncoder, photos: list[Path]) -> None:
    features = encoder.encode_images(photos)
    alone = np.concatenate([encoder.encode_images([photo]) for photo in photos])
    assert_allclose(features, alone, atol=ROUNDING)
    assert_allclose(np.linalg.norm(features, axis=1), 1, atol=1e-6)
    assert features.dtype == np.float32


def test_every_kind_of_source_gives_the_same_row(encoder: DualEncoder, photos: list[Path]) -> None:
    data = photos[0].read_bytes()
    image = Image.open(photos[0])
    sources: list[ImageSource] = [
        photos[0],
        str(photos[0]),
        data,
        bytearray(data),
        io.BytesIO(data),
        image,
        np.asarray(image),
    ]
    features = encoder.encode_images(sources)
    assert_allclose(features, np.repeat(features[:1], len(sources), axis=0), atol=ROUNDING)


def test_any_iterable_is_read_lazily_and_in_order(encoder: DualEncoder, photos: list[Path]) -> None:
    asked: list[int] = []

    def endless() -> Iterator[Path]:
        for i in range(10_000):
            asked.append(i)
            yield photos[i % len(photos)]

    rows = next(encoder.iter_images(endless()))
    assert_array_equal(rows.indices, np.arange(len(rows.indices)))
    assert len(asked) < 1_000  # a bounded number of batches is under way, not all of the input


def test_nothing_in_gives_nothing_out(encoder: DualEncoder) -> None:
    assert encoder.encode_images([]).shape == (0, encoder.embed_dim)
    assert encoder.encode_texts([]).shape == (0, encoder.embed_dim)
    assert encoder.encode_images(iter(())).shape == (0, encoder.embed_dim)


def test_first_unreadable_image_is_raised(encoder: DualEncoder, photos: list[Path]) -> None:
    with pytest.raises(ImageError, match="the given bytes"):
        encoder.encode_images([photos[0], b"not an image", photos[1]])


def test_on_error_is_told_of_each_and_the_rows_of_the_others_come_back(
    encoder: DualEncoder, photos: list[Path]
) -> None:
    told: list[tuple[int, object, ImageError]] = []
    sources: list[Path | bytes] = [*photos[:7], b"", *photos[7:15], b"GIF89a", *photos[15:]]
    indices, features = encoder.encode_images(sources, on_error=lambda *failure: told.append(failure))
    assert [index for index, _, _ in told] == [7, 16]
    assert told[1][1] == b"GIF89a"
    assert_array_equal(indices, [i for i in range(22) if i not in (7, 16)])
    assert_allclose(features, encoder.encode_images(photos), atol=ROUNDING)


def test_an_error_raised_by_on_error_ends_the_work(encoder: DualEncoder, photos: list[Path]) -> None:
    def too_many(index: int, _: object, error: ImageError) -> None:
        raise RuntimeError(f"stop at {index}")

    with pytest.raises(RuntimeError, match="stop at 1"):
        encoder.encode_images([photos[0], b"", *photos * 5], on_error=too_many)


def test_one_string_is_not_taken_for_many(encoder: DualEncoder) -> None:
    for one in ("photo.jpg", Path("photo.jpg"), b"GIF", io.BytesIO(), Image.new("RGB", (9, 9)), np.zeros((9, 9, 3))):
        with pytest.raises(TypeError, match=r"write \[image\]"):
            encoder.encode_images(one)  # type: ignore[arg-type]
    with pytest.raises(TypeError, match=r"write \['a dog'\]"):
        encoder.encode_texts("a dog")


def test_encoding_is_safe_from_several_threads(encoder: DualEncoder, photos: list[Path]) -> None:
    expected_images, texts = encoder.encode_images(photos), [f"a photo of {i} dogs" for i in range(50)]
    expected_texts = encoder.encode_texts(texts)
    wrong: list[float] = []

    def work() -> None:
        for _ in range(3):
            wrong.append(float(np.abs(encoder.encode_images(photos) - expected_images).max()))
            wrong.append(float(np.abs(encoder.encode_texts(texts) - expected_texts).max()))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(wrong) == 48
    assert max(wrong) <= ROUNDING


@settings(deadline=None, max_examples=30)
@given(texts=st.lists(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), min_size=1, max_size=12))
def test_shared_prefixes_change_nothing(encoder: DualEncoder, texts: list[str]) -> None:
    together = encoder.encode_texts(texts)
    alone = np.concatenate([encoder.encode_texts([text]) for text in texts])
    assert_allclose(together, alone, atol=ROUNDING)


def test_texts_equal_the_plain_forward_of_the_padded_batch(encoder: DualEncoder) -> None:
    import torch

    from diptych.openai_api import tokenize

    texts = [f"a photo of a {name}." for name in ("dog", "cat", "three-toed sloth", "")] * 3
    with torch.no_grad():
        plain = torch.nn.functional.normalize(encoder.model.encode_text(tokenize(texts)), dim=-1).numpy()
    assert_allclose(encoder.encode_texts(texts), plain, atol=ROUNDING)


def test_long_texts_are_cut_with_one_warning_that_counts_them(encoder: DualEncoder) -> None:
    long = "dog " * 100
    with pytest.warns(UserWarning, match=r"2 of 3 texts are longer than 77 tokens \(the first, at 0, has 102") as seen:
        features = encoder.encode_texts([long, "a dog", long])
    assert len(seen) == 1
    assert_allclose(features[0], encoder.encode_texts(["dog " * 75])[0], atol=ROUNDING)


def test_long_texts_are_refused_when_asked(encoder: DualEncoder) -> None:
    with pytest.raises(TextTooLongError, match="1 of 1 texts are longer than 77 tokens"):
        encoder.encode_texts(["dog " * 100], on_long="error")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        encoder.encode_texts(["dog " * 75], on_long="error")  # 75 words and the two ends just fit


def test_bfloat16_is_close_to_float32(model_folder: Path, encoder: DualEncoder, photos: list[Path]) -> None:
    rough = diptych.load(model_folder, dtype="bfloat16", device="cpu")
    cosines = (rough.encode_images(photos) * encoder.encode_images(photos)).sum(axis=1)
    assert cosines.min() > 0.999
    assert rough.dtype == "bfloat16"


def test_fast_preprocessing_is_close_to_exact(model_folder: Path, encoder: DualEncoder, photos: list[Path]) -> None:
    fast = diptych.load(model_folder, dtype="float32", device="cpu", preprocess="fast")
    cosines = (fast.encode_images(photos) * encoder.encode_images(photos)).sum(axis=1)
    assert cosines.min() > 0.99


def test_raw_features_lead_to_the_unit_ones(encoder: DualEncoder, photos: list[Path]) -> None:
    projected = encoder.pooled_images(photos) @ encoder.model.visual.proj.detach().numpy()  # type: ignore[operator]
    unit = projected / np.linalg.norm(projected, axis=1, keepdims=True)
    assert_allclose(unit, encoder.encode_images(photos), atol=ROUNDING)
    family = seeded.FAMILIES["vit"]
    patches = (family.image_size // 16) ** 2
    assert encoder.patch_tokens(photos[:3]).shape == (3, patches, family.vision.width)
    assert encoder.pooled_texts(["a dog"]).shape == (1, family.text.width)


def test_float16_on_a_cpu_is_refused(model_folder: Path) -> None:
    with pytest.raises(ValueError, match="hundreds of times slower on a CPU"):
        diptych.load(model_folder, dtype="float16", device="cpu")


def test_unknown_devices_are_refused(model_folder: Path) -> None:
    with pytest.raises(ValueError, match="no device 'gpu'"):
        diptych.load(model_folder, device="gpu")


def test_a_handful_is_computed_without_torch_and_many_with_it(model_folder: Path) -> None:
    # torch is imported in this process, so the choice is made in another.
    import subprocess
    import sys

    code = (
        "import sys; from diptych.encode.choose import encoder_for\n"
        f"encoder_for({str(model_folder)!r}, items=3); assert 'torch' not in sys.modules\n"
        f"print(type(encoder_for({str(model_folder)!r}, items=300)).__name__)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout == "TorchEncoder\n"


def test_numpy_encoder_keeps_order_and_reports_failures(model_folder: Path, photos: list[Path]) -> None:
    encoder = NumpyEncoder(load_checkpoint(model_folder, framework="numpy"))
    told: list[int] = []
    rows = encoder.encode_images([photos[0], b"", photos[1]], on_error=lambda index, *_: told.append(index))
    assert told == [1]
    assert_array_equal(rows.indices, [0, 2])
    assert_allclose(rows.features, encoder.encode_images(photos[:2]), atol=ROUNDING)
    with pytest.raises(ImageError):
        encoder.encode_images([b""])


def test_torch_and_numpy_share_a_fingerprint(model_folder: Path, encoder: DualEncoder) -> None:
    assert NumpyEncoder(load_checkpoint(model_folder, framework="numpy")).fingerprint == encoder.fingerprint


def test_erf_is_close_to_the_standard_librarys() -> None:
    from math import erf as exact_erf

    x = np.linspace(-5, 5, 2_001, dtype=np.float32)
    assert_allclose(erf(x), [exact_erf(v) for v in x], atol=5e-7)  # 1.5e-7 of the formula, and float32


def test_a_model_changed_in_place_has_another_fingerprint_and_is_saved_as_it_is(
    model_folder: Path, tmp_path: Path
) -> None:
    import torch

    changed = diptych.load(model_folder, dtype="float32", device="cpu")
    loaded = changed.fingerprint
    with torch.no_grad():
        changed.model.text.ln_final.weight.mul_(1.5)
    assert changed.fingerprint != loaded
    changed.save(tmp_path / "changed")
    again = diptych.load(tmp_path / "changed", dtype="float32", device="cpu")
    assert again.fingerprint == changed.fingerprint
    assert_allclose(again.encode_texts(["a dog"]), changed.encode_texts(["a dog"]), atol=ROUNDING)
    changed.model.text.text_projection = torch.nn.Parameter(torch.ones_like(changed.model.text.text_projection))
    assert changed.fingerprint not in (loaded, again.fingerprint)


def test_the_warning_of_long_texts_points_at_the_caller(encoder: DualEncoder) -> None:
    with pytest.warns(UserWarning, match="longer than 77") as seen:
        encoder.encode_texts(["dog " * 100])
    assert seen[0].filename == __file__


def test_encoders_and_classifiers_say_what_they_are(encoder: DualEncoder, model_folder: Path) -> None:
    assert repr(encoder) == f"DualEncoder({str(model_folder)!r}, embed_dim=96, float32 on cpu)"
    assert repr(encoder.classifier(list("abcd"))) == "ZeroShotClassifier(4 classes: a, b, c, ...)"
