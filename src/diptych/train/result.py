"""What a run leaves behind: a model folder that loads anywhere, with a card that says where it comes from."""

from dataclasses import replace
from pathlib import Path

import torch

from diptych.checkpoints.save import save_checkpoint
from diptych.train.card import write_card
from diptych.train.log import read_metrics
from diptych.train.plot import plot_run
from diptych.train.setup import Run

_DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16}


def write_result(run: Run) -> Path:
    """The folder RUN/model: weights, config, README.md as its card, curves.png."""
    config = run.config
    checkpoint = run.checkpoint()
    dtype = _DTYPES[config.save.model_dtype]
    stored = {
        name: tensor.to(dtype) if tensor.is_floating_point() else tensor for name, tensor in checkpoint.tensors.items()
    }
    card = write_card(run, read_metrics(config.run / "metrics.jsonl"))
    documents = {"README.md": card.encode(), "curves.png": plot_run(config.run)}
    folder = config.run / "model"
    save_checkpoint(replace(checkpoint, tensors=stored), folder, overwrite=True, documents=documents)
    return folder
