"""What it takes to describe a CLIP: two towers and the space they share. Plain records, checked when they are made."""

from dataclasses import dataclass
from typing import Literal

Activation = Literal["gelu", "quick_gelu"]
ACTIVATIONS: tuple[Activation, ...] = ("gelu", "quick_gelu")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


def _require_sizes(where: str, **sizes: int) -> None:
    for name, size in sizes.items():
        most = _LARGEST[name]
        is_size = isinstance(size, int) and 1 <= size <= most
        _require(is_size, f"{where}.{name} must be a whole number from 1 to {most:,}, got {_short(size)}.")


def _require_image_size(image_size: tuple[int, int]) -> None:
    most = _LARGEST["image_size"]
    _require(max(image_size) <= most, f"vision.image_size must be at most {most:,}, got {_short(max(image_size))}.")


def _short(value: object) -> str:
    return f"{value!r:.40}"


def _require_ratio(where: str, mlp_ratio: float) -> None:
    _require(
        isinstance(mlp_ratio, int | float) and 0 < mlp_ratio <= 1_024,
        f"{where}.mlp_ratio must be above 0 and at most 1,024, got {mlp_ratio!r}.",
    )


# No model comes near; a config that says more is wrong, or meant to exhaust memory.
_LARGEST = {
    "image_size": 16_384,
    "patch_size": 4_096,
    "width": 65_536,
    "layers": 1_000,
    "heads": 4_096,
    "embed_dim": 65_536,
    "context_length": 65_536,
    "vocab_size": 10_000_000,
}


@dataclass(frozen=True, kw_only=True)
class ViTConfig:
    """A vision transformer. `image_size` is (height, width) in pixels; the MLP is `int(width * mlp_ratio)` wide."""

    image_size: tuple[int, int]
    patch_size: int
    width: int
    layers: int
    heads: int
    mlp_ratio: float = 4.0

    def __post_init__(self) -> None:
        _require_image_size(self.image_size)
        _require_sizes("vision", patch_size=self.patch_size, width=self.width, layers=self.layers, heads=self.heads)
        _require_ratio("vision", self.mlp_ratio)
        _require(
            self.width % self.heads == 0,
            f"vision.width must be a multiple of vision.heads, got {self.width} and {self.heads}.",
        )
        _require(
            min(self.image_size) >= self.patch_size,
            f"vision.image_size must hold at least one patch of {self.patch_size}, got {self.image_size}.",
        )

    @property
    def output_width(self) -> int:
        """D of the features before the projection."""
        return self.width

    @property
    def grid(self) -> tuple[int, int]:
        """Patches per column and row; what does not fill a patch is not seen, as in the reference."""
        return self.image_size[0] // self.patch_size, self.image_size[1] // self.patch_size


@dataclass(frozen=True, kw_only=True)
class ResNetConfig:
    """A ModifiedResNet: `layers` bottlenecks a stage, the first stage `width` wide, attention pooling at the end."""

    image_size: tuple[int, int]
    layers: tuple[int, int, int, int]
    width: int
    heads: int

    def __post_init__(self) -> None:
        _require_image_size(self.image_size)
        _require_sizes("vision", width=self.width, heads=self.heads)
        for layers in self.layers:
            _require_sizes("vision", layers=layers)
        _require(self.width % 2 == 0, f"vision.width must be even, got {self.width}.")
        _require(
            self.output_width % self.heads == 0,
            f"vision.width * 32 must be a multiple of vision.heads, got {self.output_width} and {self.heads}.",
        )
        _require(min(self.image_size) >= 32, f"vision.image_size must be at least 32, got {self.image_size}.")

    @property
    def output_width(self) -> int:
        """D of the features before the projection: channels of the last stage, which attention pooling works in."""
        return self.width * 32

    @property
    def grid(self) -> tuple[int, int]:
        """Positions per column and row in the last stage: halved five times, the first rounding up."""
        return (self.image_size[0] + 1) // 2 // 16, (self.image_size[1] + 1) // 2 // 16


@dataclass(frozen=True, kw_only=True)
class TextConfig:
    """A causal text transformer, pooled at its end token.

    `end_token` None pools at the highest id of each text, as OpenAI's does: in its vocabulary that is the end token.
    """

    width: int
    layers: int
    heads: int
    context_length: int = 77
    vocab_size: int = 49_408
    mlp_ratio: float = 4.0
    end_token: int | None = None

    def __post_init__(self) -> None:
        _require_sizes("text", width=self.width, layers=self.layers, heads=self.heads, vocab_size=self.vocab_size)
        _require_sizes("text", context_length=self.context_length)
        _require_ratio("text", self.mlp_ratio)
        _require(
            self.width % self.heads == 0,
            f"text.width must be a multiple of text.heads, got {self.width} and {self.heads}.",
        )
        _require(self.context_length >= 2, f"text.context_length must be at least 2, got {self.context_length}.")
        _require(
            self.end_token is None or 0 <= self.end_token < self.vocab_size,
            f"text.end_token must be one of the {self.vocab_size} tokens, got {self.end_token}.",
        )


@dataclass(frozen=True, kw_only=True)
class CLIPConfig:
    """Both towers, the width E of the space they share, and the activation of their MLPs."""

    embed_dim: int
    vision: ViTConfig | ResNetConfig
    text: TextConfig
    activation: Activation = "gelu"

    def __post_init__(self) -> None:
        _require_sizes("model", embed_dim=self.embed_dim)
        _require(
            self.activation in ACTIVATIONS,
            f"activation must be one of {', '.join(ACTIVATIONS)}, got {self.activation!r}.",
        )


def check_whole_patches(config: CLIPConfig) -> None:
    """Raise ValueError where a ViT's images are no whole number of patches: what is left over would not be learnt from.

    A config may say so all the same: weights are loaded as the reference loads them, which cuts the rest off.
    """
    vision = config.vision
    if isinstance(vision, ResNetConfig) or not any(side % vision.patch_size for side in vision.image_size):
        return
    down, up = (
        tuple(vision.patch_size * max(1, (side + more) // vision.patch_size) for side in vision.image_size)
        for more in (0, vision.patch_size - 1)
    )
    raise ValueError(
        f"vision.image_size {_pixels(vision.image_size)} is no multiple of vision.patch_size {vision.patch_size}, and "
        f"what is left over is never seen: the nearest that fit are {_pixels(down)} and {_pixels(up)}."
    )


def _pixels(image_size: tuple[int, ...]) -> str:
    return " x ".join(map(str, image_size))
