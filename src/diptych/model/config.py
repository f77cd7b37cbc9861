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
        is_size = isinstance(size, int) and 1 <= size <= _LARGEST
        _require(is_size, f"{where}.{name} must be a whole number from 1 to {_LARGEST:,}, got {size!r}.")


def _require_layers(where: str, layers: int) -> None:
    is_count = isinstance(layers, int) and 1 <= layers <= 1_000
    _require(is_count, f"{where}.layers must be a whole number from 1 to 1,000, got {layers!r}.")


def _require_ratio(where: str, mlp_ratio: float) -> None:
    _require(
        isinstance(mlp_ratio, int | float) and 0 < mlp_ratio <= 1_024,
        f"{where}.mlp_ratio must be above 0 and at most 1,024, got {mlp_ratio!r}.",
    )


_LARGEST = 10_000_000  # no field of a model comes near; a config that says more is wrong, or meant to exhaust memory


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
        _require_sizes("vision", patch_size=self.patch_size, width=self.width, heads=self.heads)
        _require_layers("vision", self.layers)
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
        _require_sizes("vision", width=self.width, heads=self.heads)
        for layers in self.layers:
            _require_layers("vision", layers)
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
        _require_sizes("text", width=self.width, heads=self.heads, vocab_size=self.vocab_size)
        _require_layers("text", self.layers)
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
