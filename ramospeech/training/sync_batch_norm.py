"""Batch normalisation by what all processes see, as if one of them had the whole batch.

(Ioffe and Szegedy, ICML 2015; PyTorch's SyncBatchNorm and Horovod's do this on GPUs only.)
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import BatchNorm2d

from ramospeech.training.distributed import ProcessGroup


class SyncBatchNorm2d(BatchNorm2d):
    """In training, mean and variance are over the examples of all processes of `group`."""

    group: ProcessGroup
    name: str
    num_batches_tracked: Tensor  # like the next three not None: the model's layers remember
    running_mean: Tensor
    running_var: Tensor
    momentum: float

    def forward(self, x: Tensor) -> Tensor:
        """`x` is `(batch, C, frames, bins)`; the batch may be empty, and then weighs nothing."""
        if not self.training or self.group.size == 1:
            return super().forward(x)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        count = wide.new_tensor([wide.numel() / self.num_features])
        sums = _Sum.apply(torch.cat([wide.sum((0, 2, 3)), count]), self.group, f"{self.name}.mean")
        total = sums[-1].detach()
        mean = sums[:-1] / total  # (C,)
        centred = wide - mean[:, None, None]
        variance = _Sum.apply(centred.square().sum((0, 2, 3)), self.group, f"{self.name}.var") / total
        self._remember(mean.detach(), variance.detach() * total / (total - 1))
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


class _Sum(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of theirs."""

    @staticmethod
    def forward(context: Any, x: Tensor, group: ProcessGroup, name: str) -> Tensor:
        context.group, context.name = group, name
        return group.sum([x.clone()], name)[0]

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return context.group.sum([gradient.clone()], f"{context.name}.backward")[0], None, None


def synchronise(model: nn.Module, group: ProcessGroup) -> None:
    """Let every batch normalisation of a model be of this kind; weights and names stay."""
    for name, layer in model.named_modules():
        if isinstance(layer, BatchNorm2d):
            layer.__class__ = SyncBatchNorm2d
            assert isinstance(layer, SyncBatchNorm2d)
            layer.group, layer.name = group, name


def accompany(model: nn.Module) -> None:
    """What a process without an example does while the others go forward and backward."""
    layers = [layer for layer in model.modules() if isinstance(layer, SyncBatchNorm2d)]
    nothing = [torch.empty(0, layer.num_features, 1, 1, device=layer.weight.device,
                           requires_grad=True) for layer in layers]
    torch.stack([layer(x).sum() for layer, x in zip(layers, nothing)]).sum().backward()
