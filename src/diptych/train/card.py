"""The model card: data, settings, curves, measures and limits of one run, from what the run itself knows."""

import json
import os
import platform
from collections.abc import Sequence
from typing import Any

import torch

from diptych import __version__
from diptych.model.config import CLIPConfig, ResNetConfig
from diptych.model.shapes import parameter_count, tensor_shapes
from diptych.settings import to_dict
from diptych.train.log import clock
from diptych.train.setup import Run

_CARD = """---
library_name: diptych
pipeline_tag: zero-shot-image-classification
tags: [clip]
---
# {name}

A CLIP trained with Diptych {version}: {architecture}.

```console
$ diptych classify photo.jpg --labels "dog,cat" --model {folder}
```

## Data

{data}

## Training

{training}

![The curves of the run](curves.png)

## Measures

{measures}

## Limits

It knows what its pairs showed it, in their words, and repeats their mistakes and prejudices. Its probabilities compare
the labels offered: a picture of none of them still gets a winner. Measure it on your own pictures before relying on
it; it is not fit for decisions about people. The terms of its data, listed above, apply to it.

## Configuration

```json
{config}
```
"""


def write_card(run: Run, metrics: Sequence[dict[str, Any]]) -> str:
    """The card as Markdown."""
    return _CARD.format(
        name=run.config.run.name,
        folder=run.config.run.name,
        version=__version__,
        architecture=_architecture(run.start.config),
        data=_data(run),
        training=_training(run, metrics),
        measures=_measures(metrics),
        config=json.dumps(to_dict(run.config), indent=2),
    )


def _architecture(config: CLIPConfig) -> str:
    vision, text = config.vision, config.text
    kind = (
        f"a ModifiedResNet {vision.layers} of width {vision.width}"
        if isinstance(vision, ResNetConfig)
        else f"a ViT of {vision.layers} layers, width {vision.width}, patches of {vision.patch_size} pixels"
    )
    height, width = vision.image_size
    return (
        f"{kind} on {height} x {width} pixels, a text transformer of {text.layers} layers, width {text.width}, "
        f"in a space of {config.embed_dim}; {parameter_count(tensor_shapes(config)) / 1e6:.1f} M parameters"
    )


def _data(run: Run) -> str:
    weights = [
        float(len(source)) if config.weight is None else config.weight
        for source, config in zip(run.sources, run.config.data.sources, strict=True)
    ]
    rows = [
        f"| {source.name} | {len(source):,} | {weight / sum(weights):.1%} |"
        for source, weight in zip(run.sources, weights, strict=True)
    ]
    return "\n".join(["| source | pairs | share of the mixture |", "|---|---|---|", *rows])


def _training(run: Run, metrics: Sequence[dict[str, Any]]) -> str:
    config = run.config
    seconds = max((row.get("seconds", 0.0) for row in metrics), default=0.0)
    start = f"from {config.model.start}" if config.model.start else "from random weights"
    device = _device_name(run)
    return (
        f"{run.steps:,} steps of {config.train.batch_size:,} pairs, {start}, seed {config.seed}, "
        f"in {clock(seconds)} on {device}."
    )


def _device_name(run: Run) -> str:
    device = run.world.device
    if device.type == "cuda":
        return f"{run.world.size} x {torch.cuda.get_device_name(device)}"
    return f"{os.cpu_count()} CPU cores ({platform.machine()})"


def _measures(metrics: Sequence[dict[str, Any]]) -> str:
    """The last value of each measure; its name is the set's and the metric's."""
    last = {
        name: (value, row["step"])
        for row in metrics
        for name, value in row.items()
        if "/" in name and not name.startswith("loss/")
    }
    if not last:
        return "None were taken: add `[[evaluate]]` tables to the config, or run `diptych evaluate`."
    rows = [f"| {name} | {value:.4g} | {step:,} |" for name, (value, step) in sorted(last.items())]
    return "\n".join(["| set and measure | value | at step |", "|---|---|---|", *rows])
