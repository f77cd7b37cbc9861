"""What the towers compute: pooling, causality, adapters, dtypes, positions at other sizes."""

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.testing import assert_close

import formats
import seeded
from diptych.checkpoints.openai import to_openai
from diptych.encode.torch_encoder import build_model
from diptych.model.attention import Attention, Linear, activate, activated_linear
from diptych.model.clip import CLIP, compute_in
from diptych.model.config import Activation, CLIPConfig
from diptych.model.text import TextTransformer
from diptych.model.vision import VisionTransformer, resize_positions

END = formats.TINY.text.vocab_size - 1
CPU = torch.device("cpu")


def model(config: CLIPConfig = formats.TINY) -> CLIP:
    return build_model(formats.tiny_checkpoint(config), CPU, torch.float32)


def images(count: int = 2, size: tuple[int, int] = (32, 32)) -> Tensor:
    return torch.from_numpy(seeded.seeded_pixels(count, *size))


def texts(*lengths: int, context: int = 77) -> Tensor:
    """Rows of seeded ids, each ended at its length and padded with 0."""
    tokens = torch.zeros(len(lengths), context, dtype=torch.long)
    for row, length in enumerate(lengths):
        tokens[row, : length - 1] = (torch.arange(length - 1) * 7 + row * 11) % (END - 1) + 1
        tokens[row, length - 1] = END
    return tokens


def assert_same_sums(given: Tensor, expected: Tensor) -> None:
    """Equal but for the order in which a hundred products of size 1 are added."""
    assert_close(given, expected, atol=1e-5, rtol=1e-5)


def vit(clip: CLIP) -> VisionTransformer:
    assert isinstance(clip.visual, VisionTransformer)
    return clip.visual


# ---- what comes out


@pytest.mark.parametrize("config", [formats.TINY, formats.TINY_RESNET], ids=["vit", "resnet"])
def test_forward_gives_unit_rows_and_the_scale_itself(config: CLIPConfig) -> None:
    clip = model(config)
    image_features, text_features, scale = clip(images(3), texts(5, 9))
    assert (image_features.shape, text_features.shape) == ((3, 8), (2, 8))
    assert_close(image_features.norm(dim=-1), torch.ones(3))
    assert_close(text_features.norm(dim=-1), torch.ones(2))
    assert_close(scale, clip.logit_scale.exp())


def test_features_are_the_pooled_ones_projected() -> None:
    clip = model()
    assert_close(clip.encode_image(images()), vit(clip).pooled(images()) @ vit(clip).proj)
    assert_close(clip.encode_text(texts(5)), clip.text.pooled(texts(5)) @ clip.text.text_projection)


def test_the_class_token_alone_equals_the_whole_last_layer() -> None:
    visual = vit(model())
    every = visual.ln_post(visual.transformer(visual._embed(images())))
    assert_same_sums(visual.pooled(images()), every[:, 0])
    assert_same_sums(visual.patch_tokens(images()), every[:, 1:])
    assert visual.patch_tokens(images()).shape == (2, 4, 16)


def test_a_resnets_patch_tokens_are_its_last_feature_map() -> None:
    config = replace(formats.TINY_RESNET, vision=replace(formats.TINY_RESNET.vision, image_size=(64, 96)))
    visual = model(config).visual
    assert visual.patch_tokens(images(2, (64, 96))).shape == (2, 2 * 3, 64)
    assert visual.pooled(images(2, (64, 96))).shape == (2, 64)


def test_patches_as_a_linear_layer_equal_the_convolution() -> None:
    config = replace(formats.TINY, vision=replace(formats.TINY_VIT, image_size=(40, 83)))  # no multiples of 16
    visual, pixels = vit(model(config)), images(2, (40, 83))
    convolved = visual.conv1(pixels).flatten(2).transpose(1, 2)
    assert_same_sums(visual._patches(pixels) @ visual.conv1.weight.flatten(1).T, convolved)


# ---- causality and pooling


def test_what_follows_the_end_token_changes_nothing() -> None:
    text = model().text
    tokens = texts(9)
    changed = tokens.clone()
    changed[0, 9:] = torch.arange(77 - 9) % (END - 1)
    assert_close(text.pooled(changed), text.pooled(tokens), atol=1e-6, rtol=0)
    assert torch.equal(text.pooled(tokens[:, :9]), text.pooled(tokens))


def test_a_later_token_does_not_reach_an_earlier_position() -> None:
    transformer = model().text.transformer
    x = torch.from_numpy(seeded.seeded_tensors({"x.weight": (1, 12, 16)})["x.weight"])
    changed = x.clone()
    changed[:, 7] *= -1
    assert_close(transformer(changed)[:, :7], transformer(x)[:, :7], atol=1e-6, rtol=0)
    assert (transformer(changed)[:, 7:] - transformer(x)[:, 7:]).abs().amin(dim=(0, 2)).min() > 0


def test_a_text_does_not_depend_on_those_beside_it() -> None:
    text = model().text
    together = text(texts(3, 77, 20))
    for row, length in enumerate((3, 77, 20)):
        assert_same_sums(text(texts(3, 77, 20)[row : row + 1, :length])[0], together[row])


def test_of_several_end_tokens_the_first_is_pooled() -> None:
    tokens = texts(9)
    tokens[0, 4] = END
    assert model().text.end_positions(tokens).tolist() == [4]
    assert_close(model().text(tokens), model().text(tokens[:, :5]), atol=1e-6, rtol=0)


def test_an_end_token_that_is_not_the_highest_id_is_pooled_where_it_stands() -> None:
    config = replace(formats.TINY, text=replace(formats.TINY.text, end_token=5))
    tokens = torch.tensor([[1, 40, 5, 59, 5], [1, 5, 0, 0, 0]])
    assert model(config).text.end_positions(tokens).tolist() == [2, 1]
    assert model().text.end_positions(tokens).tolist() == [3, 1]


def test_quickgelu_and_gelu_are_what_they_are_called() -> None:
    x = torch.linspace(-6, 6, 97)
    assert_close(activate(x, "gelu"), F.gelu(x))
    assert_close(activate(x, "quick_gelu"), x * torch.sigmoid(1.702 * x))


# ---- adapters


class LowRank(nn.Module):
    """LoRA: a layer, and beside it a product of two thin matrices, of which the second starts at zero."""

    def __init__(self, layer: nn.Linear, rank: int = 2) -> None:
        super().__init__()
        self.layer = layer
        self.down = nn.Parameter(torch.ones(rank, layer.in_features) / layer.in_features)
        self.up = nn.Parameter(torch.zeros(layer.out_features, rank))

    def fill(self) -> None:
        """As if it had learnt something (and not the same for all outputs, which layer norm would take away)."""
        with torch.no_grad():
            self.up.copy_(torch.linspace(-1, 1, self.up.numel()).view_as(self.up) ** 3)

    def forward(self, x: Tensor) -> Tensor:
        y: Tensor = self.layer(x) + x @ self.down.T @ self.up.T
        return y


@pytest.mark.parametrize("tower", ["text", "visual"])
@pytest.mark.parametrize(
    "name", ["attn.q_proj", "attn.k_proj", "attn.v_proj", "attn.out_proj", "mlp.c_fc", "mlp.c_proj"]
)
def test_an_adapter_can_take_the_place_of_any_linear_layer(name: str, tower: str) -> None:
    clip = model()

    def encode() -> Tensor:
        with torch.no_grad():
            return clip.encode_text(texts(6, 9)) if tower == "text" else clip.encode_image(images())

    before = encode()
    parent = (clip.text if tower == "text" else vit(clip)).transformer.blocks[0].get_submodule(name.split(".")[0])
    leaf = name.split(".")[1]
    adapter = LowRank(getattr(parent, leaf))
    setattr(parent, leaf, adapter)
    assert_same_sums(encode(), before)
    adapter.fill()
    assert (encode() - before).abs().max() > 1e-3


@pytest.mark.parametrize("name", ["q_proj", "k_proj", "v_proj"])
def test_an_adapter_can_take_the_place_of_attention_poolings_layers(name: str) -> None:
    clip = model(formats.TINY_RESNET)
    before = clip.encode_image(images())
    pool = clip.visual.get_submodule("attnpool")
    adapter = LowRank(getattr(pool, name))
    setattr(pool, name, adapter)
    adapter.fill()
    assert (clip.encode_image(images()) - before).abs().max() > 1e-4


# ---- the way through oneDNN


@pytest.mark.parametrize("shape", [(7, 48), (2, 5, 48), (1, 1, 48)])
@pytest.mark.parametrize("bias", [True, False])
def test_a_linear_layer_without_gradients_is_a_linear_layer(shape: tuple[int, ...], bias: bool) -> None:
    arrays = seeded.seeded_tensors({"x": shape, "weight": (33, 48), "bias": (33,)})
    x, weight, b = (torch.from_numpy(arrays[name]) for name in ("x", "weight", "bias"))
    layer = Linear(48, 33, bias=bias)
    layer.load_state_dict({"weight": weight, "bias": b} if bias else {"weight": weight})
    expected = F.linear(x, weight, b if bias else None)
    assert_same_sums(layer(x), expected)
    with torch.no_grad():
        assert_same_sums(layer(x), expected)
        assert_same_sums(layer(x.transpose(0, -2).contiguous().transpose(0, -2)), expected)
    with torch.inference_mode():
        assert_same_sums(layer(x), expected)


@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.bfloat16, 2e-2)], ids=str)
@pytest.mark.parametrize("activation", ["gelu", "quick_gelu"])
def test_an_activation_in_the_same_pass_is_the_activation(
    activation: Activation, dtype: torch.dtype, tolerance: float
) -> None:
    arrays = seeded.seeded_tensors({"x.weight": (9, 48), "weight": (33, 48), "bias": (33,)})
    layer = Linear(48, 33)
    layer.load_state_dict({name: torch.from_numpy(arrays[name]) for name in ("weight", "bias")})
    x = torch.from_numpy(arrays["x.weight"]) * 4
    expected = activate(layer(x), activation)
    with torch.no_grad():
        given = x.to(dtype)
        fused = activated_linear(layer.to(dtype), given, activation)
    assert fused.dtype == dtype
    assert torch.equal(given, x.to(dtype))  # and not changed in place
    # bfloat16 keeps 8 bits: 4e-3 of values as large as 8.
    assert_close(fused.float(), expected, atol=tolerance * 8, rtol=0)


def test_gradients_flow_to_every_weight() -> None:
    clip = model().train()
    image_features, text_features, scale = clip(images(), texts(5, 9))
    F.cross_entropy(scale * image_features @ text_features.T, torch.arange(2)).backward()  # type: ignore[no-untyped-call]
    # The bias of keys adds the same to all scores of a query, which softmax takes away.
    idle = {name for name, p in clip.named_parameters() if p.grad is None or not p.grad.any()}
    assert idle <= {name for name, _ in clip.named_parameters() if name.endswith("k_proj.bias")}


def test_features_with_and_without_gradients_agree() -> None:
    for config in (formats.TINY, replace(formats.TINY, activation="gelu"), formats.TINY_RESNET):
        clip = model(config)
        with torch.no_grad():
            without = clip.encode_image(images()), clip.encode_text(texts(5, 9))
        assert_same_sums(clip.encode_image(images()), without[0])
        assert_same_sums(clip.encode_text(texts(5, 9)), without[1])


def test_a_hook_on_the_layer_before_an_activation_is_called() -> None:
    seen: list[Tensor] = []
    clip = model()
    clip.text.transformer.blocks[0].mlp.c_fc.register_forward_hook(lambda _m, _i, output: seen.append(output))
    with torch.no_grad():
        clip.encode_text(texts(5))
    assert [tuple(output.shape) for output in seen] in ([(1, 5, 32)], [(1, 32)])


# ---- dtypes


@pytest.mark.parametrize("kind", ["vit", "resnet"])
def test_half_precision_is_divided_as_in_openais_files(kind: str) -> None:
    clip = compute_in(CLIP(formats.clip_config(kind)), torch.float16)
    ours = {name: tensor.dtype for name, tensor in to_openai(clip.state_dict()).items() if "num_batches" not in name}
    theirs = seeded.openai_state_dict(seeded.seeded_model(kind))
    assert ours == {name: tensor.dtype for name, tensor in theirs.items() if "num_batches" not in name}


def test_bfloat16_models_give_bfloat16_features_near_the_full_ones() -> None:
    for config in (formats.TINY, formats.TINY_RESNET):
        full, half = model(config), compute_in(model(config), torch.bfloat16)
        with torch.no_grad():
            pairs = (
                (half.encode_image(images().bfloat16()), full.encode_image(images())),
                (half.encode_text(texts(5, 9)), full.encode_text(texts(5, 9))),
            )
        for given, expected in pairs:
            assert given.dtype == torch.bfloat16
            assert F.cosine_similarity(given.float(), expected).min() > 0.999


def test_layer_norm_is_computed_in_float32() -> None:
    norm = model().text.ln_final
    x = torch.from_numpy(seeded.seeded_tensors({"x.weight": (400, 16)})["x.weight"]).bfloat16() + 1
    exact = F.layer_norm(x.double(), (16,), norm.weight.double(), norm.bias.double(), norm.eps).bfloat16()
    assert norm(x).dtype == torch.bfloat16
    # Rounded once, at the end: float32 lies on the other side of a rounding boundary from float64 once in thousands.
    # With weights in bfloat16 three values in ten are others.
    assert (norm(x) != exact).float().mean() < 0.005


# ---- positions of another grid


def positions(rows: int, columns: int) -> Tensor:
    drawn = seeded.seeded_tensors({"positional_embedding": (1 + rows * columns, 6)})["positional_embedding"]
    return torch.from_numpy(drawn)


@pytest.mark.parametrize("grid", [(7, 7), (3, 5), (2, 2), (1, 9)])
def test_resizing_keeps_the_class_position_and_the_number_of_patches(grid: tuple[int, int]) -> None:
    resized = resize_positions(positions(4, 4), (4, 4), grid)
    assert resized.shape == (1 + grid[0] * grid[1], 6)
    assert torch.equal(resized[0], positions(4, 4)[0])


def test_resizing_to_the_same_grid_changes_nothing() -> None:
    assert torch.equal(resize_positions(positions(4, 4), (4, 4), (4, 4)), positions(4, 4))


def test_resizing_keeps_what_is_alike_everywhere_and_the_dtype() -> None:
    level = torch.full((1 + 16, 6), 0.25, dtype=torch.float16)
    resized = resize_positions(level, (4, 4), (9, 5))
    assert resized.dtype == torch.float16
    assert_close(resized, torch.full((1 + 45, 6), 0.25, dtype=torch.float16), atol=1e-3, rtol=0)


def test_rows_are_resized_as_rows_and_columns_as_columns() -> None:
    by_row = torch.cat([torch.zeros(1, 1), torch.arange(4.0).repeat_interleave(4)[:, None]])
    wider = resize_positions(by_row, (4, 4), (4, 9))[1:].reshape(4, 9)
    assert_close(wider, torch.arange(4.0)[:, None].expand(4, 9), atol=1e-5, rtol=0)


# ---- structure


def test_attention_masks_nothing_by_a_tensor() -> None:
    clip = model()
    assert not [name for name, _ in clip.named_buffers()]
    assert all(block.attn.is_causal for block in clip.text.transformer.blocks)
    assert not any(block.attn.is_causal for block in vit(clip).transformer.blocks)
    attention = clip.text.transformer.blocks[0].attn
    assert isinstance(attention, Attention)
    assert [name for name, _ in attention.named_children()] == ["q_proj", "k_proj", "v_proj", "out_proj"]


def test_texts_shorter_than_the_context_are_taken() -> None:
    text = model().text
    assert isinstance(text, TextTransformer)
    assert_same_sums(text(texts(9, context=9)), text(texts(9)))
