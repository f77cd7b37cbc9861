"""Which encoder a command line uses."""

import sys
from typing import TYPE_CHECKING

from diptych.checkpoints import load_checkpoint
from diptych.encode.encoder import Encoder
from diptych.errors import CheckpointError, TorchNeededError

if TYPE_CHECKING:
    from diptych.encode.decoding import PreprocessKind

# Up to here numpy has answered before torch is imported (1.3 s); an image takes it about 0.1 s.
A_HANDFUL = 8


def encoder_for(
    name: str | None,
    *,
    items: int,
    device: str = "auto",
    revision: str | None = None,
    preset: str | None = None,
    preprocess: "PreprocessKind" = "exact",
) -> Encoder:
    """An encoder for about `items` images: numpy for a handful, if the weights are readable without torch."""
    if name is None:
        raise CheckpointError(
            "This version has no model of its own yet: say which with --model (see `diptych models`)."
        )
    if items <= A_HANDFUL and device in ("auto", "cpu") and "torch" not in sys.modules:
        from diptych.encode.numpy_encoder import NumpyEncoder

        try:
            return NumpyEncoder(load_checkpoint(name, revision=revision, preset=preset, framework="numpy"))
        except TorchNeededError:
            pass
    from diptych.encode.torch_encoder import TorchEncoder

    return TorchEncoder(load_checkpoint(name, revision=revision, preset=preset), device=device, preprocess=preprocess)
