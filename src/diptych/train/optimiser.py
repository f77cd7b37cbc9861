"""AdamW over the groups that pretraining tells apart: tower by tower, with weight decay and without."""

import fnmatch
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn

from diptych.model.clip import CLIP
from diptych.train.config import OptimiserConfig
from diptych.train.towers import Towers


def is_decayed(name: str, parameter: Tensor) -> bool:
    """Matrices and kernels are decayed; gains, biases, the scale, class and position embeddings are not.

    The paper (section 2.5) exempts gains and biases, open_clip also the scale and the class embedding; positions, which
    are added like a bias, are exempt here as well.
    """
    return parameter.ndim >= 2 and not name.endswith(("positional_embedding", "class_embedding"))


def lock(model: CLIP, patterns: Sequence[str], *, batch_norms: bool = False) -> list[str]:
    """Take the gradients from the parameters whose names match, and from all batch norms if asked; their names.

    Raises ValueError where a pattern matches none, or nothing is left to learn.

    A whole subtree is named by its beginning: "visual.*", "text.transformer.blocks.0.*".
    """
    locked = []
    for pattern in patterns:
        names = fnmatch.filter((name for name, _ in model.named_parameters()), pattern)
        if not names:
            towers = "visual.*, text.*, logit_scale"
            raise ValueError(f"model.locked: {pattern!r} matches no parameter; the towers are {towers}")
        locked += names
    if batch_norms:
        norms = [name for name, module in model.named_modules() if isinstance(module, nn.BatchNorm2d)]
        locked += [f"{norm}.{each}" for norm in norms for each in ("weight", "bias")]
    for name in locked:
        model.get_parameter(name).requires_grad_(False)
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError("model.locked locks every parameter: nothing is left to learn")
    return sorted(set(locked))


def set_training(model: nn.Module) -> None:
    """Training mode, except in modules that are locked whole: their batch norms keep the statistics they came with."""
    model.train()
    for module in model.modules():
        parameters = list(module.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            module.eval()


def parameter_groups(named: Iterable[tuple[str, nn.Parameter]], config: OptimiserConfig) -> list[dict[str, object]]:
    """AdamW's groups of the parameters that learn, each with `base_lr`, which the schedule multiplies."""
    rates = {"visual": config.vision_lr, "text": config.text_lr}
    groups: dict[tuple[str, bool], dict[str, object]] = {}
    for name, parameter in named:
        if not parameter.requires_grad:
            continue
        tower = name.partition(".")[0]
        decayed = is_decayed(name, parameter)
        rate = rates.get(tower)
        base_lr = config.lr if rate is None else rate
        group = groups.setdefault(
            (tower, decayed),
            {"params": [], "base_lr": base_lr, "lr": base_lr, "weight_decay": config.weight_decay if decayed else 0.0},
        )
        group["params"].append(parameter)  # type: ignore[attr-defined]
    return list(groups.values())


def make_optimiser(towers: Towers, config: OptimiserConfig) -> torch.optim.AdamW:
    """AdamW for all that learns, with the paper's settings for its kind where the config leaves them open."""
    named = ((name.removeprefix("model."), parameter) for name, parameter in towers.named_parameters())
    groups = parameter_groups(named, config)
    model = towers.model.config
    return torch.optim.AdamW(groups, lr=config.lr, betas=config.betas(model), eps=config.epsilon(model), fused=True)


def set_learning_rate(optimiser: torch.optim.Optimizer, share: float) -> None:
    """Each group's own rate times the schedule's share."""
    for group in optimiser.param_groups:
        group["lr"] = group["base_lr"] * share


@torch.no_grad()
def pull_to_start(model: CLIP, start: Mapping[str, Tensor], optimiser: torch.optim.Optimizer, strength: float) -> None:
    """Decoupled decay towards the starting weights (Li et al. 2018, L2-SP), where weight decay would pull to zero."""
    rates = {id(parameter): group["lr"] for group in optimiser.param_groups for parameter in group["params"]}
    for name, parameter in model.named_parameters():
        if id(parameter) in rates:
            parameter.lerp_(start[name], min(1.0, rates[id(parameter)] * strength))
