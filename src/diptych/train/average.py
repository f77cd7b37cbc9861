"""An exponential moving average of the weights, which generalises better than the last step's (Polyak)."""

import torch
from torch import Tensor, nn


class WeightAverage:
    """The average of a module's parameters and floating-point buffers in float32, by their names in its state dict."""

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self.tensors = {name: tensor.detach().clone() for name, tensor in module.state_dict().items()}

    @torch.no_grad()
    def update(self, module: nn.Module, step: int) -> None:
        """Take in the weights after `step` (from 0); early on the average is short, and leaves the start behind."""
        decay = min(self.decay, (1 + step) / (10 + step))
        floats: tuple[list[Tensor], list[Tensor]] = ([], [])
        for name, tensor in module.state_dict().items():
            if tensor.is_floating_point():
                floats[0].append(self.tensors[name])
                floats[1].append(tensor)
            else:  # batch norm's count of batches
                self.tensors[name].copy_(tensor)
        torch._foreach_lerp_(floats[0], floats[1], 1 - decay)
