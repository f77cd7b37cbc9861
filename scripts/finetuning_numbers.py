"""The numbers of docs/finetuning.md: what each way of fine-tuning learns, and what it forgets.

python scripts/finetuning_numbers.py --data data

The target is scikit-learn's handwritten digits, a fifth of them held out, or with `--target grocery` a set of `data`,
the folder of the sets that configs/postcard.toml names. What is forgotten is measured on the validation sets of all
others. Each run is configs/finetune.toml but for its line in RUNS. What has been made is not made again.
"""

import argparse
import json
import sys
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from sklearn.datasets import load_digits

from diptych.checkpoints import Checkpoint, load_checkpoint
from diptych.data.config import SourceConfig
from diptych.data.open import open_source
from diptych.encode.torch_encoder import TorchEncoder
from diptych.evaluate.retrieval import evaluate_retrieval
from diptych.evaluate.zeroshot import evaluate_zero_shot
from diptych.files import atomic_write
from diptych.train.config import read_config
from diptych.train.loop import train

LABELLED = ("cifar100", "grocery", "imagenette", "instruments", "scenes", "sports", "tiny-imagenet")
CONFIGS = Path(__file__).parents[1] / "configs"
RECIPE, PRETRAINING = CONFIGS / "finetune.toml", CONFIGS / "postcard.toml"
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")

# What a run is called in the table, and what it changes of the recipe.
PLAIN = ("optimiser.weight_decay=0.1", "optimiser.decay_to_start=0")
UNLOCKED = "model.lock_batch_norms=false"
RUNS: dict[str, tuple[str, ...]] = {
    "rate 5e-4, nothing locked": (*PLAIN, UNLOCKED, "optimiser.lr=5e-4"),
    "rate 5e-5, nothing locked": (*PLAIN, UNLOCKED, "optimiser.lr=5e-5"),
    "rate 5e-5": (*PLAIN, "optimiser.lr=5e-5"),
    "rate 5e-5, decay to the start": (
        "optimiser.lr=5e-5",
        "optimiser.weight_decay=0",
        "optimiser.decay_to_start=1000",
    ),
    "rate 5e-5, text tower locked": (*PLAIN, "optimiser.lr=5e-5", 'model.locked=["text.*"]'),
    "rate 5e-4, image tower locked": (*PLAIN, "optimiser.lr=5e-4", 'model.locked=["visual.*"]'),
    "rate 5e-5, three quarters of the pairs old, four times as many": (
        *PLAIN,
        "optimiser.lr=5e-5",
        "train.steps=480",
    ),
}
OLD = {"rate 5e-5, three quarters of the pairs old, four times as many": 0.75}  # shares of old pairs
# Shares of the start in the averages of these.
AVERAGED = dict.fromkeys(("rate 5e-5", *OLD), (0.3, 0.5))


@dataclass(frozen=True, kw_only=True)
class Target:
    """What is learnt: a `[[data.sources]]` of training pairs, and the pairs held out."""

    train: dict[str, Any]
    held_out: SourceConfig


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--start", default="postcard")
    parser.add_argument("--target", default="digits", choices=("digits", *LABELLED))
    parser.add_argument("--runs", type=Path, default=Path("runs/finetuning"))
    parser.add_argument("--limit", type=int, default=300, help="samples of each set that is not to be forgotten")
    parser.add_argument("--steps", type=int, help="instead of the recipe's")
    arguments = parser.parse_args()
    start = load_checkpoint(arguments.start)
    folder = arguments.runs / f"{arguments.target}-{TorchEncoder(start).fingerprint[:8]}"
    target = make_target(arguments.target, arguments.data, folder)
    measures = Measures(folder / "measures.json", target.held_out, forgettable(arguments), arguments.limit)
    measures.take("the start", start)
    print_row("the start", measures.rows["the start"], header=True)
    for name, changes in RUNS.items():
        steps = (f"train.steps={arguments.steps}",) if arguments.steps else ()
        sources = mixed(target, arguments.data, OLD[name]) if name in OLD else [target.train]
        tuned = fine_tuned(
            folder / name.replace(",", "").replace(" ", "-"), arguments.start, sources, (*changes, *steps)
        )
        measures.take(name, tuned)
        print_row(name, measures.rows[name])
        for share in AVERAGED.get(name, ()):
            row = f"{name}; averaged with {share:.0%} of the start"
            measures.take(row, averaged(tuned, start, share))
            print_row(row, measures.rows[row])


def make_target(name: str, data: Path, folder: Path) -> Target:
    """The digits written as a folder a class, or a set of `data`."""
    if name != "digits":
        held_out = SourceConfig(path=str(data / f"{name}-val-*"), name=name)
        return Target(train={"path": str(data / f"{name}-train-*"), "name": name}, held_out=held_out)
    root = folder / "digits"
    if not root.exists():
        write_digits(root)
    return Target(
        train={"path": str(root / "train"), "name": name, "templates": "mnist"},
        held_out=SourceConfig(path=str(root / "test"), name=name, templates="mnist"),
    )


def write_digits(root: Path) -> None:
    """1,797 digits of 8 x 8 pixels as PNGs, every fifth of them held out."""
    digits = load_digits()
    for number, (pixels, label) in enumerate(zip(digits.images, digits.target, strict=True)):
        folder = root / ("train" if number % 5 else "test") / DIGITS[label]
        folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray((pixels * 255 / 16).astype(np.uint8)).save(folder / f"{number:04}.png")


def forgettable(arguments: argparse.Namespace) -> list[SourceConfig]:
    """The validation sets of the others, and Flickr8k's last."""
    names = [name for name in LABELLED if name != arguments.target]
    return [SourceConfig(path=str(arguments.data / f"{name}-val-*"), name=name) for name in [*names, "flickr8k"]]


class Measures:
    """Shares from 0 to 1 by row and set, kept in a file."""

    def __init__(self, path: Path, target: SourceConfig, others: list[SourceConfig], limit: int) -> None:
        self.path, self.target, self.others, self.limit = path, target, others, limit
        self.rows: dict[str, dict[str, float]] = json.loads(path.read_text()) if path.exists() else {}

    def take(self, row: str, checkpoint: Checkpoint) -> None:
        """Measure a model, unless this row has been."""
        if row in self.rows:
            return
        encoder = TorchEncoder(checkpoint, device="cpu", dtype="float32", preprocess="fast")
        result = evaluate_zero_shot(encoder, open_source(self.target), templates=self.target.templates)
        numbers = {"target": result.top1.value}
        for config in self.others:
            source = open_source(config)
            if config.name == "flickr8k":
                found = evaluate_retrieval(encoder, source, limit=self.limit)
                numbers[config.name] = found.text_to_image.at10.value
            else:
                numbers[config.name] = evaluate_zero_shot(encoder, source, limit=self.limit).top1.value
        self.rows[row] = numbers
        self.path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(self.path) as temporary:
            temporary.write_text(json.dumps(self.rows, indent=1))


def mixed(target: Target, data: Path, share: float) -> list[dict[str, Any]]:
    """The target's pairs, and `share` of what the start has learnt from, in its own mixture."""
    known = tomllib.loads(PRETRAINING.read_text())["data"]["sources"]
    known = [source for source in known if source["name"] != target.train["name"]]
    part = share / sum(source["weight"] for source in known)
    old = [
        {**source, "path": str(data / Path(source["path"]).name), "weight": part * source["weight"]} for source in known
    ]
    return [{**target.train, "weight": 1 - share}, *old]


def fine_tuned(run: Path, start: str, sources: list[dict[str, Any]], changes: tuple[str, ...]) -> Checkpoint:
    """The model of a run before any averaging, trained now or before; a run that was stopped goes on."""
    settings: Mapping[str, Any] = {
        "run": str(run),
        "model.start": start,
        "data.sources": sources,
        "data.workers": 0,
        "evaluate": [],
        "train.average_with_start": 0.0,
    }
    overrides = [f"{key}={toml(value)}" for key, value in settings.items()]
    if not (run / "model").exists():
        train(read_config(RECIPE, [*overrides, *changes]), resume=True)
    return load_checkpoint(run / "model")


def toml(value: object) -> str:
    """A value as TOML, whose strings, numbers and lists are JSON's."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {toml(each)}" for key, each in value.items()) + "}"
    return "[" + ", ".join(map(toml, value)) + "]" if isinstance(value, list) else json.dumps(value)


def averaged(tuned: Checkpoint, start: Checkpoint, share: float) -> Checkpoint:
    """What `train.average_with_start` = share makes of a run (Wortsman et al. 2022)."""
    tensors = {
        name: tensor.float().lerp(start.tensors[name].float(), share) if tensor.is_floating_point() else tensor
        for name, tensor in tuned.tensors.items()
    }
    return replace(tuned, tensors=tensors)


def print_row(name: str, numbers: dict[str, float], *, header: bool = False) -> None:
    if header:
        print("| how | target | mean of the other sets | Flickr8k R@10 |\n|---|---|---|---|")
    others = [value for key, value in numbers.items() if key not in ("target", "flickr8k")]
    mean = sum(others) / len(others)
    print(f"| {name} | {numbers['target']:.1%} | {mean:.1%} | {numbers['flickr8k']:.1%} |")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
