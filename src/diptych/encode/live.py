"""A model in training as an Encoder, so that it can be measured between two steps."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from diptych.checkpoints import Checkpoint
from diptych.encode.devices import DType
from diptych.encode.torch_encoder import TorchEncoder
from diptych.model.clip import CLIP
from diptych.preprocess import Preprocess


@contextmanager
def live_encoder(
    model: CLIP, preprocess: Preprocess, *, tokenizer: Path | None = None, dtype: DType = "auto"
) -> Iterator[TorchEncoder]:
    """An Encoder that computes with the float32 weights of `model` where they are; none is copied.

    Until the block ends the model is in evaluation mode (batch norm uses its running averages, nothing is dropped);
    then every module is in the mode it was in before. A `dtype` other than float32 computes under autocast, as
    training does. Gradients, random states and torch's number of threads stay as they are.
    """
    products = model.text.text_projection
    if products.dtype != torch.float32:
        raise ValueError(f"A model in training has float32 weights, got {products.dtype}: load it with dtype instead.")
    checkpoint = Checkpoint(
        config=model.config,
        tensors=model.state_dict(),
        preprocess=preprocess,
        source="the model in training",
        format="diptych",
        tokenizer=tokenizer,
    )
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        yield TorchEncoder(checkpoint, device=str(products.device), dtype=dtype, model=model)
    finally:
        for module, is_training in modes:
            module.training = is_training
