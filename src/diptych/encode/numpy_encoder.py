"""A handful of images or texts without torch: numpy_towers.py and numpy_resnet.py behind the Encoder protocol."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from typing import overload

import numpy as np

from diptych.checkpoints import Checkpoint
from diptych.checkpoints.fingerprint import fingerprint
from diptych.encode import numpy_resnet, numpy_towers
from diptych.encode.decoding import Decoded, Numbered, check_are_images, decode, numbered_batches
from diptych.encode.encoder import (
    Array,
    Features,
    OnError,
    OnLong,
    Rows,
    finite,
    gather,
    text_batches,
    token_ids,
    tokenizer_of,
)
from diptych.encode.workers import core_count, map_ahead, plain_pool
from diptych.images import ImageSource
from diptych.model.config import ResNetConfig
from diptych.tokenizer import pad

TOKENS_AT_ONCE = 1_024  # enough to keep the matrix products busy


class NumpyEncoder:
    """The Encoder of a checkpoint read with `framework="numpy"`: for a handful of items, in float32."""

    dtype = "float32"

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint
        self.weights = {name: np.asarray(tensor, dtype=np.float32) for name, tensor in checkpoint.tensors.items()}
        self.tokenizer = tokenizer_of(checkpoint)
        self.embed_dim = checkpoint.config.embed_dim
        self.logit_scale = float(np.exp(self.weights["logit_scale"]))

    @cached_property
    def fingerprint(self) -> str:
        """Names the weights and their preprocessing."""
        return fingerprint(self.checkpoint, self.tokenizer)

    @overload
    def encode_images(
        self, images: Iterable[ImageSource], *, on_error: None = None, progress: bool = False
    ) -> Features: ...
    @overload
    def encode_images(self, images: Iterable[ImageSource], *, on_error: OnError, progress: bool = False) -> Rows: ...
    def encode_images(
        self, images: Iterable[ImageSource], *, on_error: OnError | None = None, progress: bool = False
    ) -> Features | Rows:
        """(N, E) unit rows; with `on_error`, those of the readable images with their indices."""
        rows = gather(self.iter_images(images, on_error=on_error), (self.embed_dim,))
        return rows.features if on_error is None else rows

    def iter_images(self, images: Iterable[ImageSource], *, on_error: OnError | None = None) -> Iterator[Rows]:
        """One image at a time, in order; each core opens and computes its own."""
        check_are_images(images)

        def computed(batch: Numbered) -> tuple[Decoded, Features]:
            decoded = decode(batch, self.checkpoint.preprocess, "exact")
            return decoded, self._encode_images(decoded.pixels) if decoded.indices else decoded.pixels

        for decoded, features in map_ahead(plain_pool(), computed, numbered_batches(images, 1), ahead=2 * core_count()):
            for failure in decoded.failures:
                if on_error is None:
                    raise failure[2]
                on_error(*failure)
            if decoded.indices:
                yield Rows(np.array(decoded.indices), features)

    def _encode_images(self, pixels: Array) -> Features:
        config = self.checkpoint.config
        if isinstance(config.vision, ResNetConfig):
            features = numpy_resnet.encode_images(pixels, self._convolutions, self.weights, config.vision)
        else:
            features = numpy_towers.encode_images(pixels, self.weights, config.vision, config.activation)
        return self._unit(features)

    @cached_property
    def _convolutions(self) -> numpy_resnet.Convolutions:
        return numpy_resnet.fold_batch_norms(self.weights)

    def encode_texts(self, texts: Iterable[str], *, on_long: OnLong = "warn", progress: bool = False) -> Features:
        """(N, E) unit rows in the order of `texts`; texts of similar length are computed together."""
        config = self.checkpoint.config
        batch = token_ids(texts, self.tokenizer, config.text.context_length, on_long)
        parts = list(text_batches(batch, TOKENS_AT_ONCE))

        def computed(chosen: list[int]) -> Features:
            ends = np.array([len(batch[i]) - 1 for i in chosen])
            tokens = pad([batch[i] for i in chosen], int(ends.max()) + 1)
            return self._unit(numpy_towers.encode_texts(tokens, ends, self.weights, config.text, config.activation))

        features = np.empty((len(batch), self.embed_dim), np.float32)
        for chosen, rows in zip(parts, map_ahead(plain_pool(), computed, parts, ahead=2 * core_count()), strict=True):
            features[chosen] = rows
        return features

    def _unit(self, features: Array) -> Features:
        return finite(features / np.linalg.norm(features, axis=-1, keepdims=True), self.checkpoint.source)
