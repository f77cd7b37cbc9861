"""On a CUDA device, where there is one: `pytest -m gpu`."""

from pathlib import Path

import pytest
from numpy.testing import assert_allclose

import diptych
from diptych import DualEncoder


@pytest.mark.gpu
def test_a_gpu_in_float32_agrees_with_the_cpu(model_folder: Path, encoder: DualEncoder, photos: list[Path]) -> None:
    on_gpu = diptych.load(model_folder, device="cuda", dtype="float32")
    texts = [f"a photo of {i} dogs" for i in range(100)]
    # TF32 is off by default, so both sum in float32, in another order.
    assert_allclose(on_gpu.encode_images(photos), encoder.encode_images(photos), atol=1e-5)
    assert_allclose(on_gpu.encode_texts(texts), encoder.encode_texts(texts), atol=1e-5)


@pytest.mark.gpu
def test_a_gpu_computes_in_half_precision_by_default(
    model_folder: Path, encoder: DualEncoder, photos: list[Path]
) -> None:
    on_gpu = diptych.load(model_folder, device="cuda")
    assert on_gpu.dtype in ("bfloat16", "float16")
    cosines = (on_gpu.encode_images(photos) * encoder.encode_images(photos)).sum(axis=1)
    assert cosines.min() > 0.999
