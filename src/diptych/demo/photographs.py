"""Real photographs that the wheels of two packages carry; neither package is imported, nothing is fetched."""

from importlib.util import find_spec
from pathlib import Path

from diptych.errors import needs_extra

# scikit-image has drawings and measurements too; these are what a camera or a telescope saw.
_PHOTOGRAPHS = {
    "skimage": (
        "scikit-image",
        "data",
        (
            *("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "motorcycle_left.png", "coins.png"),
            *("camera.png", "moon.png", "hubble_deep_field.jpg", "brick.png", "grass.png", "gravel.png", "page.png"),
        ),
    ),
    "sklearn": ("scikit-learn", "datasets/images", ("china.jpg", "flower.jpg")),
}

# What they show, and what they do not.
LABELS = (
    *("woman in uniform", "cat", "cup of coffee", "rocket", "motorcycle", "coins", "man with a camera", "moon"),
    *("night sky", "brick wall", "grass", "gravel", "page of a book", "temple", "flower"),
    *("dog", "bird", "horse", "bicycle", "airplane", "boat", "beach", "mountain", "bridge", "chair"),
)
SEARCHES = (
    *("a woman smiling", "a cat looking at the camera", "stars in the night sky", "a red motorcycle"),
    *("a man taking a picture", "an orange flower"),
)


def find_photographs() -> list[Path]:
    """The files, in the order in which they are shown; DiptychError where the demo extra is not installed."""
    files = []
    for module, (package, folder, names) in _PHOTOGRAPHS.items():
        spec = find_spec(module)
        if spec is None or not spec.submodule_search_locations:
            raise needs_extra("The demo without photos of your own", package, "demo")
        files += [Path(spec.submodule_search_locations[0]) / folder / name for name in names]
    return [file for file in files if file.is_file()]  # another version may carry fewer
