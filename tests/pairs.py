"""A small set of pairs on disk, and the config of a run on it that takes seconds."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from diptych.settings import from_dict
from diptych.train.config import RunConfig

COLOURS = {"red": (220, 30, 30), "green": (30, 190, 60), "blue": (40, 60, 220), "yellow": (230, 220, 40)}
SHAPES = ("square", "stripe", "frame")

VIT = {
    "embed_dim": 32,
    "vision": {"image_size": (32, 32), "patch_size": 8, "width": 32, "layers": 2, "heads": 2},
    "text": {"width": 32, "layers": 2, "heads": 2},
}
RESNET = {
    "embed_dim": 32,
    "vision": {"image_size": (32, 32), "layers": (1, 1, 1, 1), "width": 8, "heads": 4},
    "text": {"width": 32, "layers": 2, "heads": 2},
}


def write_pairs(folder: Path, count: int = 48) -> Path:
    """Noisy coloured shapes with captions of several lengths, as images beside a captions.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    lines = ["filename,caption"]
    for i in range(count):
        colour, shape = list(COLOURS)[i % 4], SHAPES[(i // 4) % 3]
        pixels = random.integers(0, 60, (40, 48, 3))
        rows = {"square": slice(10, 30), "stripe": slice(15, 22), "frame": slice(4, 36)}[shape]
        columns = {"square": slice(14, 34), "stripe": slice(0, 48), "frame": slice(6, 42)}[shape]
        pixels[rows, columns] = COLOURS[colour]
        if shape == "frame":
            pixels[10:30, 12:36] = 20
        Image.fromarray(pixels.astype(np.uint8)).save(folder / f"{i:03d}.png")
        where = " in the middle of a dark and noisy room" if i % 5 == 0 else ""
        lines.append(f"{i:03d}.png,a {colour} {shape}{where} number {i}")
    table = folder / "captions.csv"
    table.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return table


def settings(table: Path, run: Path, **changes: object) -> dict[str, Any]:
    """A run of ten steps as plain data; `changes` are tables merged into it, or values."""
    data: dict[str, Any] = {
        "run": str(run),
        "seed": 1,
        "device": "cpu",
        "model": {"config": VIT},
        "data": {"sources": [{"path": str(table), "name": "shapes"}], "workers": 0},
        "optimiser": {"lr": 1e-3, "warmup_steps": 2},
        "train": {"batch_size": 12, "steps": 10, "precision": "fp32"},
        "save": {"every_steps": 4},
        "log_every_steps": 2,
    }
    for name, change in changes.items():
        data[name] = {**data[name], **change} if isinstance(change, Mapping) and name in data else change
    return data


def run_config(table: Path, run: Path, **changes: object) -> RunConfig:
    """The same as a RunConfig."""
    return from_dict(RunConfig, settings(table, run, **changes), where="the test")
