"""What image towers learn at equal cost: the table of docs/postcard.md.

OMP_NUM_THREADS=1 python scripts/compare_architectures.py --seconds 100

Each run is configs/postcard.toml but for its image tower and its length: as many steps as the tower takes in the given
seconds on one core, by its rate after some steps. What has been made is not made again. The sets are in the folder
`data`, as for that config.
"""

import argparse
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from diptych.checkpoints import load_checkpoint
from diptych.data.config import SourceConfig
from diptych.data.open import open_source
from diptych.encode.torch_encoder import TorchEncoder
from diptych.evaluate.retrieval import evaluate_retrieval
from diptych.evaluate.zeroshot import evaluate_zero_shot
from diptych.model.shapes import parameter_count, tensor_shapes
from diptych.settings import from_dict
from diptych.train.config import ModelConfig, RunConfig, read_config
from diptych.train.log import read_metrics
from diptych.train.loop import train

CONFIG = Path(__file__).parents[1] / "configs" / "postcard.toml"
LABELLED = ("cifar100", "grocery", "imagenette", "instruments", "scenes", "sports", "tiny-imagenet")
TEXT = {"width": 192, "layers": 3, "heads": 3}
TOWERS: dict[str, dict[str, Any]] = {
    "ResNet (2, 2, 2, 2), width 32, 64 px": {"image_size": (64, 64), "layers": (2, 2, 2, 2), "width": 32, "heads": 8},
    "ResNet (2, 2, 2, 2), width 32, 96 px": {"image_size": (96, 96), "layers": (2, 2, 2, 2), "width": 32, "heads": 8},
    "ResNet (2, 2, 2, 2), width 48, 64 px": {"image_size": (64, 64), "layers": (2, 2, 2, 2), "width": 48, "heads": 12},
    "ViT, width 192, 6 layers, patches of 8, 64 px": {
        **{"image_size": (64, 64), "patch_size": 8, "width": 192, "layers": 6, "heads": 3},
    },
}
BATCH, LR, FIRST_STEPS = 128, 5e-4, 30
MEASURED = 400  # pictures of each set: differences of two points are none


@dataclass(frozen=True, kw_only=True)
class Row:
    """One tower's line of the table; `accuracy` is the mean top-1 over the labelled sets."""

    tower: str
    parameters: int
    pairs: int
    seconds: float
    recall: float
    tiny_imagenet: float
    accuracy: float

    def __str__(self) -> str:
        counts = f"{self.parameters / 1e6:.1f} M | {self.pairs:,} | {self.seconds:.0f}"
        return f"| {self.tower} | {counts} | {self.recall:.1%} | {self.tiny_imagenet:.1%} | {self.accuracy:.1%} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=100)
    parser.add_argument("--at-once", type=int, default=2, help="processes, each on a core")
    parser.add_argument("--runs", type=Path, default=Path("runs/architectures"))
    arguments = parser.parse_args()
    make = partial(made, seconds=arguments.seconds, runs=arguments.runs)
    print("| image tower | parameters | pairs seen | seconds | Flickr8k val R@10 | tiny-imagenet | mean of 7 sets |")
    print("|---|---|---|---|---|---|---|")
    with ProcessPoolExecutor(arguments.at_once, mp_context=get_context("spawn")) as pool:
        for row in pool.map(make, TOWERS):
            print(row, flush=True)


def made(tower: str, *, seconds: float, runs: Path) -> Row:
    """Train one tower, or find it trained, and measure it."""
    config = config_of(tower, runs)
    if not (config.run / "model").exists():
        first = replace(config, run=config.run.with_name(f"{config.run.name}-first"))
        train(replace(first, train=replace(config.train, steps=FIRST_STEPS), log_every_steps=FIRST_STEPS // 2))
        rate = read_metrics(first.run / "metrics.jsonl")[-1]["pairs_per_second"]  # of the second half
        train(replace(config, train=replace(config.train, steps=round(seconds * rate / BATCH))))
    rows = read_metrics(config.run / "metrics.jsonl")
    steps, took = rows[-1]["step"], rows[-1]["seconds"]
    checkpoint = load_checkpoint(config.run / "model")
    encoder = TorchEncoder(checkpoint, device="cpu", dtype="float32", preprocess="fast")
    sources = {name: SourceConfig(path=f"data/{name}-val-*", name=name) for name in (*LABELLED, "flickr8k")}
    accuracies = {
        name: evaluate_zero_shot(encoder, open_source(sources[name]), limit=MEASURED).top1.value for name in LABELLED
    }
    return Row(
        tower=tower,
        parameters=parameter_count(tensor_shapes(checkpoint.config)),
        pairs=steps * BATCH,
        seconds=took,
        recall=evaluate_retrieval(encoder, open_source(sources["flickr8k"])).text_to_image.at10.value,
        tiny_imagenet=accuracies["tiny-imagenet"],
        accuracy=sum(accuracies.values()) / len(accuracies),
    )


def config_of(tower: str, runs: Path) -> RunConfig:
    """configs/postcard.toml with another image tower, and what a run of minutes wants."""
    name = "".join(letter if letter.isalnum() else "-" for letter in tower)
    values = (f"run={runs / name}", f"train.batch_size={BATCH}", f"optimiser.lr={LR}", "optimiser.warmup_steps=20")
    config = read_config(CONFIG, [*values, "train.ema_decay=0.99", "evaluate=[]"])
    model = {"config": {"embed_dim": 256, "vision": TOWERS[tower], "text": TEXT}}
    return replace(config, model=from_dict(ModelConfig, model, where=tower))


if __name__ == "__main__":
    main()
