"""The captions of a batch, each distinct one once, in buckets of like length: next to nothing of it is padding."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

_MOST_PADDING = 0.1  # of the tokens of a bucket, and so of the batch


@dataclass(frozen=True)
class TextBuckets:
    """`tokens` are (n, L) int64 buckets, padded with 0; row i of the batch is row `rows[i]` of all buckets together."""

    tokens: list[Tensor]
    rows: Tensor  # (B,) int64

    def to(self, device: torch.device) -> "TextBuckets":
        """The same on a device."""
        return TextBuckets([bucket.to(device, non_blocking=True) for bucket in self.tokens], self.rows.to(device))

    @property
    def padding_share(self) -> float:
        """Padding among all tokens computed; each text ends with its end token, which is never 0."""
        computed = sum(bucket.numel() for bucket in self.tokens)
        return sum(int((bucket == 0).sum()) for bucket in self.tokens) / computed if computed else 0.0


def bucket_texts(texts: Sequence[Sequence[int]]) -> TextBuckets:
    """Buckets of (B,) token ids.

    Many samples of a batch share a class name: computing each distinct text once saves more than buckets do.
    """
    distinct = {tuple(text): None for text in texts}
    by_length = sorted(distinct, key=len, reverse=True)
    place = {text: row for row, text in enumerate(by_length)}
    buckets = [_pad(bucket) for bucket in _split(by_length)]
    return TextBuckets(buckets, torch.tensor([place[tuple(text)] for text in texts], dtype=torch.int64))


def _split(by_length: list[tuple[int, ...]]) -> list[list[tuple[int, ...]]]:
    """Runs of texts, longest first; a run ends where one text more would make it a tenth of padding."""
    buckets: list[list[tuple[int, ...]]] = []
    real = 0
    for text in by_length:
        bucket = buckets[-1] if buckets else None
        computed = (len(bucket) + 1) * len(bucket[0]) if bucket else 0
        if bucket and computed - real - len(text) <= _MOST_PADDING * computed:
            bucket.append(text)
            real += len(text)
        else:
            buckets.append([text])
            real = len(text)
    return buckets


def _pad(bucket: list[tuple[int, ...]]) -> Tensor:
    longest = len(bucket[0])
    return torch.tensor([[*text, *[0] * (longest - len(text))] for text in bucket], dtype=torch.int64)
