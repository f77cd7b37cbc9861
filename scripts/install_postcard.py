"""Measure a trained model on the validation sets and put it into the package, with its card.

python scripts/install_postcard.py runs/postcard-128 --after runs/postcard runs/postcard-96 --data data

The runs that it went on from are named in order; their curves are drawn as one. `data` is a folder of the sets that
configs/postcard.toml names; only their `*-val-*` and `*-test-*` files are read.

python scripts/install_postcard.py --only-look

counts how many photographs from elsewhere the model in the package names right, and needs neither run nor data.
"""

import argparse
import io
import json
import re
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from matplotlib.figure import Figure
from PIL import Image

from diptych.checkpoints.load import load_checkpoint
from diptych.checkpoints.postcard import postcard_folder
from diptych.data.config import SourceConfig
from diptych.data.open import open_source
from diptych.demo.look import Look, look
from diptych.demo.photographs import LABELS, find_photographs
from diptych.encode.torch_encoder import TorchEncoder
from diptych.evaluate.metrics import Proportion
from diptych.evaluate.retrieval import evaluate_retrieval
from diptych.evaluate.zeroshot import evaluate_zero_shot
from diptych.train.log import read_metrics
from diptych.train.plot import plot_run

LABELLED = ("cifar100", "grocery", "imagenette", "instruments", "scenes", "sports", "tiny-imagenet")
# What the pictures on the card show.
SHOWN = {
    "astronaut": "woman in uniform",
    "chelsea": "cat",
    "coffee": "cup of coffee",
    "rocket": "rocket",
    "motorcycle_left": "motorcycle",
    "coins": "coins",
    "camera": "man with a camera",
    "moon": "moon",
    "hubble_deep_field": "night sky",
    "brick": "brick wall",
}
PLACES = 3  # labels that each is shown with

NOTE = """
This is a small model for trying things out and for tests without a network. It has seen 94,000 small pictures, where a
full-size CLIP has seen hundreds of millions: use `ViT-B/32` or larger for work that matters.

The terms of its data: Flickr8k is for research, not for commerce, and so are the furniture pictures; ImageNet's and
CIFAR-100's pictures come under their own terms; the rest are web images and freely licensed sets. No picture of them is
in this repository. Their prejudices are in the model.
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, nargs="?")
    parser.add_argument("--after", type=Path, nargs="*", default=[], metavar="RUN")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--only-measure", action="store_true", help="print the measures, install nothing")
    parser.add_argument("--only-look", action="store_true", help="count what the model in the package names right")
    arguments = parser.parse_args()
    if arguments.only_look:
        print(named_right(look_at_photographs(TorchEncoder(load_checkpoint(None), device="cpu", dtype="float32"))))
        return
    if arguments.run is None or arguments.data is None:
        parser.error("give the run and --data, or --only-look")
    model = arguments.run / "model"
    encoder = TorchEncoder(load_checkpoint(model), device="cpu", dtype="float32")
    measures = measure(encoder, arguments.data)
    print(measures)
    if arguments.only_measure:
        return
    seen = look_at_photographs(encoder)
    folder = postcard_folder()
    folder.mkdir(exist_ok=True)
    for name in ("config.json", "model.safetensors"):
        shutil.copyfile(model / name, folder / name)
    stages = [*arguments.after, arguments.run]
    (folder / "curves.png").write_bytes(curves(stages))
    (folder / "pictures.jpg").write_bytes(draw(seen))
    cards = [(stage / "model" / "README.md").read_text() for stage in stages]
    (folder / "README.md").write_text(card(cards, measures, named_right(seen)))


def look_at_photographs(encoder: TorchEncoder) -> Look:
    """The photographs of the card, each with its most probable labels."""
    named = [(path.stem, path) for path in find_photographs() if path.stem in SHOWN]
    return look(encoder, named, LABELS, [], top=PLACES, on_error=print)


def named_right(seen: Look) -> str:
    """How many of the photographs have the right label first, and how many among those shown."""
    places = [
        [label.name for label in photo.labels].index(SHOWN[photo.name])
        for photo in seen.photos
        if SHOWN[photo.name] in [label.name for label in photo.labels]
    ]
    return (
        f"Of {len(seen.photos)} photographs from elsewhere, with {len(seen.labels)} labels to choose from, it names "
        f"{places.count(0)} right, and {len(places)} among its first {PLACES} labels."
    )


def measure(encoder: TorchEncoder, data: Path) -> str:
    """A Markdown table of every validation set."""
    rows = ["| set | measure | value | 95% interval |", "|---|---|---|---|"]
    accuracies = []
    for name in LABELLED:
        source = open_source(SourceConfig(path=str(data / f"{name}-val-*"), name=f"{name}-val"))
        result = evaluate_zero_shot(encoder, source)
        accuracies.append(result.top1.value)
        rows.append(row(f"{name}, {len(result.classes)} classes", "top-1", result.top1))
    rows.append(f"| mean of the {len(LABELLED)} above | top-1 | {sum(accuracies) / len(accuracies):.1%} | |")
    flickr = evaluate_retrieval(
        encoder, open_source(SourceConfig(path=str(data / "flickr8k-test-*"), name="flickr8k-test"))
    )
    for direction, recall in (("text to image", flickr.text_to_image), ("image to text", flickr.image_to_text)):
        for k, value in ((1, recall.at1), (5, recall.at5), (10, recall.at10)):
            rows.append(row(f"Flickr8k test, {direction}", f"R@{k}", value))
    return "\n".join(rows)


def row(name: str, measure: str, value: Proportion) -> str:
    low, high = value.interval
    return f"| {name} | {measure} | {value.value:.1%} | {low:.1%} to {high:.1%} |"


def curves(stages: list[Path]) -> bytes:
    """The plot of all stages, each beginning where the one before it ended."""
    rows: list[str] = []
    last = 0
    for stage in stages:
        of_stage = [{**row, "step": last + row["step"]} for row in read_metrics(stage / "metrics.jsonl")]
        rows += map(json.dumps, of_stage)
        last = of_stage[-1]["step"]
    with TemporaryDirectory() as folder:
        Path(folder, "metrics.jsonl").write_text("\n".join(rows))
        return plot_run(Path(folder))


def card(cards: list[str], measures: str, breadth: str) -> str:
    """The card that the last stage wrote, with what was measured afterwards, the stages before it and the pictures."""
    training_card = cards[-1]
    stages = [re.search(r"## Training\n\n(.*?)\n\n", each, flags=re.S) for each in cards]
    lines = "\n".join(f"{number}. {stage[1]}" for number, stage in enumerate(stages, start=1) if stage)
    training_card = re.sub(
        r"(## Training\n\n).*?\n\n", lambda found: f"{found[1]}{lines}\n\n", training_card, count=1, flags=re.S
    )
    how = (
        f"On sets that it never saw, with the default prompt, in float32:\n\n{measures}\n\n"
        "`python scripts/install_postcard.py runs/postcard-128 --only-measure --data data` makes this table.\n\n"
        f"{breadth} (`python scripts/install_postcard.py --only-look` counts them.)\n\n"
        "![Ten photographs with their three most probable labels](pictures.jpg)"
    )
    text = re.sub(
        r"## Measures\n\n.*?\n\n(?=## Limits)", lambda _: f"## Measures\n\n{how}\n\n", training_card, flags=re.S
    )
    text = re.sub(r"^# postcard\S*$", "# postcard", text, count=1, flags=re.M)
    text = re.sub(r'(--labels "dog,cat") --model \S+', r"\1", text, count=1)  # which it is without a name
    return text.replace("\n## Data\n", f"{NOTE}\n## Data\n", 1)


def draw(seen: Look) -> bytes:
    """The photographs with bars of their labels' probabilities, as a JPEG."""
    figure = Figure(figsize=(12, 6.4), layout="constrained")
    grid = figure.subplots(4, 5, height_ratios=(3, 1, 3, 1)).T.reshape(len(SHOWN), 2)
    for axes, photo in zip(grid, seen.photos, strict=True):
        axes[0].imshow(Image.open(io.BytesIO(photo.thumbnail)))
        axes[0].axis("off")
        names = [label.name for label in photo.labels]
        axes[1].barh(names, [label.probability for label in photo.labels], color="#4878a8")
        axes[1].invert_yaxis()
        axes[1].set_xlim(0, 1)
        axes[1].set_xticks([])
        axes[1].spines[:].set_visible(False)
        for place, label in enumerate(photo.labels):
            axes[1].text(label.probability + 0.02, place, f"{label.probability:.0%}", va="center", fontsize=8)
    jpeg = io.BytesIO()
    figure.savefig(jpeg, format="jpeg", dpi=90, pil_kwargs={"quality": 85})
    return jpeg.getvalue()


if __name__ == "__main__":
    main()
