"""Which pairs to learn from, and how: the [data] table of a training config, and what `diptych evaluate` reads."""

from dataclasses import dataclass, field
from typing import Literal

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
        if self.weight is not None and not 0 <= self.weight < float("inf"):
            raise ValueError(f"weight must be 0 or more, got {self.weight}")


@dataclass(frozen=True, kw_only=True)
class AugmentConfig:
    """What is done to a picture before the image tower sees it in training; the default is the paper's random crop."""

    min_scale: float = 0.9  # least share of the picture's area that a crop keeps
    max_scale: float = 1.0
    min_ratio: float = 0.75  # of width to height; 1 with max_ratio 1 crops squares only
    max_ratio: float = 4 / 3
    flip: bool = False
    colour_jitter: float = 0.0  # strength of changes in brightness, contrast, saturation
    greyscale: float = 0.0  # probabilities, here and below
    erase: float = 0.0


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """The mixture and how it is read."""

    sources: tuple[SourceConfig, ...]
    epoch_samples: int | None = None  # what an epoch of the mixture is; None: the number of samples of all sources
    augment: AugmentConfig = field(default_factory=AugmentConfig)
    workers: int = 2  # processes that decode ahead; 0 decodes in the training process
    bad_sample_limit: float = 0.01  # share of samples that may be unreadable before the run stops
