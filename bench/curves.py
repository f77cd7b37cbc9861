"""The loss while a small ViT learns: open_clip's trainer, `open_clip_train.main`, and `diptych train`, side by side.

The same pairs, each once, in the trainers' own orders; the same architecture, batches, number of samples, learning
rate, warm-up, cosine, weight decay, betas, clipping and random crop; weights drawn by each with its own code, and the
paper's loss in both; each with several seeds. Pairs are those of the first set that is named with --data, every caption
of an image one pair, else drawn shapes. The mean curves are written to docs/images/loss-curves.png.
"""

import json
import random
import re
import shutil
import statistics
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

from plot import draw_curves
from processes import HALVES, run_command
from setting import HERE, Row, Setting
from shapes import draw_pairs
from shards import pairs_in, write_shards

STEPS, BATCH_SIZE, WINDOWS, SEEDS = 200, 64, 4, 3
LR, WARMUP, WEIGHT_DECAY, CLIP_NORM, PRECISION = 1e-3, 40, 0.2, 1.0, "bf16"
EMBED, HEAD_WIDTH = 192, 64
VISION = {"image_size": 48, "patch_size": 8, "width": 192, "layers": 4}
TEXT = {"context_length": 77, "vocab_size": 49_408, "width": 192, "heads": 3, "layers": 3}
PICTURE = HERE.parent / "docs" / "images" / "loss-curves.png"
ONE_THREAD = ("env", "OMP_NUM_THREADS=1")  # both at once, a core each: time is not what is compared
NAMES = {"open_clip": "open_clip", "diptych": "Diptych"}


def run(setting: Setting) -> dict[str, Any]:
    data, shards, count = _write_pairs(setting)
    steps = min(2 * WINDOWS if setting.is_quick else STEPS, count // BATCH_SIZE)
    folder = setting.work / "curves"
    shutil.rmtree(folder, ignore_errors=True)
    seeds = range(1 if setting.is_quick else SEEDS)
    trained: dict[str, list[list[float]]] = {"open_clip": [], "diptych": []}
    for seed in seeds:
        of_seed = folder / str(seed)
        of_seed.mkdir(parents=True)
        with ThreadPoolExecutor() as pool:
            theirs = pool.submit(_train_open_clip, setting.open_clip, of_seed, shards, steps, seed)
            ours = pool.submit(_train_diptych, setting.python, of_seed, shards, steps, seed)
        trained["open_clip"].append(theirs.result())
        trained["diptych"].append(ours.result())
    assert all(len(losses) == steps for of_seeds in trained.values() for losses in of_seeds)
    curves = {NAMES[name]: _mean_curve(of_seeds) for name, of_seeds in trained.items()}
    title = f"{data}: a ViT of {VISION['image_size']} pixels, batches of {BATCH_SIZE}"
    draw_curves(folder / "curves.png" if setting.is_quick else PICTURE, curves, BATCH_SIZE, title)
    return {"data": data, "pairs": count, "steps": steps, "batch_size": BATCH_SIZE, "trained": trained}


def rows(result: dict[str, Any]) -> list[Row]:
    steps, batch_size, losses = result["steps"], result["batch_size"], result["trained"]
    bounds = [round(steps * i / WINDOWS) for i in range(WINDOWS + 1)]
    lines = []
    for first, end in pairwise(bounds):
        what = f"{result['data']}: mean loss from {first * batch_size:,} to {end * batch_size:,} samples"
        means = {name: [_mean(found[first:end]) for found in of_seeds] for name, of_seeds in losses.items()}
        differences = [ours[0] - theirs[0] for ours, theirs in zip(means["diptych"], means["open_clip"], strict=True)]
        difference = statistics.fmean(differences)
        # The batches differ, so two equal trainers' means do: by this much or less in 19 of 20 windows.
        noise = 2 * sum(error**2 for found in means.values() for _, error in found) ** 0.5 / len(differences)
        said = [f"{statistics.fmean(mean for mean, _ in means[name]):.3f}" for name in ("diptych", "open_clip")]
        aim, reached = f"<= {noise:.3f} (noise)", _reached(difference, differences)
        lines.append(
            Row(what=what, diptych=said[0], peer=said[1], reached=reached, aim=aim, is_met=difference <= noise)
        )
    return lines


def _reached(difference: float, differences: list[float]) -> str:
    return f"{difference:+.3f}, by seed " + ", ".join(f"{each:+.3f}" for each in differences)


def _mean_curve(of_seeds: list[list[float]]) -> list[float]:
    return [statistics.fmean(step) for step in zip(*of_seeds, strict=True)]


def _mean(losses: list[float]) -> tuple[float, float]:
    """Mean and its standard error."""
    return statistics.fmean(losses), statistics.stdev(losses) / len(losses) ** 0.5


def _train_open_clip(python: str, folder: Path, shards: list[str], steps: int, seed: int) -> list[float]:
    model = folder / "small-vit.json"
    vision = {**VISION, "head_width": HEAD_WIDTH}
    model.write_text(json.dumps({"embed_dim": EMBED, "vision_cfg": vision, "text_cfg": TEXT}))
    options = {
        "model": model.stem,
        "train-data": "::".join(shards),
        "dataset-type": "webdataset",
        "train-num-samples": steps * BATCH_SIZE,
        "batch-size": BATCH_SIZE,
        "epochs": 1,
        "workers": 1,
        "lr": LR,
        "warmup": WARMUP,
        "wd": WEIGHT_DECAY,
        "beta1": 0.9,
        "beta2": 0.98,
        "eps": 1e-6,
        "grad-clip-norm": CLIP_NORM,
        "precision": {"bf16": "amp_bf16"}[PRECISION],
        "log-every-n-steps": 1,
        "save-frequency": 0,
        "seed": seed,
        "logs": folder,
        "name": "open_clip",
    }
    arguments = [str(part) for name, value in options.items() for part in (f"--{name}", value)]
    run_command(*ONE_THREAD, python, HALVES / "open_clip_training.py", model, *arguments)
    log = (folder / "open_clip" / "out.log").read_text()
    return [float(loss) for loss in re.findall(r"Train Epoch.* Loss: ([\d.]+)", log)]


def _train_diptych(python: str, folder: Path, shards: list[str], steps: int, seed: int) -> list[float]:
    config = folder / "small-vit.toml"
    config.write_text(_toml(folder / "diptych", shards, steps, seed))
    run_command(*ONE_THREAD, python, "-m", "diptych", "train", config)
    rows = map(json.loads, (folder / "diptych" / "metrics.jsonl").read_text().splitlines())
    return [row["loss"] for row in rows if "loss" in row]


def _toml(run: Path, shards: list[str], steps: int, seed: int) -> str:
    side, heads = VISION["image_size"], VISION["width"] // HEAD_WIDTH
    vision = f"{{ image_size = [{side}, {side}], patch_size = {VISION['patch_size']}, width = {VISION['width']}, "
    vision += f"layers = {VISION['layers']}, heads = {heads} }}"
    text = "{ " + ", ".join(f"{name} = {value}" for name, value in TEXT.items()) + " }"
    return f"""run = {json.dumps(str(run))}
seed = {seed}
log_every_steps = 1
[model.config]
embed_dim = {EMBED}
vision = {vision}
text = {text}
[optimiser]
lr = {LR}
warmup_steps = {WARMUP}
weight_decay = {WEIGHT_DECAY}
clip_norm = {CLIP_NORM}
[train]
batch_size = {BATCH_SIZE}
steps = {steps}
precision = "{PRECISION}"
share_positives = false
[data]
workers = 1
[[data.sources]]
name = "pairs"
path = {json.dumps(shards)}
"""


def _write_pairs(setting: Setting) -> tuple[str, list[str], int]:
    """What the pairs are, the paths of their shards, and how many there are: as many as are learned from, at most."""
    most = STEPS * BATCH_SIZE
    if setting.data:
        name = Path(setting.data[0]).name
        pairs = [(image, text) for image, texts in pairs_in(setting.data[0]) for text in texts]
        random.Random(0).shuffle(pairs)
    else:
        name, pairs = "drawn shapes", list(draw_pairs(most))
    return (name, *write_shards(setting.work / "shards" / "curves", pairs[:most]))
