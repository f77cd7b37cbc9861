"""What many tests share: small models on disk and loaded, and a cache folder of the tests' own."""

import os
import signal
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

# Before torch is imported: several test processes, each on all cores, would wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

# A shell starts what runs in its background deaf to Ctrl-C, and so would be the commands that the tests interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
from hypothesis import HealthCheck, settings
from PIL import Image

import diptych
import formats
import seeded
from chromium import find_chromium
from diptych import DualEncoder
from served_page import HAS_CURL

# Time is held against no example: a busy machine is no fault. On CI hypothesis has the same by itself.
settings.register_profile("unhurried", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("unhurried")

collect_ignore = ["serve/browser"] if find_spec("playwright") is None else []


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what needs a program that is not there."""
    missing = [name for name, is_there in (("browser", find_chromium()), ("curl", HAS_CURL)) if not is_there]
    if left_out := [item for item in items if any(map(item.get_closest_marker, missing))]:
        items[:] = [item for item in items if item not in left_out]
        config.hook.pytest_deselected(items=left_out)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say so: nobody should think that these have passed."""
    if find_chromium() is None:
        terminalreporter.write_line(
            "The tests of the web page are left out: they need Playwright's Python package and Chromium "
            "(Debian's chromium package, or its program's path in DIPTYCH_CHROMIUM)."
        )
    if not HAS_CURL:
        terminalreporter.write_line("The docs' examples with curl are left out: it is not installed.")


@pytest.fixture(scope="session", autouse=True)
def _own_cache(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("DIPTYCH_CACHE", str(tmp_path_factory.mktemp("cache")))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.delenv("DIPTYCH_MODEL", raising=False)
        yield


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small ViT model in OpenCLIP's format."""
    return formats.write_open_clip("vit", tmp_path_factory.mktemp("model"))


@pytest.fixture(scope="session")
def encoder(model_folder: Path) -> DualEncoder:
    """That model in float32."""
    return diptych.load(model_folder, dtype="float32", device="cpu")


@pytest.fixture(scope="session")
def photos(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """Twenty different JPEG files of several shapes."""
    folder = tmp_path_factory.mktemp("photos")
    paths = [folder / f"{i:02d}.jpg" for i in range(20)]
    for i, path in enumerate(paths):
        Image.fromarray(seeded.seeded_image(60 + 7 * i, 150 - 4 * i, seed=i)).save(path, quality=92)
    return paths
