"""Diptych: two panels, one hinge. An image tower, a text tower, one shared space (CLIP, Radford et al. 2021)."""

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from diptych.api import DualEncoder, load
    from diptych.errors import CheckpointError, DiptychError, FetchError, ImageError, TextTooLongError
    from diptych.images import open_image
    from diptych.library.library import PhotoLibrary
    from diptych.library.search import Hit
    from diptych.model.config import CLIPConfig, ResNetConfig, TextConfig, ViTConfig
    from diptych.zeroshot import Label, ZeroShotClassifier

# Where each public name lives. They are imported on first use, so that `import diptych` costs nothing.
_PUBLIC = {
    "load": "diptych.api",
    "DualEncoder": "diptych.api",
    "ZeroShotClassifier": "diptych.zeroshot",
    "CLIPConfig": "diptych.model.config",
    "ViTConfig": "diptych.model.config",
    "ResNetConfig": "diptych.model.config",
    "TextConfig": "diptych.model.config",
    "open_image": "diptych.images",
    "PhotoLibrary": "diptych.library.library",
    "Hit": "diptych.library.search",
    "Label": "diptych.zeroshot",
    "DiptychError": "diptych.errors",
    "CheckpointError": "diptych.errors",
    "ImageError": "diptych.errors",
    "TextTooLongError": "diptych.errors",
    "FetchError": "diptych.errors",
}

__all__ = [
    "CLIPConfig",
    "CheckpointError",
    "DiptychError",
    "DualEncoder",
    "FetchError",
    "Hit",
    "ImageError",
    "Label",
    "PhotoLibrary",
    "ResNetConfig",
    "TextConfig",
    "TextTooLongError",
    "ViTConfig",
    "ZeroShotClassifier",
    "__version__",
    "load",
    "open_image",
]


def __getattr__(name: str) -> Any:  # noqa: ANN401 (the type depends on the name; checkers read the block above)
    if name not in _PUBLIC:
        raise AttributeError(f"module 'diptych' has no attribute {name!r}; it has {', '.join(__all__)}")
    from importlib import import_module

    value = getattr(import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
