"""The narrow waist: below it pixels, tokens and tensors; above it arrays and ids."""

import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Literal, NamedTuple, Protocol, get_args, overload

import numpy as np

from diptych.checkpoints import Checkpoint
from diptych.errors import CheckpointError, ImageError, TextTooLongError
from diptych.images import ImageSource
from diptych.tokenizer import ClipTokenizer, Tokenizer, clip_tokenizer, cut, load_tokenizer

OnError = Callable[[int, ImageSource, ImageError], None]
OnLong = Literal["warn", "error", "cut"]
Array = np.ndarray[Any, np.dtype[np.float32]]
Features = Array  # (N, E), rows of unit length
Indices = np.ndarray[Any, np.dtype[np.int64]]


class Rows(NamedTuple):
    """Features (N, E) of some items, and where in the input each of them stood, ascending (N,)."""

    indices: Indices
    features: Features


class Encoder(Protocol):
    """Images or texts to (N, E) float32 rows of unit length. Torch, numpy, and whatever comes, look alike from above.

    `logit_scale` is the multiplier itself; `dtype` and `fingerprint` say what a cache of features was computed with.
    """

    @property
    def embed_dim(self) -> int:
        """E, the width of the shared space."""

    @property
    def logit_scale(self) -> float:
        """What cosines are multiplied by to become logits."""

    @property
    def dtype(self) -> str:
        """The dtype of the matrix products: float32, bfloat16 or float16."""

    @property
    def fingerprint(self) -> str:
        """Names the weights and their preprocessing."""

    @overload
    def encode_images(
        self, images: Iterable[ImageSource], *, on_error: None = None, progress: bool = False
    ) -> Features: ...
    @overload
    def encode_images(self, images: Iterable[ImageSource], *, on_error: OnError, progress: bool = False) -> Rows:
        """(N, E) unit rows in the order of `images`; an unreadable one raises ImageError.

        With `on_error`, it is told of each (index, image, error), and the other rows come with their indices.
        """

    def encode_texts(self, texts: Iterable[str], *, on_long: OnLong = "warn", progress: bool = False) -> Features:
        """(N, E) unit rows in the order of `texts`."""

    def iter_images(self, images: Iterable[ImageSource], *, on_error: OnError | None = None) -> Iterator[Rows]:
        """Batches as they are ready, in order."""


def tokenizer_of(checkpoint: Checkpoint) -> Tokenizer:
    """The tokenizer that travels with the weights, checked against the size of their vocabulary."""
    tokenizer = load_tokenizer(checkpoint.tokenizer) if checkpoint.tokenizer else clip_tokenizer()
    size = checkpoint.config.text.vocab_size
    if tokenizer.vocab_size > size or (isinstance(tokenizer, ClipTokenizer) and tokenizer.vocab_size != size):
        raise CheckpointError(
            f"{checkpoint.source} has {size} token embeddings and its tokenizer {tokenizer.vocab_size} tokens: "
            "the tokenizer.json of these weights must lie beside them."
        )
    end_token = checkpoint.config.text.end_token
    pooled = tokenizer.vocab_size - 1 if end_token is None else end_token
    if tokenizer.end_token != pooled:
        raise CheckpointError(
            f"{checkpoint.source} pools its texts at token {pooled}, and its tokenizer ends them with "
            f"{tokenizer.end_token}: they do not belong together."
        )
    return tokenizer


def token_ids(texts: Iterable[str], tokenizer: Tokenizer, context_length: int, on_long: OnLong) -> list[list[int]]:
    """Ids of each text up to its first end token; those longer than `context_length` are cut."""
    if isinstance(texts, str):
        raise TypeError(f"texts must be an iterable of strings, got one string: write [{texts[:40]!r}].")
    if on_long not in get_args(OnLong):
        raise ValueError(f"on_long must be 'warn', 'error' or 'cut', got {on_long!r}.")
    texts = list(texts)
    batch = tokenizer.encode_batch(texts)
    too_long = [i for i, ids in enumerate(batch) if len(ids) > context_length]
    if too_long:
        first = too_long[0]
        message = (
            f"{len(too_long)} of {len(texts)} texts are longer than {context_length} tokens "
            f"(the first, at {first}, has {len(batch[first])}: {texts[first][:60]!r})"
        )
        if on_long == "error":
            raise TextTooLongError(
                f"{message}. Shorten them, or leave on_long out to cut them.",
                indices=too_long,
                tokens=len(batch[first]),
                context_length=context_length,
            )
        if on_long == "warn":
            warnings.warn(f"{message}; they were cut. To raise instead: on_long='error'.", stacklevel=6)
        batch = [cut(ids, context_length, tokenizer.end_token) for ids in batch]
    # Pooling is at the first end token, so whatever a user wrote after one of his own changes nothing.
    return [ids[: ids.index(tokenizer.end_token) + 1] for ids in batch]


def text_batches(batch: list[list[int]], tokens_at_once: int) -> Iterator[list[int]]:
    """Indices of texts to compute together: sorted by length, so that little is padded, then by their beginnings."""
    order = sorted(range(len(batch)), key=lambda i: (len(batch[i]), batch[i]))
    chosen: list[int] = []
    tokens = 0
    for i in order:
        if chosen and tokens + len(batch[i]) > tokens_at_once:
            yield chosen
            chosen, tokens = [], 0
        chosen.append(i)
        tokens += len(batch[i])
    if chosen:
        yield chosen


def gather(batches: Iterable[Rows], shape: tuple[int, ...]) -> Rows:
    """One Rows out of many; `shape` is a row's, for when there are none."""
    every = [Rows(np.empty(0, np.int64), np.empty((0, *shape), np.float32)), *batches]
    kept = every[1:] or every
    return Rows(np.concatenate([rows.indices for rows in kept]), np.concatenate([rows.features for rows in kept]))


def finite(features: Array, source: str) -> Array:
    """The features; CheckpointError where damaged weights made some of them no numbers."""
    if not np.isfinite(features).all():
        raise CheckpointError(f"{source} gives features that are not finite numbers: its weights are damaged.")
    return features
