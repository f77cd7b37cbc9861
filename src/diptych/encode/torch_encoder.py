"""Images and texts in bulk, on any device."""

from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import replace
from functools import cached_property
from typing import Any, overload

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from diptych.checkpoints import Checkpoint
from diptych.checkpoints.fingerprint import fingerprint
from diptych.encode.decoding import Decoded, Numbered, check_are_images, decode, numbered_batches
from diptych.encode.devices import DType, resolve_device, resolve_dtype
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
from diptych.encode.prefix_tree import pooled_prompts
from diptych.encode.workers import core_count, core_pool, map_ahead, plain_pool
from diptych.images import ImageSource, open_image
from diptych.model.clip import CLIP, compute_in
from diptych.preprocess import METHODS, PreprocessKind
from diptych.progress import Progress

Compute = Callable[[Tensor], Tensor]

# On a CPU a batch should fit the caches of one core; a GPU wants work enough to fill it.
_IMAGES_AT_ONCE = {"cpu": 8, "mps": 32, "cuda": 64}
_TOKENS_AT_ONCE = {"cpu": 2_048, "mps": 8_192, "cuda": 65_536}


class TorchEncoder:
    """The Encoder of a checkpoint in torch, safe from several threads. `model` is the CLIP itself, for evaluation."""

    def __init__(
        self,
        checkpoint: Checkpoint,
        *,
        device: str = "auto",
        dtype: DType = "auto",
        preprocess: PreprocessKind = "exact",
    ) -> None:
        if preprocess not in METHODS:
            raise ValueError(f"preprocess must be {' or '.join(METHODS)}, got {preprocess!r}.")
        self.checkpoint = checkpoint
        self.preprocess_kind: PreprocessKind = preprocess
        self.device = resolve_device(device)
        self.torch_dtype = resolve_dtype(dtype, self.device)
        self.dtype = str(self.torch_dtype).removeprefix("torch.")
        self.tokenizer = tokenizer_of(checkpoint)
        self.model = build_model(checkpoint, self.device, self.torch_dtype)
        self.embed_dim = checkpoint.config.embed_dim
        self._versions = _versions(self.model)

    @property
    def fingerprint(self) -> str:
        """Names the weights, as they are now, and their preprocessing."""
        return self._fingerprint if self._is_as_loaded() else fingerprint(self.current_checkpoint(), self.tokenizer)

    @cached_property
    def _fingerprint(self) -> str:
        return fingerprint(self.checkpoint, self.tokenizer)

    def current_checkpoint(self) -> Checkpoint:
        """What was loaded; or, if `model` was trained or changed since, the same with its weights of now."""
        if self._is_as_loaded():
            return self.checkpoint
        return replace(self.checkpoint, tensors={name: t.detach() for name, t in self.model.state_dict().items()})

    def _is_as_loaded(self) -> bool:
        return _versions(self.model) == self._versions

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied by to become logits."""
        return float(self.model.logit_scale.detach().exp())

    @overload
    def encode_images(
        self, images: Iterable[ImageSource], *, on_error: None = None, progress: bool = False
    ) -> Features: ...
    @overload
    def encode_images(self, images: Iterable[ImageSource], *, on_error: OnError, progress: bool = False) -> Rows: ...
    def encode_images(
        self, images: Iterable[ImageSource], *, on_error: OnError | None = None, progress: bool = False
    ) -> Features | Rows:
        """(N, E) float32 unit rows in the order of `images`.

        An unreadable image raises ImageError; or, with `on_error`, it is told of each (index, image, error), and the
        rows of the others come back with their indices.
        """
        total = len(images) if isinstance(images, Sized) else None
        batches = []
        with Progress(total=total, label="Images", unit="images") as shown:
            for rows in self.iter_images(images, on_error=on_error):
                batches.append(rows)
                if progress:
                    shown.advance(len(rows.indices))
        rows = gather(batches, (self.embed_dim,))
        return rows.features if on_error is None else rows

    def iter_images(self, images: Iterable[ImageSource], *, on_error: OnError | None = None) -> Iterator[Rows]:
        """The same in batches as they are ready, in order: for inputs without end."""
        return self._iter(images, self._unit, on_error)

    def pooled_images(self, images: Iterable[ImageSource]) -> Array:
        """(N, D) float32 image features before the projection, not normalised: what linear probes are fitted on."""
        width = self.checkpoint.config.vision.output_width
        return gather(self._iter(images, self.model.visual.pooled), (width,)).features

    def patch_tokens(self, images: Iterable[ImageSource]) -> Array:
        """(N, rows * columns, D) float32 tokens of the image's patches, row by row, before the projection."""
        vision = self.checkpoint.config.vision
        shape = (vision.grid[0] * vision.grid[1], vision.output_width)
        return gather(self._iter(images, self.model.visual.patch_tokens), shape).features

    def encode_texts(self, texts: Iterable[str], *, on_long: OnLong = "warn", progress: bool = False) -> Features:
        """(N, E) float32 unit rows in the order of `texts`.

        Texts over the context length are cut with one warning that counts them; `on_long="error"` raises instead.
        """

        return self._texts(texts, self._project, self.embed_dim, on_long=on_long, progress=progress)

    def pooled_texts(self, texts: Iterable[str], *, on_long: OnLong = "warn") -> Array:
        """(N, D) float32 text features before the projection, not normalised."""
        return self._texts(texts, lambda pooled: pooled, self.checkpoint.config.text.width, on_long=on_long)

    # The same in two halves, each on the thread that asks: for a server, which batches what many people sent.

    def decode(self, image: ImageSource, **limits: Any) -> Array:  # noqa: ANN401 (as open_image takes them)
        """(3, H, W) float32 pixels as the model takes them; `limits` as `open_image` has them. Raises ImageError."""
        return METHODS[self.preprocess_kind](open_image(image, **limits), self.checkpoint.preprocess)

    def encode_pixels(self, pixels: Array) -> Features:
        """(N, E) float32 unit rows of (N, 3, H, W) pixels."""
        return self._compute(self._unit, pixels)

    def tokenize(self, texts: Iterable[str], *, on_long: OnLong = "warn") -> list[list[int]]:
        """Ids of each text up to its end token; what is too long is cut with a warning, or raises TextTooLongError."""
        return token_ids(texts, self.tokenizer, self.checkpoint.config.text.context_length, on_long)

    def encode_tokens(self, batch: Sequence[Sequence[int]]) -> Features:
        """(N, E) float32 unit rows of texts that `tokenize` took apart."""
        return self._compute_tokens(self._project, batch)

    def _unit(self, pixels: Tensor) -> Tensor:
        return F.normalize(self.model.encode_image(pixels).float(), dim=-1)

    def _project(self, pooled: Tensor) -> Tensor:
        return F.normalize((pooled @ self.model.text.text_projection).float(), dim=-1)

    def _iter(self, images: Iterable[ImageSource], compute: Compute, on_error: OnError | None = None) -> Iterator[Rows]:
        check_are_images(images)
        for decoded, features in self._computed(images, compute):
            for index, source, error in decoded.failures:
                if on_error is None:
                    raise error
                on_error(index, source, error)
            if decoded.indices:
                yield Rows(np.array(decoded.indices), features)

    def _computed(self, images: Iterable[ImageSource], compute: Compute) -> Iterator[tuple[Decoded, Array]]:
        """On a CPU each core decodes and computes its own batches; for a GPU, threads decode ahead of it."""

        def decoded(batch: Numbered) -> Decoded:
            return decode(batch, self.checkpoint.preprocess, self.preprocess_kind)

        def decoded_and_computed(batch: Numbered) -> tuple[Decoded, Array]:
            found = decoded(batch)
            return found, self._compute(compute, found.pixels)

        size = _IMAGES_AT_ONCE[self.device.type]
        if isinstance(images, Sized):  # a few are dealt out, a share to each core
            size = max(1, min(size, -(-len(images) // core_count())))
        batches = numbered_batches(images, size)
        if isinstance(images, Sized) and len(images) == 1:  # all cores on one image
            yield from map(decoded_and_computed, batches)
        elif self.device.type == "cpu":
            yield from map_ahead(core_pool(), decoded_and_computed, batches, ahead=2 * core_count())
        else:
            for found in map_ahead(plain_pool(), decoded, batches, ahead=2 * core_count()):
                yield found, self._compute(compute, found.pixels)

    @torch.inference_mode()
    def _compute(self, compute: Compute, pixels: Array) -> Array:
        if not len(pixels):
            return pixels
        on_device = torch.from_numpy(pixels).to(self.device, self.torch_dtype)
        with torch.autocast(self.device.type, enabled=False):  # the caller's is not ours: caches say what dtype this is
            return finite(compute(on_device).float().cpu().numpy(), self.checkpoint.source)

    @torch.inference_mode()
    def _compute_tokens(self, project: Compute, batch: Sequence[Sequence[int]]) -> Array:
        with torch.autocast(self.device.type, enabled=False):
            pooled = pooled_prompts(self.model.text, batch, self.torch_dtype)
            return finite(project(pooled).float().cpu().numpy(), self.checkpoint.source)

    def _texts(
        self, texts: Iterable[str], project: Compute, width: int, *, on_long: OnLong, progress: bool = False
    ) -> Array:
        batch = self.tokenize(texts, on_long=on_long)
        parts = list(text_batches(batch, _TOKENS_AT_ONCE[self.device.type]))

        def compute(chosen: Sequence[int]) -> Array:
            return self._compute_tokens(project, [batch[i] for i in chosen])

        if self.device.type == "cpu" and len(parts) > 1:
            results = map_ahead(core_pool(), compute, parts, ahead=2 * core_count())
        else:
            results = map(compute, parts)
        features = np.empty((len(batch), width), np.float32)
        with Progress(total=len(batch), label="Texts", unit="texts") as shown:
            for chosen, rows in zip(parts, results, strict=True):
                features[chosen] = rows
                if progress:
                    shown.advance(len(chosen))
        return features


def _versions(model: CLIP) -> dict[str, tuple[int, int]]:
    """Changes when a tensor is replaced, or written to by an optimiser."""
    return {name: (tensor.data_ptr(), tensor._version) for name, tensor in model.state_dict(keep_vars=True).items()}


def build_model(checkpoint: Checkpoint, device: torch.device, dtype: torch.dtype) -> CLIP:
    """The CLIP of a checkpoint, for evaluation. Tensors that need no cast stay mapped from their file."""
    with torch.device("meta"):
        model = CLIP(checkpoint.config)
    model.load_state_dict(checkpoint.tensors, assign=True)
    return compute_in(model, dtype).to(device).eval()
