"""Which patches are kept, and that the tower sees those alone, where they stand."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.testing import assert_close

import formats
import seeded
from diptych.model.clip import CLIP
from diptych.model.patch_dropout import draw_kept_patches

CONFIG = replace(formats.TINY, vision=replace(formats.TINY_VIT, image_size=(64, 48)))  # 4 x 3 patches


def clip() -> CLIP:
    torch.manual_seed(0)
    return CLIP(CONFIG).eval()


def images(count: int = 3) -> torch.Tensor:
    return torch.from_numpy(seeded.seeded_pixels(count, 64, 48))


@given(
    seeds=st.lists(st.integers(-(2**63), 2**63 - 1), min_size=1, max_size=8),
    patches=st.integers(1, 60),
    data=st.data(),
)
def test_a_row_is_a_subset_that_its_seed_alone_decides(seeds: list[int], patches: int, data: st.DataObject) -> None:
    keep = data.draw(st.integers(1, patches))
    kept = draw_kept_patches(torch.tensor(seeds), patches, keep)
    assert kept.shape == (len(seeds), keep)
    assert (kept.diff(dim=1) > 0).all()  # ascending, so none twice
    assert 0 <= int(kept.min()) <= int(kept.max()) < patches
    alone = torch.cat([draw_kept_patches(torch.tensor([seed]), patches, keep) for seed in seeds])
    assert torch.equal(kept, alone)


def test_the_draw_is_the_same_on_every_machine_and_with_every_version() -> None:
    kept = draw_kept_patches(torch.tensor([0, 1, -1]), 16, 6)
    assert kept.tolist() == [[7, 11, 12, 13, 14, 15], [0, 5, 9, 10, 11, 15], [0, 1, 4, 7, 8, 13]]


def test_the_draw_is_that_of_numpys_unsigned_arithmetic() -> None:
    with np.errstate(over="ignore"):
        streams = mixed(np.array([5, -7], dtype=np.int64).view(np.uint64))[:, None]
        increments = np.uint64(0x9E3779B97F4A7C15) * np.arange(1, 11, dtype=np.uint64)
        order = mixed(streams + increments).view(np.int64).argsort(axis=1)
    expected = np.sort(order[:, :4], axis=1)
    assert draw_kept_patches(torch.tensor([5, -7]), 10, 4).tolist() == expected.tolist()


def mixed(x: np.ndarray) -> np.ndarray:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@pytest.mark.parametrize("stride", [1, 1 << 32, 0x9E3779B97F4A7C15 - 2**64])
def test_all_patches_and_all_pairs_are_equally_likely(stride: int) -> None:
    # Seeds in a row, seeds that differ in their upper half only, and seeds apart by the generator's own increment.
    draws = 20_000
    kept = draw_kept_patches(torch.arange(draws) * stride, 8, 4)
    seen = torch.zeros(draws, 8).scatter_(1, kept, 1.0)
    together = (seen.T @ seen) / draws
    expected = torch.full((8, 8), 4 / 8 * 3 / 7).fill_diagonal_(4 / 8)
    # Five standard deviations of a share near a half among 20,000.
    assert_close(together, expected, atol=5 * 0.5 / draws**0.5, rtol=0)


def test_all_patches_kept_is_the_whole_image() -> None:
    kept = draw_kept_patches(torch.arange(3), 12, 12)
    with torch.no_grad():
        assert torch.equal(clip().encode_image(images(), kept), clip().encode_image(images()))


def test_patches_that_are_not_kept_are_not_seen_and_kept_ones_stand_where_they_stood() -> None:
    model, kept = clip(), draw_kept_patches(torch.arange(3), 12, 5)
    pixels = images()
    changed = torch.zeros_like(pixels)
    for row, indices in enumerate(kept.tolist()):
        for index in indices:
            y, x = 16 * (index // 3), 16 * (index % 3)
            changed[row, :, y : y + 16, x : x + 16] = pixels[row, :, y : y + 16, x : x + 16]
    with torch.no_grad():
        features = model.encode_image(pixels, kept)
        assert torch.equal(model.encode_image(changed, kept), features)
        assert (model.encode_image(pixels, (kept + 1) % 12) - features).abs().max() > 1e-3
        assert_close(model.encode_image(pixels, kept.flip(1)), features, atol=1e-5, rtol=0)  # a set has no order


def test_an_image_does_not_depend_on_the_patches_of_those_beside_it() -> None:
    model, kept = clip(), draw_kept_patches(torch.arange(3), 12, 5)
    with torch.no_grad():
        together = model.encode_image(images(), kept)
        alone = torch.cat([model.encode_image(images()[i : i + 1], kept[i : i + 1]) for i in range(3)])
    assert_close(together, alone, atol=1e-5, rtol=0)


def test_positions_of_patches_that_were_dropped_get_no_gradient() -> None:
    model, kept = clip(), torch.tensor([[0, 5], [5, 7]])
    model(images(2), torch.tensor([[1, 59], [2, 59]]), kept)[0].sum().backward()
    positions = model.visual.get_parameter("positional_embedding").grad
    assert positions is not None
    assert positions.abs().sum(dim=1).nonzero().flatten().tolist() == [0, 1, 6, 8]


@pytest.mark.parametrize("keep", [0, 13])
def test_a_number_of_patches_that_there_is_not_is_refused(keep: int) -> None:
    with pytest.raises(ValueError, match=f"keep must be from 1 to 12, the number of patches, got {keep}"):
        draw_kept_patches(torch.arange(2), 12, keep)


def test_a_resnet_has_no_patches_to_drop() -> None:
    with pytest.raises(ValueError, match="Patch dropout is for a ViT"):
        CLIP(formats.TINY_RESNET).encode_image(torch.zeros(1, 3, 32, 32), torch.zeros(1, 1, dtype=torch.long))
