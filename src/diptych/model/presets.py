"""The published architectures by name: OpenAI's nine, and OpenCLIP's plain CLIP family."""

from dataclasses import replace

from diptych.model.config import CLIPConfig, ResNetConfig, TextConfig, ViTConfig


def _text(width: int, heads: int, layers: int = 12) -> TextConfig:
    return TextConfig(width=width, heads=heads, layers=layers)


def _vit(
    embed_dim: int,
    vision: tuple[int, int, int, int],
    text: TextConfig,
    *,
    heads: int | None = None,
    mlp_ratio: float = 4.0,
) -> CLIPConfig:
    """`vision` is (image size, patch size, width, layers); the heads are 64 wide unless given."""
    image_size, patch_size, width, layers = vision
    tower = ViTConfig(
        image_size=(image_size, image_size),
        patch_size=patch_size,
        width=width,
        layers=layers,
        heads=heads or width // 64,
        mlp_ratio=mlp_ratio,
    )
    return CLIPConfig(embed_dim=embed_dim, vision=tower, text=text)


def _resnet(
    embed_dim: int, image_size: int, layers: tuple[int, int, int, int], width: int, text: TextConfig
) -> CLIPConfig:
    tower = ResNetConfig(image_size=(image_size, image_size), layers=layers, width=width, heads=width * 32 // 64)
    return CLIPConfig(embed_dim=embed_dim, vision=tower, text=text)


def _quick(config: CLIPConfig) -> CLIPConfig:
    return replace(config, activation="quick_gelu")


# OpenCLIP's names: GELU unless the name ends in -quickgelu.
_GELU: dict[str, CLIPConfig] = {
    "RN50": _resnet(1024, 224, (3, 4, 6, 3), 64, _text(512, 8)),
    "RN101": _resnet(512, 224, (3, 4, 23, 3), 64, _text(512, 8)),
    "RN50x4": _resnet(640, 288, (4, 6, 10, 6), 80, _text(640, 10)),
    "RN50x16": _resnet(768, 384, (6, 8, 18, 8), 96, _text(768, 12)),
    "RN50x64": _resnet(1024, 448, (3, 15, 36, 10), 128, _text(1024, 16)),
    "ViT-B-32": _vit(512, (224, 32, 768, 12), _text(512, 8)),
    "ViT-B-32-256": _vit(512, (256, 32, 768, 12), _text(512, 8)),
    "ViT-B-16": _vit(512, (224, 16, 768, 12), _text(512, 8)),
    "ViT-B-16-plus-240": _vit(640, (240, 16, 896, 12), _text(640, 10)),
    "ViT-L-14": _vit(768, (224, 14, 1024, 24), _text(768, 12)),
    "ViT-L-14-336": _vit(768, (336, 14, 1024, 24), _text(768, 12)),
    "ViT-H-14": _vit(1024, (224, 14, 1280, 32), _text(1024, 16, 24), heads=16),
    "ViT-H-14-378": _vit(1024, (378, 14, 1280, 32), _text(1024, 16, 24), heads=16),
    "ViT-g-14": _vit(1024, (224, 14, 1408, 40), _text(1024, 16, 24), heads=16, mlp_ratio=4.3637),
    "ViT-bigG-14": _vit(1280, (224, 14, 1664, 48), _text(1280, 20, 32), heads=16, mlp_ratio=4.9231),
}

# OpenAI's names for its own files; the ResNets are called the same in both, so theirs are only in OPENAI_PRESETS.
OPENAI_PRESETS: dict[str, CLIPConfig] = {
    **{name: _quick(_GELU[name]) for name in ("RN50", "RN101", "RN50x4", "RN50x16", "RN50x64")},
    "ViT-B/32": _quick(_GELU["ViT-B-32"]),
    "ViT-B/16": _quick(_GELU["ViT-B-16"]),
    "ViT-L/14": _quick(_GELU["ViT-L-14"]),
    "ViT-L/14@336px": _quick(_GELU["ViT-L-14-336"]),
}

PRESETS: dict[str, CLIPConfig] = {
    **_GELU,
    **{f"{name}-quickgelu": _quick(config) for name, config in _GELU.items()},
}
