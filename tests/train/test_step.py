"""A step's gradients: whole, in chunks, with layers recomputed, against a plain loop; and what stops a run."""

import warnings
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor
from torch.testing import assert_close

from diptych.data.sample import DataError
from diptych.encode.torch_encoder import TorchEncoder
from diptych.errors import DiptychError
from diptych.train.config import RunConfig
from diptych.train.distributed import World
from diptych.train.loop import Evaluator, train
from diptych.train.setup import Run, set_up
from diptych.train.state import newest_state, restore, save_state
from diptych.train.step import Learner
from pairs import RESNET, VIT, run_config, write_pairs

SHALLOW = {**VIT, "vision": {"image_size": (32, 32), "patch_size": 8, "width": 32, "layers": 1, "heads": 2}}
ALONE = World(rank=0, size=1, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def table(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_pairs(tmp_path_factory.mktemp("pairs"))


def after_steps(config: RunConfig, steps: int = 2) -> tuple[Run, dict[str, torch.Tensor], list[float]]:
    """The run, its weights and its losses after some steps."""
    run = set_up(config, ALONE)
    batches = run.loader.iterate(0)
    losses = [float(run.learner.step(next(batches), step, 1.0).loss) for step in range(steps)]
    batches.close()
    return run, run.learner.towers.state_dict(), losses


def test_a_step_is_the_papers(table: Path, tmp_path: Path) -> None:
    """Figure 3 of the paper and torch's AdamW, written out."""
    config = run_config(table, tmp_path / "run", train={"share_positives": False})
    run = set_up(config, ALONE)
    model = run.learner.towers.model
    plain = {name: p.detach().clone().requires_grad_() for name, p in model.named_parameters()}
    batch = next(run.loader.iterate(0))
    preprocess = run.start.preprocess
    mean, std = (torch.tensor(values)[:, None, None] for values in (preprocess.mean, preprocess.std))
    pixels = (batch.images / 255 - mean) / std
    tokens = torch.tensor([[*ids, *[0] * (77 - len(ids))] for ids in batch.tokens])
    image, text, scale = torch.func.functional_call(model, plain, (pixels, tokens))
    logits = scale * image @ text.T
    labels = torch.arange(len(logits))
    loss = (F.cross_entropy(logits, labels) + F.cross_entropy(logits.T, labels)) / 2
    loss.backward()  # type: ignore[no-untyped-call]

    result = run.learner.step(batch, 0, 1.0)
    assert_close(result.loss, loss.detach(), atol=1e-6, rtol=0)
    norm = torch.cat([p.grad.flatten() for p in plain.values() if p.grad is not None]).norm()
    assert_close(result.grad_norm, norm, atol=1e-5, rtol=1e-5)
    clipped = min(1.0, 1.0 / float(norm))
    weight = plain["visual.proj"]
    assert weight.grad is not None
    gradient = weight.grad * clipped
    expected = weight * (1 - 1e-3 * 0.2) - 1e-3 * gradient / (gradient.abs() + 1e-6)  # Adam's first step
    assert_close(model.get_parameter("visual.proj").detach(), expected.detach(), atol=1e-5, rtol=0)


@pytest.mark.parametrize("chunk", [1, 5, 11])
@pytest.mark.parametrize("loss", ["clip", "siglip"])
def test_chunks_change_nothing(chunk: int, loss: str, table: Path, tmp_path: Path) -> None:
    whole = run_config(table, tmp_path / "run", train={"patch_dropout": 0.5, "loss": loss})
    in_chunks = replace(whole, train=replace(whole.train, chunk_size=chunk))
    _, expected, expected_losses = after_steps(whole)
    _, got, losses = after_steps(in_chunks)
    assert losses == pytest.approx(expected_losses, abs=1e-5)
    # Adam divides by the gradient's size, so that rounding in the smallest gradients is a share of the rate (1e-3).
    assert all(torch.allclose(got[name], tensor, atol=1e-4) for name, tensor in expected.items())


def test_chunks_are_refused_for_a_resnet(table: Path, tmp_path: Path) -> None:
    config = run_config(table, tmp_path / "run", model={"config": RESNET}, train={"chunk_size": 4})
    with pytest.raises(
        ValueError, match="gradient caching is exact only without batch norm, and this image tower is a ResNet"
    ):
        set_up(config, ALONE)


def test_recomputing_layers_changes_nothing(table: Path, tmp_path: Path) -> None:
    for kind in ({}, {"config": RESNET}):
        kept = run_config(table, tmp_path / "run", model=kind)
        recomputed = replace(kept, train=replace(kept.train, activation_checkpointing=True))
        _, expected, _ = after_steps(kept)
        _, got, _ = after_steps(recomputed)
        assert all(torch.equal(got[name], tensor) for name, tensor in expected.items())


def test_what_is_kept_for_the_backward_pass_follows_the_chunk(table: Path, tmp_path: Path) -> None:
    peaks = {chunk: _peak_kept(table, tmp_path / str(chunk), chunk) for chunk in (48, 12, 6, 3)}
    # All of them keep the features of the whole batch beside, of which the towers' layers are many times the size.
    assert peaks[12] < peaks[48] / 3
    assert peaks[6] < peaks[12] / 1.6
    assert peaks[3] < peaks[6] / 1.6


def _peak_kept(table: Path, folder: Path, chunk: int) -> int:
    """The most bytes that autograd holds at once in a step of 48 pairs, the parameters left out."""
    run = set_up(run_config(table, folder, train={"batch_size": 48, "chunk_size": chunk}), ALONE)
    parameters = {parameter.untyped_storage().data_ptr() for parameter in run.learner.towers.parameters()}
    held = peak = 0

    class Held:
        def __init__(self, tensor: Tensor) -> None:
            nonlocal held, peak
            self.tensor = tensor
            self.size = 0 if tensor.untyped_storage().data_ptr() in parameters else tensor.nbytes
            held += self.size
            peak = max(peak, held)

        def __del__(self) -> None:
            nonlocal held
            held -= self.size

    with torch.autograd.graph.saved_tensors_hooks(Held, lambda kept: kept.tensor):
        run.learner.step(next(run.loader.iterate(0)), 0, 1.0)
    return peak


def test_a_compiled_image_tower_learns_as_an_eager_one(table: Path, tmp_path: Path) -> None:
    eager = run_config(table, tmp_path / "run", model={"config": SHALLOW})
    compiled = replace(eager, train=replace(eager.train, compile=True))
    torch.compiler.reset()
    _, expected, expected_losses = after_steps(eager, 1)
    with warnings.catch_warnings(record=True) as warned:  # an error within the compiler would end it
        warnings.simplefilter("default")
        run, got, losses = after_steps(compiled, 1)
    assert not [warning for warning in warned if issubclass(warning.category, UserWarning)]
    assert run.learner.towers.model.visual._compiled_call_impl is not None
    assert losses == pytest.approx(expected_losses, abs=1e-5)
    assert all(torch.allclose(got[name], tensor, atol=1e-4) for name, tensor in expected.items())  # as for chunks


def test_compiling_without_a_compiler_is_refused(table: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    with pytest.raises(DiptychError, match=r"needs a C\+\+ compiler, and there is no no-such-compiler: install it"):
        set_up(run_config(table, tmp_path / "run", train={"compile": True}), ALONE)


def in_half_precision(run: Run, scale: float) -> Learner:
    """Another learner of a run's towers, that computes in float16 with this loss scale."""
    learner = Learner(run.learner.towers, run.config, torch.float16, ALONE)
    learner.scaler.load_state_dict({**learner.scaler.state_dict(), "scale": scale})
    return learner


def test_loss_scaling_changes_no_step_but_leaves_out_one_that_overflows(table: Path, tmp_path: Path) -> None:
    plain, half = (set_up(run_config(table, tmp_path / "run"), ALONE) for _ in range(2))
    batch = next(plain.loader.iterate(0))
    before = {name: tensor.clone() for name, tensor in half.learner.towers.state_dict().items()}
    learner = in_half_precision(half, 2.0**40)
    result = learner.step(batch, 0, 1.0)
    assert not result.grad_norm.isfinite()
    assert all(torch.equal(tensor, before[name]) for name, tensor in learner.towers.state_dict().items())
    assert learner.scaler.get_scale() == 2.0**39

    learner = in_half_precision(half, 2.0**8)
    result, expected = learner.step(batch, 0, 1.0), plain.learner.step(batch, 0, 1.0)
    assert_close(result.loss, expected.loss, atol=5e-3, rtol=0)  # float16 has eleven bits
    assert_close(result.grad_norm, expected.grad_norm, atol=0, rtol=2e-2)
    assert learner.scaler.get_scale() == 2.0**8
    name = "model.visual.proj"
    moved, wanted = (each.towers.state_dict()[name] - before[name] for each in (learner, plain.learner))
    # Adam's first step is the rate by sign; only the smallest gradients may turn theirs.
    assert (moved - wanted).abs().mean() < 0.05 * wanted.abs().mean()


def test_the_loss_scale_is_saved_and_restored(table: Path, tmp_path: Path) -> None:
    run = set_up(run_config(table, tmp_path / "run"), ALONE)
    batches = run.loader.iterate(0)
    learner = in_half_precision(run, 2.0**40)
    for step, batch in zip(range(2), batches, strict=False):
        learner.step(batch, step, 1.0)
    save_state(tmp_path / "states", 2, learner, {"config": {}})
    state, _ = newest_state(tmp_path / "states")
    assert state is not None
    other = Learner(set_up(run_config(table, tmp_path / "run"), ALONE).learner.towers, run.config, torch.float16, ALONE)
    restore(other, state)
    assert other.scaler.get_scale() == learner.scaler.get_scale() == 2.0**38
    assert other.scaler.state_dict() == learner.scaler.state_dict()


def test_locked_towers_keep_every_bit(table: Path, tmp_path: Path) -> None:
    config = run_config(table, tmp_path / "run", model={"config": RESNET, "locked": ["visual.*"]})
    run, got, _ = after_steps(config)
    for name, tensor in run.start.tensors.items():
        is_same = torch.equal(got[f"model.{name}"], tensor)
        assert is_same or not name.startswith("visual."), name
    assert not torch.equal(got["model.text.text_projection"], run.start.tensors["text.text_projection"])


def test_the_scale_stays_at_100_or_less(table: Path, tmp_path: Path) -> None:
    run = set_up(run_config(table, tmp_path / "run"), ALONE)
    with torch.no_grad():
        run.learner.towers.model.logit_scale.fill_(4.7)
    run.learner.step(next(run.loader.iterate(0)), 0, 1.0)
    assert float(run.learner.towers.model.logit_scale.detach().exp()) <= 100.001


@pytest.mark.parametrize("chunk", [None, 2])
def test_a_batch_of_which_nothing_is_left_stops_the_run(chunk: int | None, tmp_path: Path) -> None:
    table = write_pairs(tmp_path / "pairs", 12)
    for image in table.parent.glob("*.png"):
        image.write_bytes(b"no image")
    config = run_config(table, tmp_path / "run", train={"chunk_size": chunk}, data={"bad_sample_limit": 1.0})
    with pytest.raises(DataError, match=r"No sample of a batch could be used, in any process\. The last: shapes/0"):
        train(config)
    assert (tmp_path / "run" / "bad-samples-0.log").read_text().count("not an image") == 12


def test_the_model_learns_and_the_run_leaves_a_model(table: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    folder = train(run_config(table, run, train={"steps": 60, "ema_decay": 0.9}, optimiser={"lr": 3e-3}))
    assert folder == run / "model"
    assert {path.name for path in folder.iterdir()} >= {"config.json", "model.safetensors", "README.md", "curves.png"}
    from diptych.train.log import read_metrics

    losses = [row["loss"] for row in read_metrics(run / "metrics.jsonl") if "loss" in row]
    assert losses[-1] < 0.7 * losses[0]


def test_the_model_that_comes_out_is_the_one_that_is_measured(table: Path, tmp_path: Path) -> None:
    start = train(run_config(table, tmp_path / "first"))
    config = run_config(table, tmp_path / "run", model={"config": None, "start": str(start)}, train={"steps": 3})
    models = {share: _train_and_compare(config, share, tmp_path) for share in (0.0, 0.5, 1.0)}
    assert_close(models[0.5], (models[0.0] + models[1.0]) / 2)
    assert torch.equal(models[1.0], load_file(tmp_path / "first" / "model" / "model.safetensors")["visual.proj"])


def test_a_measure_that_fails_does_not_end_the_run(
    table: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def measure(_: TorchEncoder) -> dict[str, float]:
        raise DataError("set: the disk is gone.")

    evaluators = [Evaluator(name="set", every_steps=4, measure=measure)]
    assert train(run_config(table, tmp_path / "run"), evaluators=evaluators) == tmp_path / "run" / "model"
    assert capsys.readouterr().err.count("set could not be measured: set: the disk is gone.") == 3


def _train_and_compare(config: RunConfig, share: float, folder: Path) -> Tensor:
    """The image projection that comes out with a share of the start, which must be the one measured at the end."""
    measured: list[Tensor] = []

    def measure(encoder: TorchEncoder) -> dict[str, float]:
        measured.append(encoder.model.get_parameter("visual.proj").detach().float().clone())
        return {}

    changed = replace(config, run=folder / str(share), train=replace(config.train, average_with_start=share))
    train(changed, evaluators=[Evaluator(name="set", every_steps=None, measure=measure)])
    projection = load_file(folder / str(share) / "model" / "model.safetensors")["visual.proj"]
    assert_close(projection, measured[-1], atol=1e-2, rtol=1e-2)  # it is measured in bfloat16
    return projection
