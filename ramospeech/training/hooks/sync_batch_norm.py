"""Synchronised batch normalisation: with the statistics of the global batch, not of one shard.

(Ioffe and Szegedy, ICML 2015; PyTorch's SyncBatchNorm and Horovod's do this on GPUs only.)
"""

import math
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import BatchNorm2d
from torch.nn import functional as F

from ramospeech.data.dataset import Batch
from ramospeech.language.vocabulary import Vocabulary
from ramospeech.models.dfcnn import AcousticModel
from ramospeech.training.distributed import ProcessGroup
from ramospeech.training.hooks.base import Backward, Gradients, Hook

__all__ = ["SyncBatchNorm", "SyncBatchNorm2d"]


class SyncBatchNorm(Hook):
    """All processes go forward and backward together, with equal padding, so without micro-batches."""

    def __init__(self, group: ProcessGroup) -> None:
        self.group = group

    def after_build(self, model: AcousticModel, vocabulary: Vocabulary) -> None:
        """Change the class of every batch normalisation; weights and names stay."""
        for name, layer in model.named_modules():
            if isinstance(layer, BatchNorm2d):
                layer.__class__ = SyncBatchNorm2d
                assert isinstance(layer, SyncBatchNorm2d)
                layer.group, layer.name = self.group, name

    def compute_gradients(
        self, model: AcousticModel, batch: Batch, forward_backward: Backward
    ) -> Gradients | None:
        group, count = self.group, len(batch.indices)
        if group.size == 1:
            return None
        total = int(group.sum([torch.tensor(count)], "utterances")[0])
        if not total:
            return Gradients(math.nan, 0)
        missing = group.max(batch.features.shape[1], "frames") - batch.features.shape[1]
        if not count:
            _take_part(model)
            return Gradients(0.0, 1)
        padded = replace(batch, features=F.pad(batch.features, (0, 0, 0, missing)))
        return Gradients(forward_backward(padded, group.size * count / total), 1)


class SyncBatchNorm2d(BatchNorm2d):
    """In training, mean and variance are over the examples of all processes of `group`."""

    group: ProcessGroup
    name: str
    num_batches_tracked: Tensor  # like the next three not None: the model's layers have statistics
    running_mean: Tensor
    running_var: Tensor
    momentum: float

    def forward(self, x: Tensor) -> Tensor:
        """`x` is `(batch, C, frames, bins)`; an empty batch has no weight."""
        if not self.training or self.group.size == 1:
            return super().forward(x)
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        count = wide.new_tensor([wide.numel() / self.num_features])
        sums = _Sum.apply(torch.cat([wide.sum((0, 2, 3)), count]), self.group, f"{self.name}.mean")
        total = sums[-1].detach()
        mean = sums[:-1] / total  # (C,)
        centred = wide - mean[:, None, None]
        variance = _Sum.apply(centred.square().sum((0, 2, 3)), self.group, f"{self.name}.var") / total
        self._update_statistics(mean.detach(), variance.detach() * total / (total - 1))
        scale = self.weight * (variance + self.eps).rsqrt()
        return (centred * scale[:, None, None] + self.bias[:, None, None]).to(x.dtype)

    def _update_statistics(self, mean: Tensor, variance: Tensor) -> None:
        self.num_batches_tracked += 1
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)


class _Sum(torch.autograd.Function):
    """The sum over all processes; its gradient is the sum of their gradients."""

    @staticmethod
    def forward(context: Any, x: Tensor, group: ProcessGroup, name: str) -> Tensor:
        context.group, context.name = group, name
        return group.sum([x.clone()], name)[0]

    @staticmethod
    def backward(context: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        return context.group.sum([gradient.clone()], f"{context.name}.backward")[0], None, None


def _take_part(model: nn.Module) -> None:
    """Send the messages of a forward and backward pass from a process that has no example."""
    layers = [layer for layer in model.modules() if isinstance(layer, SyncBatchNorm2d)]
    nothing = [torch.empty(0, layer.num_features, 1, 1, device=layer.weight.device,
                           requires_grad=True) for layer in layers]
    torch.stack([layer(x).sum() for layer, x in zip(layers, nothing)]).sum().backward()
