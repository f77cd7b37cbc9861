"""Losses over real processes: values and gradients are those of one process with the whole batch."""

import gc
import multiprocessing
from collections.abc import Sequence
from multiprocessing.connection import Connection
from pathlib import Path
from typing import TypeAlias

import pytest
import torch
import torch.distributed as dist
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from torch.testing import assert_close

from diptych.losses import clip_loss, siglip_loss

WIDTH, EMBED = 5, 6
IDS = {"image_ids": torch.tensor([0, 1, 0, 2, 3, 4, 1]), "text_ids": torch.tensor([5, 6, 7, 7, 8, 5, 9])}
NO_IDS: dict[str, Tensor] = {}
UNEQUAL, EQUAL, ONE_WITHOUT = (5, 2), (3, 3), (0, 4)
Case: TypeAlias = tuple[str, tuple[int, int], bool]  # which loss, rows of each process, with ids


class Towers(nn.Module):
    """The least that has all that a loss trains."""

    def __init__(self) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        self.image = nn.Parameter(torch.randn(WIDTH, EMBED, generator=generator, dtype=torch.float64))
        self.text = nn.Parameter(torch.randn(WIDTH, EMBED, generator=generator, dtype=torch.float64))
        self.log_scale = nn.Parameter(torch.tensor(2.0, dtype=torch.float64))
        self.bias = nn.Parameter(torch.tensor(-3.0, dtype=torch.float64))

    def forward(self, images: Tensor, texts: Tensor) -> tuple[Tensor, ...]:
        """Unit rows, scale and bias."""
        image, text = F.normalize(images @ self.image, dim=-1), F.normalize(texts @ self.text, dim=-1)
        return image, text, self.log_scale.exp(), self.bias


def learn(kind: str, towers: nn.Module, rows: slice, ids: dict[str, Tensor]) -> Tensor:
    """The loss of these rows of the batch, having gone backward."""
    generator = torch.Generator().manual_seed(1)
    images, texts = torch.randn(2, 7, WIDTH, generator=generator, dtype=torch.float64)
    image, text, scale, bias = towers(images[rows], texts[rows])
    own = {name: numbers[rows] for name, numbers in ids.items()}
    if kind == "clip":
        loss = clip_loss(image, text, scale, tile_size=2, **own) + 0 * bias
    else:
        loss = siglip_loss(image, text, scale, bias, tile_size=2, **own)
    loss.backward()
    return loss.detach()


def gradients(towers: Towers) -> list[Tensor]:
    return [parameter.grad for parameter in towers.parameters() if parameter.grad is not None]


def one_of_two(rank: int, folder: Path, answers: Connection, cases: Sequence[Case]) -> None:
    """A process of the two: for each case its loss and the gradients that averaging over both gave it."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=(folder / "meeting").as_uri(), rank=rank, world_size=2)
    for case in cases:
        answers.send(answer_of(case, rank))
    gc.collect()  # what still holds the group keeps gloo's threads, which abort a process that ends before them
    dist.destroy_process_group()


def answer_of(case: Case, rank: int) -> list[object]:
    """A case's loss and gradients, as one of the two processes has them."""
    kind, (first, second), with_ids = case
    towers = Towers()
    rows = slice(0, first) if rank == 0 else slice(first, first + second)
    loss = learn(kind, DistributedDataParallel(towers), rows, IDS if with_ids else NO_IDS)
    return [numbers.tolist() for numbers in (loss, *gradients(towers))]


CASES: list[Case] = [
    (kind, sizes, with_ids)
    for kind in ("clip", "siglip")
    for sizes in (UNEQUAL, EQUAL, ONE_WITHOUT)
    for with_ids in (False, True)
]


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> list[list[list[object]]]:
    """What both processes got, by rank and case."""
    folder, context = tmp_path_factory.mktemp("processes"), multiprocessing.get_context("spawn")
    pipes = [context.Pipe(duplex=False) for _ in range(2)]
    processes = [context.Process(target=one_of_two, args=(rank, folder, pipes[rank][1], CASES)) for rank in range(2)]
    for process, (_, sender) in zip(processes, pipes, strict=True):
        process.start()
        sender.close()  # so that the end of the process ends the waiting below
    got = [[receiver.recv() for _ in CASES] for receiver, _ in pipes]
    for process in processes:
        process.join()
    assert [process.exitcode for process in processes] == [0, 0]
    return got


@pytest.mark.parametrize("case", CASES, ids=str)
def test_two_processes_learn_what_one_learns(case: Case, answers: list[list[list[object]]]) -> None:
    kind, sizes, with_ids = case
    towers = Towers()
    loss = learn(kind, towers, slice(0, sum(sizes)), IDS if with_ids else NO_IDS)
    expected = [loss, *gradients(towers)]
    assert len(expected) == 5
    for of_rank in answers:
        for got, want in zip(of_rank[CASES.index(case)], expected, strict=True):
            assert_close(torch.tensor(got, dtype=torch.float64), want, rtol=1e-12, atol=1e-13)  # order of sums
