"""From a config to what a run works with: the model, its tokens and pixels, its data."""

import math
import os
import shutil
import sys
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch

from diptych.checkpoints import Checkpoint, load_checkpoint
from diptych.checkpoints.checkpoint import all_presets
from diptych.data.loader import Loader
from diptych.data.open import open_source
from diptych.data.sample import Source
from diptych.encode.encoder import tokenizer_of
from diptych.errors import DiptychError
from diptych.images import open_image
from diptych.model.clip import CLIP
from diptych.model.config import CLIPConfig, ResNetConfig, check_whole_patches
from diptych.preprocess import Preprocess
from diptych.prompts import TEMPLATES
from diptych.settings import to_dict
from diptych.tokenizer import Tokenizer, clip_tokenizer, cut
from diptych.train.config import ModelConfig, RunConfig
from diptych.train.distributed import World
from diptych.train.optimiser import lock
from diptych.train.precision import resolve_precision
from diptych.train.step import Learner
from diptych.train.towers import Towers


@dataclass(frozen=True, kw_only=True)
class Run:
    """All that a run works with, before its first step. `start` is the checkpoint that it begins from."""

    config: RunConfig
    start: Checkpoint
    tokenizer: Tokenizer
    sources: list[Source]
    loader: Loader
    learner: Learner
    world: World
    steps: int
    steps_per_epoch: float

    def checkpoint(self) -> Checkpoint:
        """The model that would come out now: the averaged weights where they are kept, and the share of the start."""
        learner, share = self.learner, self.config.train.average_with_start
        tensors = learner.average.tensors if learner.average is not None else learner.towers.model.state_dict()
        trained = {name: tensor.detach().cpu() for name, tensor in tensors.items()}
        if share:  # keeps what the start knew (WiSE-FT, Wortsman et al. 2022)
            start = self.start.tensors
            trained = {
                name: tensor.lerp(start[name].to(tensor.dtype), share) if tensor.is_floating_point() else tensor
                for name, tensor in trained.items()
            }
        return replace(
            self.start,
            tensors=trained,
            source=str(self.config.run),
            format="diptych",
            training=to_dict(self.config),
        )


def set_up(config: RunConfig, world: World) -> Run:
    """Open the data, make or load the model and its optimiser. ValueError or DiptychError for what does not fit."""
    start = starting_checkpoint(config.model, config.seed)
    _check(config, start.config, world)
    model = CLIP(start.config)
    model.load_state_dict(start.tensors)
    lock(model, config.model.locked, batch_norms=config.model.lock_batch_norms)
    model.set_activation_checkpointing(config.train.activation_checkpointing)
    is_sigmoid = config.train.loss == "siglip"
    towers = Towers(model, start.preprocess, patch_dropout=config.train.patch_dropout, with_bias=is_sigmoid)
    if is_sigmoid:  # with the bias that belongs to it (Zhai et al. 2023); a start trained by the softmax has neither
        with torch.no_grad():
            model.logit_scale.fill_(math.log(10))
    towers.to(world.device)
    if isinstance(start.config.vision, ResNetConfig):
        model.visual.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # fastest for convolutions
    learner = Learner(towers, config, resolve_precision(config.train.precision, world.device), world)
    if config.train.compile:
        _check_can_compile()
        # Of how Dynamo reads a cached function: right for ours, whose answer stays the same, and nothing to act upon.
        warnings.filterwarnings("ignore", message="Dynamo detected a call to a `functools.lru_cache`")
        model.visual.compile()
    tokenizer = tokenizer_of(start)
    sources = [open_source(source) for source in config.data.sources]
    loader = make_loader(config, start.config, tokenizer, sources, world)
    epoch_samples = loader.mixture.epoch_samples
    steps = config.train.steps or max(1, round(config.train.epochs * epoch_samples / config.train.batch_size))
    if steps <= config.optimiser.warmup_steps and world.is_first:
        warnings.warn(
            f"optimiser.warmup_steps is {config.optimiser.warmup_steps:,} and the run has {steps:,} steps: it ends "
            f"before its learning rate is reached. Set it to {steps // 10:,}, a tenth of the steps, or so."
        )
    return Run(
        config=config,
        start=start,
        tokenizer=tokenizer,
        sources=sources,
        loader=loader,
        learner=learner,
        world=world,
        steps=steps,
        steps_per_epoch=epoch_samples / config.train.batch_size,
    )


def check_run(config: RunConfig, sources: Sequence[Source]) -> None:
    """Raise what `set_up` would raise of a config and its opened sources on any machine. No weights are drawn."""
    world = World(rank=0, size=1, device=torch.device("cpu"))
    tokenizer: Tokenizer = clip_tokenizer()
    if config.model.start is None:
        model_config, _ = _new_config(config.model)
    else:
        start = starting_checkpoint(config.model, config.seed)
        model_config, tokenizer = start.config, tokenizer_of(start)
    _check(config, model_config, world)
    with torch.device("meta"):
        model = CLIP(model_config)
    lock(model, config.model.locked, batch_norms=config.model.lock_batch_norms)
    make_loader(config, model_config, tokenizer, sources, world)


def _check_can_compile() -> None:
    compiler = os.environ.get("CXX", "clang++" if sys.platform == "darwin" else "g++")  # as torch looks for it
    if shutil.which(compiler) is None:
        raise DiptychError(
            f"train.compile needs a C++ compiler, and there is no {compiler}: install it, name another one in the "
            "environment variable CXX, or leave train.compile out."
        )


def starting_checkpoint(config: ModelConfig, seed: int) -> Checkpoint:
    """The weights that a run starts from: loaded, or drawn by the seed."""
    if config.start is not None:
        told = config.preset or config.config
        return load_checkpoint(config.start, preset=told, activation=config.activation, image_size=config.image_size)
    clip_config, source = _new_config(config)
    torch.manual_seed(seed)
    return Checkpoint(
        config=clip_config,
        tensors=CLIP(clip_config).state_dict(),
        preprocess=Preprocess(size=clip_config.vision.image_size),
        source=source,
        format="diptych",
    )


def _new_config(config: ModelConfig) -> tuple[CLIPConfig, str]:
    """What a model that starts from random weights is, and where that is said."""
    if config.config is not None:
        clip_config, source = config.config, "the config"
    else:
        presets = all_presets()
        if config.preset not in presets:
            raise ValueError(f"model.preset: there is no preset {config.preset!r}; see `diptych models`")
        clip_config, source = presets[config.preset], config.preset
    if config.image_size is not None:
        size = (config.image_size, config.image_size)
        clip_config = replace(clip_config, vision=replace(clip_config.vision, image_size=size))
    return clip_config, source


def make_loader(
    config: RunConfig, model: CLIPConfig, tokenizer: Tokenizer, sources: Sequence[Source], world: World
) -> Loader:
    """The batches of this process."""
    return Loader(
        sources,
        config.data,
        tokenize=partial(_tokens, tokenizer, model.text.context_length),
        open_image=open_image,
        image_size=model.vision.image_size,
        batch_size=config.train.batch_size,
        seed=config.seed,
        rank=world.rank,
        world_size=world.size,
        named_templates=TEMPLATES,
        pin_memory=world.device.type == "cuda",
    )


def _tokens(tokenizer: Tokenizer, context_length: int, texts: Sequence[str]) -> list[list[int]]:
    return [cut(ids, context_length, tokenizer.end_token) for ids in tokenizer.encode_batch(texts)]


def _check(config: RunConfig, model: CLIPConfig, world: World) -> None:
    check_whole_patches(model)
    is_resnet = isinstance(model.vision, ResNetConfig)
    if config.train.chunk_size is not None and is_resnet:
        raise ValueError(
            "train.chunk_size: gradient caching is exact only without batch norm, and this image tower is a ResNet: "
            "leave chunk_size out, or choose a ViT"
        )
    if config.train.patch_dropout and is_resnet:
        raise ValueError("train.patch_dropout drops a ViT's patches, and this image tower is a ResNet: set it to 0")
    if config.train.batch_size < world.size:
        raise ValueError(f"train.batch_size is {config.train.batch_size}, less than the {world.size} processes")
    if config.train.average_with_start and config.model.start is None:
        raise ValueError("train.average_with_start needs model.start: random weights are nothing to average with")
