"""OpenAI's own interface: `from diptych import openai_api as clip`, and code written for openai/CLIP runs.

What is promised: `available_models`, `load`, `tokenize`, and of the model `encode_image`, `encode_text`,
`model(image, text)`, `logit_scale`, `visual.input_resolution` and `dtype`.
"""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn

from diptych.checkpoints import load_checkpoint
from diptych.checkpoints.hub import OPENAI_FILES, openai_file
from diptych.checkpoints.openai import from_openai, to_openai
from diptych.encode.devices import resolve_device
from diptych.encode.torch_encoder import build_model
from diptych.model.clip import CLIP
from diptych.model.resnet import ModifiedResNet
from diptych.model.vision import VisionTransformer
from diptych.preprocess import Preprocess, exact
from diptych.tokenizer import clip_tokenizer, cut, pad

__all__ = ["available_models", "load", "tokenize"]


def available_models() -> list[str]:
    """The names of OpenAI's nine models."""
    return list(OPENAI_FILES)


def load(
    name: str, device: str | torch.device | None = None, jit: bool = False, download_root: str | None = None
) -> tuple["OpenAIModel", Callable[[Image.Image], Tensor]]:
    """(model, preprocess) for one of OpenAI's names or anything else that `diptych.load` takes.

    As in OpenAI's code, float32 on a CPU and float16 on a GPU. `jit` runs no archived code, here or ever: the model is
    the same. `download_root` is the folder of OpenAI's files, if not the cache's.
    """
    place = resolve_device("auto" if device is None else str(device))
    if download_root is not None and name in OPENAI_FILES:
        name = str(openai_file(name, folder=Path(download_root)))
    checkpoint = load_checkpoint(name)
    model = build_model(checkpoint, place, torch.float32 if place.type == "cpu" else torch.float16)
    return OpenAIModel(model).eval(), _Transform(checkpoint.preprocess)


def tokenize(texts: str | list[str], context_length: int = 77, truncate: bool = False) -> Tensor:
    """(N, context_length) int32 token ids, padded with 0.

    A text that is too long raises RuntimeError, or is cut with the end token last if `truncate`.
    """
    texts = [texts] if isinstance(texts, str) else texts
    tokenizer = clip_tokenizer()
    batch = tokenizer.encode_batch(texts)
    for i, ids in enumerate(batch):
        if len(ids) > context_length:
            if not truncate:
                raise RuntimeError(f"Input {texts[i]} is too long for context length {context_length}")
            batch[i] = cut(ids, context_length, tokenizer.end_token)
    return torch.from_numpy(pad(batch, context_length)).int()


class OpenAIModel(nn.Module):
    """A CLIP that answers as OpenAI's class does: features not normalised, logits for each image and for each text.

    Its state dict has OpenAI's names, so that weights saved from OpenAI's class load into it, and the other way round.
    """

    def __init__(self, clip: CLIP) -> None:
        super().__init__()
        self.clip = clip

    @property
    def visual(self) -> VisionTransformer | ModifiedResNet:
        """The image tower, with `input_resolution`."""
        return self.clip.visual

    @property
    def logit_scale(self) -> Tensor:
        """The logarithm of the scale, as in OpenAI's class."""
        return self.clip.logit_scale

    @property
    def context_length(self) -> int:
        """Tokens that a text may have."""
        return self.clip.config.text.context_length

    @property
    def vocab_size(self) -> int:
        """Tokens that there are."""
        return self.clip.config.text.vocab_size

    @property
    def dtype(self) -> torch.dtype:
        """What the matrix products are computed in."""
        return self.clip.text.text_projection.dtype

    def encode_image(self, image: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, E)."""
        return self.clip.encode_image(image.to(self.dtype))

    def encode_text(self, text: Tensor) -> Tensor:
        """(B, L) token ids to (B, E)."""
        return self.clip.encode_text(text)

    def forward(self, image: Tensor, text: Tensor) -> tuple[Tensor, Tensor]:
        """(logits_per_image, logits_per_text): (B, T) and (T, B) scaled cosines."""
        image_features = F.normalize(self.encode_image(image), dim=-1)
        text_features = F.normalize(self.encode_text(text), dim=-1)
        logits_per_image = self.logit_scale.exp() * image_features @ text_features.T
        return logits_per_image, logits_per_image.T

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]  # noqa: ANN401
        """The tensors by OpenAI's names."""
        return to_openai(self.clip.state_dict(*args, **kwargs))

    def load_state_dict(self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False) -> Any:  # noqa: ANN401
        """Take tensors by OpenAI's names."""
        return self.clip.load_state_dict(from_openai(dict(state_dict), "The state dict"), strict, assign)


class _Transform:
    """A PIL image to a (3, H, W) float32 tensor, as it is: not turned upright, transparency dropped, as in OpenAI's."""

    def __init__(self, preprocess: Preprocess) -> None:
        self.preprocess = preprocess

    def __call__(self, image: Image.Image) -> Tensor:
        return torch.from_numpy(exact(image, self.preprocess))
