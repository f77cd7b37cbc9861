"""Which pairs to learn from, and how: the [data] table of a training config, and what `diptych evaluate` reads."""

from dataclasses import dataclass, field
from math import inf
from typing import Literal

MOST_WORKERS = 256  # of a training process, each of about 150 MB: a slip of the hand must not bring a machine down

SourceFormat = Literal["auto", "webdataset", "parquet", "table", "folder"]


@dataclass(frozen=True, kw_only=True)
class SourceConfig:
    """One source of pairs.

    `path` is a file, a folder, a glob pattern or an fsspec URL, or a list of these. "auto" tells the format from what
    lies there: `.tar` is webdataset, `.parquet` with image bytes is parquet, a CSV, TSV, JSONL or Parquet of file names
    is a table, a folder of folders of images is one class per folder.
    """

    path: str | tuple[str, ...]
    name: str = ""  # empty: the last part of the path
    format: SourceFormat = "auto"
    weight: float | None = None  # share of the mixture; None: its number of samples
    balance_classes: bool = False  # every class equally often, instead of every image
    templates: str | tuple[str, ...] | None = None  # for class names; a name of diptych.prompts or the templates
    class_name_draw: Literal["first", "any"] = "first"
    image_column: str | None = None  # parquet and tables; None: found by name
    caption_column: str | tuple[str, ...] | None = None
    class_column: str | None = None
    image_root: str | None = None  # tables: file names are relative to this; None: to the table

    def __post_init__(self) -> None:
        _require(self.weight is None or 0 <= self.weight < inf, f"weight must be 0 or more, got {self.weight}")
        if isinstance(self.templates, tuple):
            _require(bool(self.templates), "templates must hold at least one prompt")
            for template in self.templates:
                _require("{}" in template, f"each of the templates needs {{}} where the name goes, got {template!r}")


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """What is done to a sample before the towers see it in training; the default is the paper's random crop."""

    min_scale: float = 0.9  # least share of the picture's area that a crop keeps
    max_scale: float = 1.0
    min_ratio: float = 0.75  # of width to height; 1 with max_ratio 1 crops squares only
    max_ratio: float = 4 / 3
    flip: bool = False
    colour_jitter: float = 0.0  # brightness, contrast and saturation change by up to this share
    greyscale: float = 0.0  # probabilities, here and below
    erase: float = 0.0  # of a rectangle (Zhong et al. 2020)
    word_dropout: float = 0.0  # of each word of a caption; class names in templates stay whole

    def __post_init__(self) -> None:
        scales, ratios = (self.min_scale, self.max_scale), (self.min_ratio, self.max_ratio)
        _require(0 < scales[0] <= scales[1] <= 1, f"0 < min_scale <= max_scale <= 1 must hold, got {scales}")
        _require(0 < ratios[0] <= ratios[1] < inf, f"0 < min_ratio <= max_ratio must hold, got {ratios}")
        for name in ("colour_jitter", "greyscale", "erase", "word_dropout"):
            _require(0 <= getattr(self, name) <= 1, f"{name} must be from 0 to 1, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The mixture and how it is read."""

    sources: tuple[SourceConfig, ...]
    epoch_samples: int | None = None  # what an epoch of the mixture is; None: the number of samples of all sources
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    workers: int = 2  # processes that decode ahead; 0 decodes in the training process
    bad_sample_limit: float = 0.01  # share of samples that may be unreadable before the run stops

    def __post_init__(self) -> None:
        _require(bool(self.sources), "sources must hold at least one source")
        weighted = [source.weight for source in self.sources]
        mixed = None in weighted and any(weighted)
        _require(not mixed, "give a weight to every source or to none: without one it is the number of samples")
        _require(
            self.epoch_samples is None or self.epoch_samples >= 1,
            f"epoch_samples must be 1 or more, got {self.epoch_samples}",
        )
        _require(0 <= self.workers <= MOST_WORKERS, f"workers must be from 0 to {MOST_WORKERS}, got {self.workers}")
        limit = self.bad_sample_limit
        _require(0 <= limit <= 1, f"bad_sample_limit must be from 0 to 1, got {limit}")


def _require(holds: bool, message: str) -> None:
    if not holds:
        raise ValueError(message)
