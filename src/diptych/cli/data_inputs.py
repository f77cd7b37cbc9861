"""What `diptych data` is given, a training config or paths of data, to sources and to what measures them."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from diptych.data.check import Measures
from diptych.data.config import SourceConfig
from diptych.data.sample import Source
from diptych.encode.workers import core_count
from diptych.errors import DiptychError
from diptych.images import open_image
from diptych.tokenizer import Tokenizer, clip_tokenizer

if TYPE_CHECKING:
    from diptych.train.config import ModelConfig, RunConfig


@dataclass(frozen=True, kw_only=True)
class Columns:
    """Where a table keeps its images and captions, if the names of its columns do not tell."""

    image: str | None
    caption: Sequence[str] | None


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """The sources to learn from, those to measure on, and the run's config if there is one."""

    training: list[SourceConfig]
    validation: list[SourceConfig]
    config: "RunConfig | None"


def read_inputs(
    arguments: Sequence[str], validation: Sequence[str], overrides: Sequence[str], columns: Columns
) -> Inputs:
    """One config (its sources, and the sets that it evaluates on), or paths; `validation` is added to either."""

    def described(path: str) -> SourceConfig:
        captions = tuple(columns.caption) if columns.caption else None
        return SourceConfig(path=path, image_column=columns.image, caption_column=captions)

    more = [described(path) for path in validation]
    configs = [argument for argument in arguments if argument.lower().endswith(".toml")]
    if not configs:
        if overrides:
            raise ValueError("--set changes a key of a config, and none is given: give a .toml file.")
        return Inputs(training=[described(path) for path in arguments], validation=more, config=None)
    if len(arguments) > 1:
        raise ValueError(f"Give one config, or paths of data, got {' '.join(arguments)}.")
    if columns.image or columns.caption:
        raise ValueError("A config names its own columns: leave out --image-column and --caption-column.")
    from diptych.train.config import read_config

    config = read_config(Path(configs[0]), overrides)
    measured = list(dict.fromkeys(each.source for each in config.evaluate))
    return Inputs(training=list(config.data.sources), validation=[*measured, *more], config=config)


def measures_of(config: "RunConfig | None") -> Measures:
    """Images decoded, and captions counted in the tokens of the config's model, or else of CLIP."""
    tokenizer, context_length = (clip_tokenizer(), 77) if config is None else _text_side(config.model)
    return Measures(
        measure_image=image_size,
        count_tokens=lambda texts: map(len, tokenizer.encode_batch(texts)),
        context_length=context_length,
        bad_sample_limit=0.01 if config is None else config.data.bad_sample_limit,
        workers=core_count(),
    )


def refusals(config: "RunConfig | None", training: Sequence[Source]) -> tuple[str, ...]:
    """What `diptych train` would refuse of a config before its first step, a line each."""
    if config is None:
        return ()
    from diptych.cli.train import evaluators_of
    from diptych.train.setup import check_run

    lines = []
    for check in (partial(check_run, config, training), partial(evaluators_of, config.evaluate)):
        try:
            check()
        except (DiptychError, ValueError) as error:
            lines.append(str(error))
    return tuple(lines)


def image_size(image: bytes) -> tuple[int, int]:
    """Upright width and height; all of the image is decoded, at an eighth of its size where that is quicker."""
    picture = open_image(image, shortest_side=1)
    width, height = picture.info.get("reduced", {}).get("full_size", picture.size)
    return width, height


def _text_side(model: "ModelConfig") -> tuple[Tokenizer, int]:
    from diptych.checkpoints import load_checkpoint
    from diptych.checkpoints.checkpoint import all_presets
    from diptych.encode.encoder import tokenizer_of

    if model.start is not None:
        checkpoint = load_checkpoint(model.start, preset=model.preset or model.config, activation=model.activation)
        return tokenizer_of(checkpoint), checkpoint.config.text.context_length
    config = model.config or all_presets().get(model.preset or "")
    if config is None:
        raise ValueError(f"model.preset: there is no preset {model.preset!r}; see `diptych models`")
    return clip_tokenizer(), config.text.context_length
