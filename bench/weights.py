"""The weights that everything here computes with: a ViT-B/32 with QuickGELU, drawn from a seed, in every format.

    python bench/weights.py FOLDER

Published weights are not at hand on every machine, and speed does not depend on them. The draw is that of the parity
tests: activations keep a trained model's size, and images and texts stay apart.
"""

import sys
from pathlib import Path

import torch

from diptych.checkpoints import Checkpoint, save_checkpoint
from diptych.checkpoints.openai import from_openai
from diptych.checkpoints.save import FORMATS
from diptych.model.presets import OPENAI_PRESETS
from diptych.preprocess import Preprocess

sys.path.append(str(Path(__file__).parents[1] / "tests"))
from seeded import Family, Tower, openai_shapes, seeded_tensors

VIT_B_32 = Family(
    embed_dim=512,
    image_size=224,
    patch_size=32,
    vision=Tower(width=768, layers=12, heads=12, hidden=3072),
    text=Tower(width=512, layers=12, heads=8, hidden=2048),
)


def main() -> None:
    folder = Path(sys.argv[1])
    if all((folder / name).exists() for name in FORMATS):
        return
    drawn = {name: torch.from_numpy(tensor) for name, tensor in seeded_tensors(openai_shapes(VIT_B_32)).items()}
    checkpoint = Checkpoint(
        config=OPENAI_PRESETS["ViT-B/32"],
        tensors=from_openai(drawn, "the seeded weights"),
        preprocess=Preprocess(),
        source="seeded",
        format="openai",
    )
    folder.mkdir(parents=True, exist_ok=True)
    for name in FORMATS:
        save_checkpoint(checkpoint, folder / name, name, overwrite=True)


if __name__ == "__main__":
    main()
