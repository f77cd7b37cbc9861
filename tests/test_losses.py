"""Both losses against the plain formulas, by hand, and in what they must not depend on."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.autograd import gradcheck
from torch.testing import assert_close
from torch.utils._python_dispatch import TorchDispatchMode

from diptych.losses import clip_loss, siglip_loss

SCALE, BIAS = torch.tensor(14.3, dtype=torch.float64), torch.tensor(-4.0, dtype=torch.float64)
Loss = Callable[..., Tensor]


def clip(image: Tensor, text: Tensor, **options: Any) -> Tensor:  # noqa: ANN401
    return clip_loss(image, text, SCALE, **options)


def siglip(image: Tensor, text: Tensor, **options: Any) -> Tensor:  # noqa: ANN401
    return siglip_loss(image, text, SCALE, BIAS, **options)


both = pytest.mark.parametrize("loss", [clip, siglip])
# No deadline: the first call prepares torch's kernels, and the machine may be busy.
unhurried = settings(deadline=None, max_examples=40)
some_ids = st.none() | st.integers(1, 12)  # how many different ids there are
batches = given(batch=st.integers(1, 12), seed=st.integers(0, 10_000), images=some_ids, texts=some_ids)


def features(batch: int, seed: int = 0, width: int = 8, dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    image, text = F.normalize(torch.randn(2, batch, width, generator=generator, dtype=torch.float64), dim=-1).to(dtype)
    return image.requires_grad_(), text.requires_grad_()


def ids(batch: int, seed: int, images: int | None, texts: int | None) -> dict[str, Tensor | None]:
    generator = torch.Generator().manual_seed(seed)
    drawn = [None if most is None else torch.randint(most, (batch,), generator=generator) for most in (images, texts)]
    return {"image_ids": drawn[0], "text_ids": drawn[1]}


def positives(batch: int, image_ids: Tensor | None = None, text_ids: Tensor | None = None) -> Tensor:
    """(B, B): same image or same text."""
    same = torch.eye(batch, dtype=torch.bool)
    for given_ids in (image_ids, text_ids):
        if given_ids is not None:
            same = same | (given_ids[:, None] == given_ids[None, :])
    return same


def plain_clip(image: Tensor, text: Tensor, **given_ids: Tensor | None) -> Tensor:
    logits, same = SCALE * image @ text.T, positives(len(image), **given_ids).to(image.dtype)
    of_rows = F.cross_entropy(logits, same / same.sum(1, keepdim=True))
    of_columns = F.cross_entropy(logits.T, (same / same.sum(0, keepdim=True)).T)
    return (of_rows + of_columns) / 2


def plain_siglip(image: Tensor, text: Tensor, **given_ids: Tensor | None) -> Tensor:
    logits, same = SCALE * image @ text.T + BIAS, positives(len(image), **given_ids)
    return -F.logsigmoid(torch.where(same, logits, -logits)).sum() / len(image)


PLAIN: dict[Loss, Loss] = {clip: plain_clip, siglip: plain_siglip}


# ---- value and gradients


@both
@unhurried
@batches
def test_value_and_gradients_are_those_of_the_plain_formula(
    loss: Loss, batch: int, seed: int, images: int | None, texts: int | None
) -> None:
    pair, given_ids = features(batch, seed), ids(batch, seed, images, texts)
    ours, plain = loss(*pair, tile_size=5, **given_ids), PLAIN[loss](*pair, **given_ids)
    assert_close(ours, plain)
    assert_close(torch.autograd.grad(ours, pair), torch.autograd.grad(plain, pair))


@pytest.mark.parametrize("given_ids", [{}, ids(5, 0, 3, None), ids(5, 0, 3, 4)], ids=["none", "images", "both"])
def test_all_gradients_are_exact(given_ids: dict[str, Any]) -> None:
    scale, bias = SCALE.clone().requires_grad_(), BIAS.clone().requires_grad_()
    pair = features(5)
    assert gradcheck(partial(clip_loss, tile_size=2, **given_ids), (*pair, scale))
    assert gradcheck(partial(siglip_loss, tile_size=2, **given_ids), (*pair, scale, bias))


@both
@pytest.mark.parametrize("locked", [0, 1], ids=["image", "text"])
def test_a_locked_tower_does_not_change_the_gradient_of_the_other(loss: Loss, locked: int) -> None:
    pair = features(6)
    learning = pair[1 - locked]
    (expected,) = torch.autograd.grad(loss(*pair), learning)
    pair[locked].requires_grad_(False)
    assert_close(torch.autograd.grad(loss(*pair), learning), (expected,))


@both
@unhurried
@given(batch=st.integers(1, 20), seed=st.integers(0, 10_000), tile=st.integers(1, 24))
def test_the_tile_size_does_not_matter(loss: Loss, batch: int, seed: int, tile: int) -> None:
    pair, given_ids = features(batch, seed), ids(batch, seed, 5, 7)
    tiled, whole = loss(*pair, tile_size=tile, **given_ids), loss(*pair, tile_size=batch, **given_ids)
    assert_close(tiled, whole)
    assert_close(torch.autograd.grad(tiled, pair), torch.autograd.grad(whole, pair))


@both
@unhurried
@batches
def test_the_order_of_pairs_does_not_matter(
    loss: Loss, batch: int, seed: int, images: int | None, texts: int | None
) -> None:
    image, text = features(batch, seed)
    given_ids = ids(batch, seed, images, texts)
    order = torch.randperm(batch, generator=torch.Generator().manual_seed(seed))
    ordered = {name: None if numbers is None else numbers[order] for name, numbers in given_ids.items()}
    assert_close(loss(image[order], text[order], **ordered), loss(image, text, **given_ids))


@unhurried
@batches
def test_images_and_texts_can_change_places(batch: int, seed: int, images: int | None, texts: int | None) -> None:
    image, text = features(batch, seed)
    given_ids = ids(batch, seed, images, texts)
    swapped = {"image_ids": given_ids["text_ids"], "text_ids": given_ids["image_ids"]}
    assert_close(clip(text, image, **swapped), clip(image, text, **given_ids))


@both
def test_different_ids_change_no_digit(loss: Loss) -> None:
    pair = features(30, dtype=torch.float32)
    numbers = torch.arange(30)
    with_ids = loss(*pair, image_ids=numbers - 15, text_ids=numbers.flip(0))
    assert torch.equal(with_ids, loss(*pair))
    for ours, plain in zip(torch.autograd.grad(with_ids, pair), torch.autograd.grad(loss(*pair), pair), strict=True):
        assert torch.equal(ours, plain)


# ---- by hand


def test_the_worked_batch_of_three() -> None:
    """The logits, either direction and the mean of both, as tutorials print them."""
    image = torch.eye(3)
    text = torch.tensor([[0.9, 0.1, 0.0], [0.1, 0.8, 0.1], [0.0, 0.3, 0.7]])
    logits = image @ text.T / 0.07
    expected = torch.tensor([[12.857, 1.429, 0.0], [1.429, 11.429, 4.286], [0.0, 1.429, 10.0]])
    assert_close(logits, expected, atol=5e-4, rtol=0)  # printed to three places
    own = torch.arange(3)
    directions = [F.cross_entropy(each, own).item() for each in (logits, logits.T)]
    assert [round(loss, 6) for loss in directions] == [0.000361, 0.001148]
    loss = clip_loss(image, text, 1 / 0.07).item()
    assert round(loss, 6) == 0.000754
    assert loss == pytest.approx(sum(directions) / 2, rel=1e-4)  # what is left of float32 in 1 + 0.0004


def test_uniform_logits_give_the_logarithm_of_the_batch_size() -> None:
    same = torch.ones(5, 1, dtype=torch.float64)
    assert_close(clip(same, same), torch.tensor(math.log(5), dtype=torch.float64))


def test_one_pair_alone_has_no_loss_and_no_gradient() -> None:
    pair = features(1)
    assert clip(*pair).item() == 0
    assert all((gradient == 0).all() for gradient in torch.autograd.grad(clip(*pair), pair))


def test_equal_ids_spread_the_target_evenly() -> None:
    # exp(logit) is 2 for own pairs and 1 for others: each row is (2, 1, 1) / 4 in some order. Pairs 0 and 1 share an
    # image, 1 and 2 a text: targets (1/2, 1/2, 0), (1/3, 1/3, 1/3), (0, 1/2, 1/2) cost 3/2, 5/3 and 3/2 of ln 2.
    unit, scale = torch.eye(3, dtype=torch.float64), math.log(2)
    loss = clip_loss(unit, unit, scale, image_ids=torch.tensor([7, 7, 8]), text_ids=torch.tensor([7, 8, 8]))
    assert loss.item() == pytest.approx(14 / 9 * math.log(2))


def test_pairs_with_the_same_image_and_the_same_text_count_once() -> None:
    # Rows are (3, 1) / 4, and both texts are each image's: -(ln 3/4 + ln 1/4) / 2.
    unit, twice = torch.eye(2, dtype=torch.float64), torch.tensor([4, 4])
    loss = clip_loss(unit, unit, math.log(3), image_ids=twice, text_ids=twice)
    assert loss.item() == pytest.approx(math.log(16 / 3) / 2)


def test_sigmoid_loss_sums_over_texts() -> None:
    # Logits are 0 for own pairs and -ln 3 for others, whose sigmoid is 1/4: ln 2 each, and ln 4/3 where negative.
    unit, scale, bias = torch.eye(2, dtype=torch.float64), math.log(3), -math.log(3)
    assert siglip_loss(unit, unit, scale, bias).item() == pytest.approx(math.log(2) + math.log(4 / 3))
    shared = siglip_loss(unit, unit, scale, bias, text_ids=torch.tensor([5, 5]))
    assert shared.item() == pytest.approx(math.log(2) + math.log(4))


# ---- precision and memory


def test_a_small_loss_at_large_logits_keeps_its_digits() -> None:
    # Logits of 100 for own pairs and 90 for others: float32 resolves no more than 8e-6 there, 2% of the loss. What is
    # allowed is the rounding of 1 + 3.2e-4.
    cosines = (torch.eye(8) + 9) / 10
    assert clip_loss(torch.eye(8), cosines, 100.0).item() == pytest.approx(math.log1p(7 * math.exp(-10)), rel=3e-4)


@both
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_features_are_computed_in_float32(loss: Loss, dtype: torch.dtype) -> None:
    pair = features(40, dtype=dtype)
    wide = [part.detach().float().requires_grad_() for part in pair]
    ours, expected = loss(*pair, tile_size=16), loss(*wide, tile_size=16)
    assert ours.dtype == torch.float32
    assert torch.equal(ours, expected)
    for own, of_wide in zip(torch.autograd.grad(ours, pair), torch.autograd.grad(expected, wide), strict=True):
        assert own.dtype == dtype
        assert torch.equal(own, of_wide.to(dtype))


@both
def test_autocast_changes_nothing(loss: Loss) -> None:
    pair = features(40)
    expected = torch.autograd.grad(loss(*pair), pair)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        cast = loss(*pair)
        gradients = torch.autograd.grad(cast, pair)
    assert torch.equal(cast, loss(*pair))
    assert all(torch.equal(ours, other) for ours, other in zip(gradients, expected, strict=True))


@both
def test_a_feature_that_is_no_number_makes_a_loss_that_is_none(loss: Loss) -> None:
    image, text = (part.detach() for part in features(4))
    text[2, 3] = math.nan
    assert loss(image, text).isnan()


class LargestTensor(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Remembers how many numbers the largest tensor had that any operation gave."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.numel = 0

    def __torch_dispatch__(self, operation: Any, _: Any, args: Any = (), kwargs: Any = None) -> Any:  # noqa: ANN401
        result = operation(*args, **(kwargs or {}))
        made = result if isinstance(result, tuple | list) else [result]
        self.numel = max(self.numel, *(part.numel() for part in made if isinstance(part, Tensor)), 0)
        return result


@both
def test_no_tensor_is_larger_than_the_features_or_a_tile(loss: Loss) -> None:
    pair = features(200, dtype=torch.float32)
    with LargestTensor() as largest:
        loss(*pair, tile_size=16, **ids(200, 0, 50, 3)).backward()  # type: ignore[no-untyped-call]
    assert largest.numel == 200 * 8


# ---- what is refused

PAIR = (torch.ones(3, 2), torch.ones(3, 2))
REFUSED: list[tuple[tuple[Tensor, Tensor], dict[str, Any], str]] = [
    ((torch.ones(3, 2), torch.ones(4, 2)), {}, "one shape (N, E), got (3, 2) and (4, 2)"),
    ((torch.ones(3, 2), torch.ones(3, 4)), {}, "one shape (N, E), got (3, 2) and (3, 4)"),
    ((torch.ones(3), torch.ones(3)), {}, "one shape (N, E), got (3,) and (3,)"),
    ((torch.ones(0, 2), torch.ones(0, 2)), {}, "at least one pair, got none"),
    ((torch.ones(3, 2).int(), torch.ones(3, 2)), {}, "floating-point dtype, got torch.int32 and torch.float32"),
    ((torch.ones(3, 2), torch.ones(3, 2, device="meta")), {}, "on one device, got cpu and meta"),
    (PAIR, {"image_ids": torch.arange(2)}, "image_ids must have one id for each of the 3 pairs, got shape (2,)"),
    (PAIR, {"text_ids": torch.ones(3, 1).long()}, "text_ids must have one id for each of the 3 pairs, got shape"),
    (PAIR, {"text_ids": torch.ones(3)}, "text_ids must be integers, got torch.float32"),
    (PAIR, {"tile_size": 0}, "tile_size must be at least 1, got 0"),
]


@both
@pytest.mark.parametrize(("pair", "options", "message"), REFUSED, ids=[message for *_, message in REFUSED])
def test_what_does_not_fit_is_refused_in_one_line(
    loss: Loss, pair: tuple[Tensor, Tensor], options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError) as raised:
        loss(*pair, **options)
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)


def test_scale_and_bias_are_single_numbers() -> None:
    with pytest.raises(ValueError, match=r"logit_scale must be one number, got shape \(3,\)"):
        clip_loss(*PAIR, torch.ones(3))
    with pytest.raises(ValueError, match=r"logit_bias must be one number, got shape \(2,\)"):
        siglip_loss(*PAIR, 10.0, torch.ones(2))
    assert clip_loss(*PAIR, torch.ones(1)).shape == ()
