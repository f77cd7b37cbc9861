"""Which encoder a command line uses."""

import sys
from contextlib import suppress
from typing import Any, cast

from diptych.checkpoints import load_checkpoint
from diptych.checkpoints.postcard import POSTCARD
from diptych.encode.encoder import Encoder
from diptych.encode.workers import keep_numpy_products_alone
from diptych.errors import TorchNeededError

# Up to here numpy has answered before torch is imported (1.3 s): an image takes it about 0.1 s, with postcard 0.01 s.
A_HANDFUL, A_HANDFUL_OF_POSTCARDS = 8, 100


def encoder_for(
    name: str | None,
    *,
    items: int,
    preprocess: str = "exact",
    dtype: str = "auto",
    device: str = "auto",
    **told: Any,  # noqa: ANN401
) -> Encoder:
    """An encoder for about `items` images: numpy for a handful, if the weights are readable without torch.

    `name` is as `load_checkpoint` takes it, None for the model in the package.

    `told` is what else `load_checkpoint` takes: revision, preset, activation.
    """
    is_plain = preprocess == "exact" and dtype in ("auto", "float32") and device in ("auto", "cpu")
    handful = A_HANDFUL_OF_POSTCARDS if name in (None, POSTCARD) else A_HANDFUL
    if items <= handful and is_plain and "torch" not in sys.modules:
        from diptych.encode.numpy_encoder import NumpyEncoder

        with suppress(TorchNeededError):
            encoder = NumpyEncoder(load_checkpoint(name, framework="numpy", **told))
            keep_numpy_products_alone()
            return encoder
    from diptych.encode.torch_encoder import TorchEncoder

    checkpoint = load_checkpoint(name, **told)
    return TorchEncoder(checkpoint, device=device, dtype=cast(Any, dtype), preprocess=cast(Any, preprocess))
