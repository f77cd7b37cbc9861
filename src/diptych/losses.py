"""The losses of contrastive pretraining: CLIP's softmax (Radford et al. 2021) and SigLIP's sigmoid (Zhai et al. 2023).

The (B, B) logits never exist as a whole. They are computed a square tile at a time and forgotten, and computed again in
the backward pass, from features and, for the softmax, a maximum and a sum for each row and column. Values and gradients
are those of the plain formula; memory grows with B instead of its square.

Under torch.distributed each process gives its own pairs, of which it may have more or fewer than the others, and
computes the rows of the logits that belong to its images, against the texts of all. What comes back is the loss of the
whole batch, the same everywhere, and gradients whose average over processes, which is what DistributedDataParallel
makes of them, is that of one process with the whole batch.

Letters: N pairs of this process, B of all processes, E embedding.
"""

import functools
from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor
from torch.autograd import Function
from torch.autograd.function import once_differentiable

# Rows and columns of a tile. A CPU reads 2048 x 2048 from its cache, not from memory, in most passes over it; smaller
# ones make its threads wait for each other more often. A GPU is busy with more.
_CPU_TILE, _OTHER_TILE = 2048, 4096

_Context: TypeAlias = Any  # what torch keeps between both passes: its stubs lack half of it


def clip_loss(
    image_features: Tensor,
    text_features: Tensor,
    logit_scale: Tensor | float,
    *,
    image_ids: Tensor | None = None,
    text_ids: Tensor | None = None,
    tile_size: int | None = None,
) -> Tensor:
    """Mean symmetric cross-entropy over matched pairs, in nats (Radford et al. 2021, Fig. 3).

    Both feature tensors are (N, E) with unit rows; row i of each is one pair. They may be of half precision: what is
    computed, and the loss, is float32, or float64 if one of them is. logit_scale is the multiplier itself, not its
    logarithm. Uniform logits give ln B.

    Pairs with the same image or the same text, by the integer ids of shape (N,), are positives of each other: the
    target of a row is spread evenly over them, and that of a column as well. The least loss is then the mean logarithm
    of their number. With all ids different it is the paper's.

    tile_size is how many rows and columns of the logits exist at once; the result does not depend on it.
    ValueError for shapes, dtypes or numbers of ids that do not fit.
    """
    batch = _gather(image_features, text_features, image_ids, text_ids)
    rows = _scalar("logit_scale", logit_scale) * batch.images
    total = _SoftmaxLoss.apply(rows, batch.texts, batch.first, _tile_size(tile_size, rows))  # type: ignore[no-untyped-call]
    if batch.positives is not None:
        counts = batch.positives.sum(torch.ones_like(batch.texts[:, :1]))
        targets = batch.positives.sum(batch.texts) / counts + batch.positives.sum(batch.texts / counts)
        # The tiles have counted each pair's own text once for its row and once for its column.
        total = total - (rows * (targets - 2 * batch.texts)[batch.own]).sum()
    return _sum_over_processes(total / (2 * len(batch.texts)))


def siglip_loss(
    image_features: Tensor,
    text_features: Tensor,
    logit_scale: Tensor | float,
    logit_bias: Tensor | float,
    *,
    image_ids: Tensor | None = None,
    text_ids: Tensor | None = None,
    tile_size: int | None = None,
) -> Tensor:
    """Mean over images of the sum over texts of -ln sigmoid(z logit), z 1 for positives, else -1 (Zhai et al. 2023).

    The logit of a pair is logit_scale times the product of its features, plus logit_bias. The rest is as for
    `clip_loss`: pairs that share an image or a text are positives of each other.
    """
    batch = _gather(image_features, text_features, image_ids, text_ids)
    rows = _scalar("logit_scale", logit_scale) * batch.images
    bias = torch.as_tensor(_scalar("logit_bias", logit_bias), dtype=rows.dtype, device=rows.device)
    total = _SigmoidLoss.apply(rows, batch.texts, bias, batch.first, _tile_size(tile_size, rows))  # type: ignore[no-untyped-call]
    if batch.positives is not None:
        # -ln sigmoid(x) is -ln sigmoid(-x) - x: the tiles have counted all but a pair's own text as negatives.
        counts = batch.positives.sum(torch.ones_like(batch.texts[:, :1]))
        others = (batch.positives.sum(batch.texts) - batch.texts)[batch.own]
        total = total - (rows * others).sum() - bias * (counts - 1)[batch.own].sum()
    return _sum_over_processes(total / len(batch.texts))


# ---- tiles


class _SoftmaxLoss(Function):
    """Sum over own pairs of both cross-entropies: (N, E) scaled images and (B, E) texts to a scalar.

    The text of row i is column `first + i`.
    """

    @staticmethod
    def forward(ctx: _Context, rows: Tensor, columns: Tensor, first: int, tile: int) -> Tensor:
        matched = rows.new_empty(len(rows))
        of_rows, of_columns = _Exponentials.none_yet(rows), _Exponentials.none_yet(columns)
        for r, c, diagonal in _tiles(len(rows), len(columns), first, tile):
            logits = _matmul(rows[r], columns[c].T)
            matched[r][diagonal.rows] = logits.diagonal(diagonal.offset)
            of_rows.add(r, logits)
            of_columns.add(c, logits.T)
        if _is_distributed():
            of_columns.share()
        ctx.save_for_backward(rows, columns, *of_rows, *of_columns)
        ctx.first, ctx.tile = first, tile
        own = slice(first, first + len(rows))
        # Differences first: near a loss of zero the logarithms are far smaller than what float32 resolves at a logit.
        row_losses = (of_rows.largest - matched) + of_rows.total.log()
        column_losses = (of_columns.largest[own] - matched) + of_columns.total[own].log()
        return (row_losses + column_losses).sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, columns, *sums = ctx.saved_tensors
        of_rows, of_columns = _Exponentials(*sums[:2]), _Exponentials(*sums[2:])
        grads = _Gradients(ctx, rows, columns)
        for r, c, diagonal in _tiles(len(rows), len(columns), ctx.first, ctx.tile):
            logits = _matmul(rows[r], columns[c].T)
            by_row = (logits - of_rows.largest[r, None]).exp_().div_(of_rows.total[r, None])
            by_column = logits.sub_(of_columns.largest[c]).exp_().div_(of_columns.total[c])
            by_logit = by_row.add_(by_column)
            by_logit.diagonal(diagonal.offset).sub_(2)
            grads.add(r, c, by_logit)
        return *grads.times(grad), None, None


class _SigmoidLoss(Function):
    """Sum over own rows of -ln sigmoid(z logit), where z is 1 for column `first + i` of row i and -1 for all others."""

    @staticmethod
    def forward(ctx: _Context, rows: Tensor, columns: Tensor, bias: Tensor, first: int, tile: int) -> Tensor:
        ctx.save_for_backward(rows, columns, bias)
        ctx.first, ctx.tile = first, tile
        losses = rows.new_zeros(len(rows))
        for r, c, diagonal in _tiles(len(rows), len(columns), first, tile):
            losses[r] += F.softplus(_wrongness(rows[r], columns[c], bias, diagonal), threshold=40).sum(1)
        return losses.sum()

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, grad: Tensor) -> tuple[Tensor | None, ...]:
        rows, columns, bias = ctx.saved_tensors
        grads, grad_bias = _Gradients(ctx, rows, columns), torch.zeros_like(bias)
        for r, c, diagonal in _tiles(len(rows), len(columns), ctx.first, ctx.tile):
            by_logit = _wrongness(rows[r], columns[c], bias, diagonal).sigmoid_()
            by_logit.diagonal(diagonal.offset).neg_()
            grads.add(r, c, by_logit)
            grad_bias += by_logit.sum()
        return *grads.times(grad), grad_bias * grad, None, None


class _Diagonal(NamedTuple):
    """Where the own pairs of a tile are: its rows that have one, and the offset of `Tensor.diagonal`."""

    rows: slice
    offset: int


def _tiles(rows: int, columns: int, first: int, tile: int) -> Iterator[tuple[slice, slice, _Diagonal]]:
    for top in range(0, rows, tile):
        for left in range(0, columns, tile):
            r, c = slice(top, min(top + tile, rows)), slice(left, min(left + tile, columns))
            offset = first + top - left
            begin, end = max(0, -offset), min(r.stop - top, c.stop - left - offset)
            yield r, c, _Diagonal(slice(begin, max(begin, end)), offset)


class _Exponentials(NamedTuple):
    """For each row of a matrix that comes in tiles, the largest logit and the sum of exp(logit - largest)."""

    largest: Tensor
    total: Tensor

    @classmethod
    def none_yet(cls, features: Tensor) -> "_Exponentials":
        return cls(features.new_full((len(features),), -torch.inf), features.new_zeros(len(features)))

    def add(self, rows: slice, logits: Tensor) -> None:
        """Take in some columns of these rows."""
        largest = torch.maximum(self.largest[rows], logits.amax(1))
        added = (logits - largest[:, None]).exp_().sum(1)
        self.total[rows] = self.total[rows] * (self.largest[rows] - largest).exp() + added
        self.largest[rows] = largest

    def share(self) -> None:
        """Take in what the other processes have of these rows."""
        own = self.largest.clone()
        dist.all_reduce(self.largest, op=dist.ReduceOp.MAX)
        self.total.mul_((own - self.largest).exp())
        dist.all_reduce(self.total)


class _Gradients:
    """Sums up what the tiles give to the rows and the columns, where that is asked for (a locked tower's is not)."""

    def __init__(self, ctx: _Context, rows: Tensor, columns: Tensor) -> None:
        self._rows, self._columns = rows, columns
        needed = ctx.needs_input_grad
        self._by_row = torch.zeros_like(rows) if needed[0] else None
        self._by_column = torch.zeros_like(columns) if needed[1] else None

    def add(self, r: slice, c: slice, by_logit: Tensor) -> None:
        if self._by_row is not None:
            self._by_row[r] += _matmul(by_logit, self._columns[c])
        if self._by_column is not None:
            self._by_column[c] += _matmul(by_logit.T, self._rows[r])

    def times(self, grad: Tensor) -> tuple[Tensor | None, Tensor | None]:
        by_row, by_column = self._by_row, self._by_column
        return by_row if by_row is None else by_row.mul_(grad), by_column if by_column is None else by_column.mul_(grad)


def _wrongness(rows: Tensor, columns: Tensor, bias: Tensor, diagonal: _Diagonal) -> Tensor:
    """Minus z times the logit: (r, c)."""
    logits = _matmul(rows, columns.T).add_(bias)
    logits.diagonal(diagonal.offset).neg_()
    return logits


def _matmul(a: Tensor, b: Tensor) -> Tensor:
    """A product in the precision of its factors, under autocast too.

    On a CPU through oneDNN: torch's default for float32 there is MKL, which on an AMD processor runs at half of that
    speed (docs/benchmarks.md).
    """
    if a.device.type == "cpu" and a.dtype == torch.float32 and _has_onednn_linear():
        return torch.ops.mkldnn._linear_pointwise(a, b.T, None, "none", [], "")
    with torch.autocast(a.device.type, enabled=False):
        return a @ b


@functools.cache
def _has_onednn_linear() -> bool:
    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")  # type: ignore[no-untyped-call]


def _tile_size(asked: int | None, features: Tensor) -> int:
    if asked is None:
        return _CPU_TILE if features.device.type == "cpu" else _OTHER_TILE
    if asked < 1:
        raise ValueError(f"tile_size must be at least 1, got {asked}")
    return asked


# ---- the batch


class _Positives(NamedTuple):
    """Which pairs of the batch share an image or a text: never as a matrix, but as groups of equal ids.

    The indicator of "same image or same text" is that of the one, plus that of the other, minus that of both: each has
    blocks of ones, one for each group, so that a product with it is a sum over groups.
    """

    groups: list[tuple[int, Tensor]]  # sign, number of each pair's group (B,)

    @classmethod
    def of(cls, image_ids: Tensor | None, text_ids: Tensor | None) -> "_Positives | None":
        given = [torch.unique(ids, return_inverse=True)[1] for ids in (image_ids, text_ids) if ids is not None]
        groups = [(1, numbers) for numbers in given]
        if len(given) == 2:
            both = torch.unique(torch.stack(given), dim=1, return_inverse=True)[1]
            groups.append((-1, both))
        return cls(groups) if groups else None

    def sum(self, x: Tensor) -> Tensor:
        """For each pair the sum of x over its positives, itself among them: (B, ...) to (B, ...)."""
        total = torch.zeros_like(x)
        for sign, numbers in self.groups:
            total = total + sign * torch.zeros_like(x).index_add(0, numbers, x).index_select(0, numbers)
        return total


class _Batch(NamedTuple):
    """Own images and everybody's texts; own pairs are those from number `first` on."""

    images: Tensor  # (N, E)
    texts: Tensor  # (B, E)
    first: int
    positives: _Positives | None

    @property
    def own(self) -> slice:
        return slice(self.first, self.first + len(self.images))


def _gather(images: Tensor, texts: Tensor, image_ids: Tensor | None, text_ids: Tensor | None) -> _Batch:
    _check_features(images, texts)
    for name, ids in (("image_ids", image_ids), ("text_ids", text_ids)):
        if ids is not None:
            _check_ids(name, ids, len(images))
    wide = torch.promote_types(torch.promote_types(images.dtype, texts.dtype), torch.float32)
    images, texts = images.to(wide), texts.to(wide)
    first = 0
    if _is_distributed():
        sizes = _sizes_of_all(images)
        first = sum(sizes[: dist.get_rank()])
        texts = _GatherRows.apply(texts, sizes)  # type: ignore[no-untyped-call]
        image_ids, text_ids = (
            None if ids is None else _rows_of_all(ids.to(images.device, torch.int64), sizes)
            for ids in (image_ids, text_ids)
        )
    if not len(texts):
        raise ValueError("a loss needs at least one pair, got none: features of shape (0, E)")
    return _Batch(images, texts, first, _Positives.of(image_ids, text_ids))


def _check_features(images: Tensor, texts: Tensor) -> None:
    if images.ndim != 2 or images.shape != texts.shape:
        raise ValueError(
            f"image_features and text_features must have one shape (N, E), got {tuple(images.shape)} and "
            f"{tuple(texts.shape)}"
        )
    if not (images.is_floating_point() and texts.is_floating_point()):
        raise ValueError(f"features must be of a floating-point dtype, got {images.dtype} and {texts.dtype}")
    if images.device != texts.device:
        raise ValueError(f"features must be on one device, got {images.device} and {texts.device}")


def _check_ids(name: str, ids: Tensor, pairs: int) -> None:
    if ids.is_floating_point() or ids.is_complex():
        raise ValueError(f"{name} must be integers, got {ids.dtype}")
    if ids.shape != (pairs,):
        raise ValueError(f"{name} must have one id for each of the {pairs} pairs, got shape {tuple(ids.shape)}")


def _scalar(name: str, value: Tensor | float) -> Tensor | float:
    if not isinstance(value, Tensor):
        return value
    if value.numel() != 1:
        raise ValueError(f"{name} must be one number, got shape {tuple(value.shape)}")
    return value.reshape(())


# ---- processes


def _is_distributed() -> bool:
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def _sizes_of_all(rows: Tensor) -> list[int]:
    own = torch.tensor([len(rows)], device=rows.device)
    sizes = [torch.empty_like(own) for _ in range(dist.get_world_size())]
    dist.all_gather(sizes, own)
    return [int(size) for size in sizes]


def _rows_of_all(rows: Tensor, sizes: list[int]) -> Tensor:
    """The rows of all processes in the order of their ranks; what is exchanged is padded to the most that one has."""
    padded = rows.new_zeros(max(sizes), *rows.shape[1:])
    padded[: len(rows)] = rows
    parts = [torch.empty_like(padded) for _ in sizes]
    dist.all_gather(parts, padded)
    return torch.cat([part[:size] for part, size in zip(parts, sizes, strict=True)])


class _GatherRows(Function):
    """`_rows_of_all` with a gradient: that of a row is the sum of what it gets in all processes."""

    @staticmethod
    def forward(ctx: _Context, rows: Tensor, sizes: list[int]) -> Tensor:
        ctx.sizes = sizes
        return _rows_of_all(rows, sizes)

    @staticmethod
    @once_differentiable
    def backward(ctx: _Context, grad: Tensor) -> tuple[Tensor, None]:
        total = grad.clone(memory_format=torch.contiguous_format)
        dist.all_reduce(total)
        return torch.split(total, ctx.sizes)[dist.get_rank()], None


class _SumOverProcesses(Function):
    """A sum whose gradient is that of all processes' copies of it: averaging parameters' gradients divides by them."""

    @staticmethod
    def forward(_: _Context, share: Tensor) -> Tensor:
        total = share.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    @once_differentiable
    def backward(_: _Context, grad: Tensor) -> Tensor:
        return grad * dist.get_world_size()


def _sum_over_processes(share: Tensor) -> Tensor:
    return _SumOverProcesses.apply(share) if _is_distributed() else share  # type: ignore[no-untyped-call]
