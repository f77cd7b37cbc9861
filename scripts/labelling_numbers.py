"""What labelling and the sample policy say of Flickr8k's test photos: the tables of docs/label.md and docs/moderate.md.

    python scripts/labelling_numbers.py --data data

The data folder holds flickr8k-test-000.tar; its 1,000 photos are written to a temporary folder and indexed there.
"""

import argparse
import re
import tempfile
from pathlib import Path

from diptych import PhotoLibrary
from diptych.data.config import SourceConfig
from diptych.data.open import open_source
from diptych.library.labelling import LabelRule
from diptych.library.policy import read_policy, read_sample_policy

LABELS = ["dog", "person", "car", "cat"]
NONE_FROM = (0.5, 0.7, 0.9, 2.0)
THRESHOLDS = (0.5, 0.6, 0.7, 0.8)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--model", default=None)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as work:
        photos = Path(work) / "photos"
        dogs = write_photos(arguments.data / "flickr8k-test-000.tar", photos)
        with PhotoLibrary.open(Path(work) / "library", model=arguments.model, create_missing=True) as library:
            library.index(photos)
            print(f"{library.count():,} photos, {len(dogs)} with a dog in a caption; labels {', '.join(LABELS)}")
            print_labels(library, dogs)
            print_policy(library, Path(work))


def write_photos(tar: Path, folder: Path) -> set[str]:
    """The photos as files; the names of those with a dog in a caption."""
    folder.mkdir()
    dogs = set()
    source = open_source(SourceConfig(path=str(tar), name="test"))
    for index in range(len(source)):
        sample = source.read(index)
        name = f"{source.key(index)}.webp"
        (folder / name).write_bytes(sample.image)
        if any(re.search(r"\bdogs?\b", caption, re.IGNORECASE) for caption in sample.texts.captions):
            dogs.add(name)
    return dogs


def print_labels(library: PhotoLibrary, dogs: set[str]) -> None:
    print("\n| `--none-from` | labelled dog | of these right | photos with no label |\n|---|---|---|---|")
    for none_from in NONE_FROM:
        rows = list(library.label(LABELS, rule=LabelRule(none_from=none_from)))
        named = [Path(row.source).name for row in rows if row.label == "dog"]
        right, none = sum(name in dogs for name in named), sum(row.label is None for row in rows)
        print(f"| {none_from:g} | {len(named)} | {right} ({right / len(named):.0%}) | {none} |")


def print_policy(library: PhotoLibrary, work: Path) -> None:
    policy = work / "policy.toml"
    policy.write_text(read_sample_policy(), encoding="utf-8")
    probabilities: dict[str, list[float]] = {}
    for row in library.moderate(read_policy(policy)):
        for reason in row.reasons:
            probabilities.setdefault(reason.category.name, []).append(reason.probability)
    print(f"\n| category | {' | '.join(map(str, THRESHOLDS))} |\n|---|{'---|' * len(THRESHOLDS)}")
    for name, values in probabilities.items():
        print(f"| {name} | {' | '.join(str(sum(value >= each for value in values)) for each in THRESHOLDS)} |")


if __name__ == "__main__":
    main()
