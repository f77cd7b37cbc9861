"""Weights in our own folder are mapped: what is not used yet takes no memory, and nothing is held twice."""

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from diptych.checkpoints import Checkpoint, save_checkpoint
from diptych.model.config import CLIPConfig, TextConfig, ViTConfig
from diptych.model.shapes import tensor_shapes
from diptych.preprocess import Preprocess

# ViT-B/32 with a third of its image tower: its text embeddings are the largest of its tensors.
CONFIG = CLIPConfig(
    embed_dim=512,
    vision=ViTConfig(image_size=(224, 224), patch_size=32, width=768, layers=4, heads=12),
    text=TextConfig(width=512, layers=6, heads=8),
)
MEGABYTE = 1_000_000

# The most memory that the process has had, in bytes. Linux counts in its ru_maxrss what the parent had when it forked.
PEAK = """
import resource, sys
from pathlib import Path
def peak():
    status = Path("/proc/self/status")
    if status.exists():
        return int(next(line for line in status.read_text().splitlines() if "VmHWM" in line).split()[1]) * 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)
"""
IMPORT = "import torch, diptych, diptych.encode.torch_encoder, diptych.api"
LOAD = f"{IMPORT}\nencoder = diptych.load(sys.argv[1], dtype='float32', device='cpu')"
USE = f"{LOAD}\nimport numpy\nencoder.encode_texts(['a dog'])"
USE += "\nencoder.encode_images([numpy.zeros((224, 224, 3), numpy.uint8)])"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("large") / "model"
    tensors = {name: torch.full(shape, 0.01) for name, shape in tensor_shapes(CONFIG).items()}
    checkpoint = Checkpoint(config=CONFIG, tensors=tensors, preprocess=Preprocess(), source="made", format="diptych")
    save_checkpoint(checkpoint, folder)
    yield folder
    shutil.rmtree(folder)


def peak_bytes(script: str, folder: Path) -> int:
    command = [sys.executable, "-c", f"{PEAK}{script}\nprint(peak())", str(folder)]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def test_loading_maps_and_using_holds_the_weights_once(folder: Path) -> None:
    file_bytes = (folder / "model.safetensors").stat().st_size
    assert file_bytes > 250 * MEGABYTE
    imported, loaded, used = (peak_bytes(script, folder) for script in (IMPORT, LOAD, USE))
    assert loaded - imported < file_bytes / 2  # mapped: a copy would be as large as the file
    assert used - imported < file_bytes + 150 * MEGABYTE
