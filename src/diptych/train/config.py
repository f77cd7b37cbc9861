"""One training run, described: what a CONFIG.toml holds. Every field has the paper's value or a stated default."""

import math
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from diptych.data.config import DataConfig, SourceConfig
from diptych.model.config import Activation, CLIPConfig, ResNetConfig
from diptych.settings import from_dict

Precision = Literal["auto", "fp32", "bf16", "fp16"]


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """What is trained: one of a `preset` (its weights drawn anew), a `start` that `diptych.load` reads, a `config`.

    Beside a `start` that is a bare state dict, `preset` or `config`, and `activation`, tell what it leaves open.
    `image_size` (pixels) overrides the preset's or the start's, whose position embeddings are then resized.
    `locked` holds patterns of parameter names that stay as they are: ["visual.*"] is LiT (Zhai et al. 2022).
    `lock_batch_norms` keeps those of a ResNet as they came, their running statistics too; a ViT has none.
    """

    preset: str | None = None
    start: str | None = None
    config: CLIPConfig | None = None
    activation: Activation | None = None
    image_size: int | None = None
    locked: tuple[str, ...] = ()
    lock_batch_norms: bool = False

    def __post_init__(self) -> None:
        given = [name for name in ("preset", "start", "config") if getattr(self, name) is not None]
        told = [name for name in given if name != "start"]
        _require(
            len(told) == 1 or given == ["start"],
            f"give one of preset, start and config, got {' and '.join(given) or 'none'}",
        )
        is_told = self.activation is None or self.start is not None
        _require(is_told, "activation goes with start, where a bare state dict leaves it open: a config says its own")


@dataclass(frozen=True, kw_only=True)
class OptimiserConfig:
    """AdamW with linear warm-up and cosine decay to zero (Radford et al. 2021, table 18 and 19).

    None for beta2 and eps is the paper's value for the image tower: 0.999 and 1e-8 for a ResNet, 0.98 and 1e-6 for a
    ViT. `vision_lr` and `text_lr` stand in for `lr` in their tower. `decay_to_start` pulls the weights towards those
    that the run started from, as weight decay pulls them to zero, and takes its place.
    """

    lr: float = 5e-4
    vision_lr: float | None = None
    text_lr: float | None = None
    warmup_steps: int = 2_000
    weight_decay: float = 0.2
    decay_to_start: float = 0.0
    beta1: float = 0.9
    beta2: float | None = None
    eps: float | None = None
    clip_norm: float | None = 1.0  # of all gradients together

    def __post_init__(self) -> None:
        for name in ("lr", "vision_lr", "text_lr", "weight_decay", "decay_to_start", "eps", "clip_norm"):
            value = getattr(self, name)
            _require(value is None or 0 <= value < math.inf, f"{name} must be 0 or more, got {value}")
        _require(self.warmup_steps >= 0, f"warmup_steps must be 0 or more, got {self.warmup_steps}")
        for name in ("beta1", "beta2"):
            value = getattr(self, name)
            _require(value is None or 0 <= value < 1, f"{name} must be from 0 to below 1, got {value}")
        both = self.weight_decay > 0 and self.decay_to_start > 0
        _require(not both, "decay_to_start takes the place of weight_decay: set weight_decay = 0 beside it")

    def betas(self, config: CLIPConfig) -> tuple[float, float]:
        """beta 1 and 2 for a model of this kind."""
        is_resnet = isinstance(config.vision, ResNetConfig)
        return self.beta1, self.beta2 if self.beta2 is not None else (0.999 if is_resnet else 0.98)

    def epsilon(self, config: CLIPConfig) -> float:
        """What keeps the division of a step finite."""
        is_resnet = isinstance(config.vision, ResNetConfig)
        return self.eps if self.eps is not None else (1e-8 if is_resnet else 1e-6)


@dataclass(frozen=True, kw_only=True)
class TrainConfig:
    """How long, in what batches, and at what cost.

    `batch_size` is that of all processes together. `chunk_size` computes it in parts of so many pairs a process, with
    the loss over all (Gao et al. 2021, gradient caching): memory then follows the chunk. `share_positives` makes pairs
    of the same text or the same image positives of each other.
    """

    batch_size: int = 32_768
    epochs: float = 32
    steps: int | None = None  # stands in for epochs
    loss: Literal["clip", "siglip"] = "clip"
    share_positives: bool = True
    precision: Precision = "auto"  # bf16 where the device computes it, fp16 on other GPUs, else fp32
    chunk_size: int | None = None
    patch_dropout: float = 0.0  # share of a ViT's patches that a sample is trained without (Li et al. 2023, FLIP)
    ema_decay: float | None = None  # the averaged weights are then what is evaluated and saved as the model
    average_with_start: float = 0.0  # share of the starting weights in the final model (Wortsman et al. 2022, WiSE-FT)
    activation_checkpointing: bool = False
    compile: bool = False

    def __post_init__(self) -> None:
        for name in ("batch_size", "steps", "chunk_size"):
            value = getattr(self, name)
            _require(value is None or value >= 1, f"{name} must be 1 or more, got {value}")
        _require(0 < self.epochs <= 1e6, f"epochs must be above 0 and at most 1,000,000, got {self.epochs}")
        for name in ("patch_dropout", "ema_decay"):
            value = getattr(self, name)
            _require(value is None or 0 <= value < 1, f"{name} must be from 0 to below 1, got {value}")
        _require(
            0 <= self.average_with_start <= 1, f"average_with_start must be in 0..1, got {self.average_with_start}"
        )


@dataclass(frozen=True, kw_only=True)
class SaveConfig:
    """When the state of a run is written, and how many states are kept. Whichever of the two comes first."""

    every_steps: int | None = 1_000
    every_minutes: float | None = 15
    keep: int = 3
    model_dtype: Literal["float32", "float16", "bfloat16"] = "float32"  # of the weights in the model that comes out

    def __post_init__(self) -> None:
        _require(
            self.every_steps is None or self.every_steps >= 1, f"every_steps must be 1 or more, got {self.every_steps}"
        )
        _require(
            self.every_minutes is None or self.every_minutes > 0,
            f"every_minutes must be above 0, got {self.every_minutes}",
        )
        _require(self.keep >= 1, f"keep must be 1 or more, got {self.keep}")


@dataclass(frozen=True, kw_only=True)
class EvaluateConfig:
    """One set that the model is measured on while it learns."""

    task: Literal["zero-shot", "retrieval"]
    source: SourceConfig
    every_steps: int | None = None  # None: at the end of each epoch; always at the end of the run

    def __post_init__(self) -> None:
        _require(
            self.every_steps is None or self.every_steps >= 1, f"every_steps must be 1 or more, got {self.every_steps}"
        )


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """A whole run; `run` is the folder it writes."""

    run: Path
    model: ModelConfig
    data: DataConfig
    seed: int = 0
    optimiser: OptimiserConfig = field(default_factory=OptimiserConfig)
    train: TrainConfig = field(default_factory=TrainConfig)
    save: SaveConfig = field(default_factory=SaveConfig)
    evaluate: tuple[EvaluateConfig, ...] = ()
    device: str = "auto"
    log_every_steps: int = 10

    def __post_init__(self) -> None:
        _require(self.log_every_steps >= 1, f"log_every_steps must be 1 or more, got {self.log_every_steps}")
        _require(0 <= self.seed < 2**63, f"seed must be from 0 to below 2**63, got {self.seed}")


# What may change when a run goes on: none of these enters the weights, or the state guards it by itself (precision).
FREE_TO_CHANGE = (
    *("run", "data.workers", "data.bad_sample_limit", "save", "evaluate", "device", "log_every_steps"),
    "train.precision",
)


def read_config(path: Path, overrides: Sequence[str] = ()) -> RunConfig:
    """The run that a TOML file describes, with `dotted.key=value` overrides, the value as TOML or else a plain string.

    Raises ValueError in one line for whatever is wrong with either.
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except OSError as error:
        raise ValueError(f"{path}: cannot be read ({(error.strerror or str(error)).lower()})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, RecursionError) as error:
        raise ValueError(f"{path}: not TOML: {error}") from error
    for override in overrides:
        _override(data, override)
    return from_dict(RunConfig, data, where=str(path))


def _override(data: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ValueError(f"--set {override}: write it as key=value, for example train.batch_size=256")
    *parents, last = key.strip().split(".")
    table: Any = data
    for parent in parents:
        table = _child(table, parent, override)
    if isinstance(table, list):
        table[_index(table, last, override)] = _value(text)
    else:
        table[last] = _value(text)


def _child(table: Any, name: str, override: str) -> Any:  # noqa: ANN401 (a table or a list of plain data)
    child = table[_index(table, name, override)] if isinstance(table, list) else table.setdefault(name, {})
    if not isinstance(child, dict | list):
        raise ValueError(f"--set {override}: {name} is a value, not a table of settings")
    return child


def _index(table: list[Any], name: str, override: str) -> int:
    if not name.isdecimal() or int(name) >= len(table):
        raise ValueError(f"--set {override}: {name} is not a place in a list of {len(table)}; the first is 0")
    return int(name)


def _value(text: str) -> Any:  # noqa: ANN401 (plain data)
    try:
        return tomllib.loads(f"value = {text.strip()}")["value"]
    except (tomllib.TOMLDecodeError, RecursionError):
        return text.strip()


def changed_keys(old: object, new: object, name: str = "") -> dict[str, tuple[object, object]]:
    """What differs between two configs as plain data: dotted key to both values, without what is free to change."""
    if name in FREE_TO_CHANGE or old == new:
        return {}
    if isinstance(old, list) and isinstance(new, list) and len(old) == len(new):
        old, new = (dict(enumerate(items)) for items in (old, new))
    if not (isinstance(old, dict) and isinstance(new, dict)):
        return {name: (old, new)}
    keys = sorted(old.keys() | new.keys())
    changed: dict[str, tuple[object, object]] = {}
    for key in keys:
        changed |= changed_keys(old.get(key), new.get(key), f"{name}.{key}" if name else str(key))
    return changed
