"""CLIP: an image tower and a text tower that end in one space (Radford et al. 2021, Fig. 3)."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from diptych.model.attention import Block
from diptych.model.config import CLIPConfig, ResNetConfig
from diptych.model.resnet import Bottleneck, ModifiedResNet
from diptych.model.text import TextTransformer
from diptych.model.vision import VisionTransformer


class CLIP(nn.Module):
    """Both towers and the temperature.

    `logit_scale` is the logarithm of what cosines are multiplied by to become logits; it starts at ln(1/0.07).
    Inside each tower the parameters bear OpenAI's names, but for attention's packed `in_proj`, here three layers.
    """

    def __init__(self, config: CLIPConfig) -> None:
        super().__init__()
        self.config = config
        self.visual: VisionTransformer | ModifiedResNet
        if isinstance(config.vision, ResNetConfig):
            self.visual = ModifiedResNet(config.vision, config.embed_dim)
        else:
            self.visual = VisionTransformer(config.vision, config.embed_dim, config.activation)
        self.text = TextTransformer(config.text, config.embed_dim, config.activation)
        self.logit_scale = nn.Parameter(torch.tensor(math.log(1 / 0.07)))
        if not self.logit_scale.is_meta:  # there are no weights yet, and those to come are a checkpoint's
            initialise(self)

    def encode_image(self, images: Tensor, kept_patches: Tensor | None = None) -> Tensor:
        """(B, 3, H, W) normalised pixels to (B, E), not unit length; of a ViT, from the `kept_patches` (B, n) only."""
        if kept_patches is None:
            return self.visual(images)
        if not isinstance(self.visual, VisionTransformer):
            raise ValueError("Patch dropout is for a ViT, and this image tower is a ResNet: leave kept_patches out.")
        return self.visual(images, kept_patches)

    def encode_text(self, tokens: Tensor) -> Tensor:
        """(B, L) token ids to (B, E), not unit length."""
        return self.text(tokens)

    def forward(
        self, images: Tensor, tokens: Tensor, kept_patches: Tensor | None = None
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Unit image features (B, E), unit text features (B, E), and the scale itself (not its logarithm)."""
        image_features = F.normalize(self.encode_image(images, kept_patches), dim=-1)
        text_features = F.normalize(self.encode_text(tokens), dim=-1)
        return image_features, text_features, self.logit_scale.exp()

    def set_activation_checkpointing(self, is_on: bool) -> None:
        """Whether, in training, each layer's insides are computed again for the backward pass instead of kept.

        The same gradients for a third more time, with memory for one layer's activations and the rest's inputs.
        """
        for module in self.modules():
            if isinstance(module, Block | Bottleneck):
                module.is_recomputed = is_on


@torch.no_grad()
def compute_in(model: CLIP, dtype: torch.dtype) -> CLIP:
    """Put the weights of all matrix products in `dtype`, and what is added or normalised with in float32, in place.

    The same division that OpenAI's half-precision files have.
    """
    products = {
        id(parameter)
        for module in model.modules()
        if isinstance(module, nn.Linear | nn.Conv2d)
        for parameter in module.parameters(recurse=False)
    }
    for name, parameter in model.named_parameters():
        is_product = id(parameter) in products or name in ("visual.proj", "text.text_projection")
        parameter.data = parameter.data.to(dtype if is_product else torch.float32)
    for buffer in model.buffers():
        if buffer.is_floating_point():
            buffer.data = buffer.data.float()
    return model


@torch.no_grad()
def initialise(model: CLIP) -> None:
    """Draw the weights as OpenAI's code does before training; what is not named here keeps torch's defaults."""
    _initialise_text(model.text)
    if isinstance(model.visual, VisionTransformer):
        _initialise_vit(model.visual)
    else:
        _initialise_resnet(model.visual)


def _initialise_text(text: TextTransformer) -> None:
    width, layers = text.config.width, text.config.layers
    nn.init.normal_(text.token_embedding.weight, std=0.02)
    nn.init.normal_(text.positional_embedding, std=0.01)
    nn.init.normal_(text.text_projection, std=width**-0.5)
    out_std = width**-0.5 * (2 * layers) ** -0.5
    for block in text.transformer.blocks:
        for projection in (block.attn.q_proj, block.attn.k_proj, block.attn.v_proj):
            nn.init.normal_(projection.weight, std=width**-0.5)
        nn.init.normal_(block.attn.out_proj.weight, std=out_std)
        nn.init.normal_(block.mlp.c_fc.weight, std=(2 * width) ** -0.5)
        nn.init.normal_(block.mlp.c_proj.weight, std=out_std)
        _zero_attention_biases(block)


def _initialise_vit(visual: VisionTransformer) -> None:
    width = visual.config.width
    nn.init.normal_(visual.class_embedding, std=width**-0.5)
    nn.init.normal_(visual.positional_embedding, std=width**-0.5)
    nn.init.normal_(visual.proj, std=width**-0.5)
    for block in visual.transformer.blocks:
        # torch's default for packed attention: Xavier over a (3D, D) matrix.
        bound = math.sqrt(6 / (4 * width))
        for projection in (block.attn.q_proj, block.attn.k_proj, block.attn.v_proj):
            nn.init.uniform_(projection.weight, -bound, bound)
        _zero_attention_biases(block)


def _initialise_resnet(visual: ModifiedResNet) -> None:
    pool = visual.attnpool
    width = pool.positional_embedding.shape[1]
    nn.init.normal_(pool.positional_embedding, std=width**-0.5)
    for projection in (pool.q_proj, pool.k_proj, pool.v_proj, pool.c_proj):
        nn.init.normal_(projection.weight, std=width**-0.5)
    for module in visual.modules():
        if isinstance(module, Bottleneck):
            nn.init.zeros_(module.bn3.weight)


def _zero_attention_biases(block: Block) -> None:
    for projection in (block.attn.q_proj, block.attn.k_proj, block.attn.v_proj, block.attn.out_proj):
        nn.init.zeros_(projection.bias)
