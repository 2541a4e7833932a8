"""The processes that train one model together, and the messages they exchange.

`join_process_group()` returns a group of one process, or Horovod's if `horovodrun` started this one.
"""

import math
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partialmethod
from typing import Any

import torch
from torch import Tensor, nn
from tqdm import tqdm

from ramospeech.data.sampler import Shard

__all__ = ["HorovodGroup", "ProcessGroup", "average", "join_process_group"]


class ProcessGroup(Shard):
    """A process group of one: every exchange returns what the process itself sends."""

    local_rank = 0
    elastic = False

    @property
    def is_first(self) -> bool:
        """Whether this is the process that writes files and reports."""
        return self.rank == 0

    def sum(self, tensors: list[Tensor], name: str) -> list[Tensor]:
        """Each tensor summed over all processes."""
        return tensors

    def max(self, number: int, name: str) -> int:
        """The largest number of any process."""
        return number

    def any(self, asked: bool) -> bool:
        """Whether any process was asked; all get the same answer."""
        return asked

    def gather(self, item: Any) -> list[Any]:
        """The items of all processes, in the order of their ranks."""
        return [item]

    def from_first(self, item: Any) -> Any:
        """The item of the first process."""
        return item


class HorovodGroup(ProcessGroup):
    """Processes joined by Horovod; in an elastic job their number may change."""

    def __init__(self) -> None:
        import horovod.torch as hvd

        self.hvd = hvd
        self.elastic = os.environ.get("HOROVOD_ELASTIC") == "1"
        os.environ.setdefault("HOROVOD_CYCLE_TIME", "5")  # ms; the default of 1 takes 7 % of a core when idle
        hvd.init()
        if not self.is_first:  # one process reports
            tqdm.__init__ = partialmethod(  # type: ignore[method-assign, assignment]  # for all bars
                tqdm.__init__, disable=True)

    # Queried each time: they change when a process is lost or joins.

    @property
    def rank(self) -> int:  # type: ignore[override]
        return self.hvd.rank()

    @property
    def size(self) -> int:  # type: ignore[override]
        return self.hvd.size()

    @property
    def local_rank(self) -> int:  # type: ignore[override]
        return self.hvd.local_rank()

    def sum(self, tensors: list[Tensor], name: str) -> list[Tensor]:
        """In one message per data type, which Horovod reduces in a ring.

        Horovod could fuse the tensors itself. But after a process was lost, two processes may fuse
        more than about sixty tensors differently, and the job dies.
        """
        summed = {}
        for dtype in {tensor.dtype: None for tensor in tensors}:
            own = [tensor for tensor in tensors if tensor.dtype == dtype]
            flat = self._wait_for(self.hvd.allreduce_async_(
                torch.cat([tensor.flatten() for tensor in own]), op=self.hvd.Sum, name=f"{name} {dtype}"))
            summed[dtype] = iter(flat.split([tensor.numel() for tensor in own]))
        return [next(summed[tensor.dtype]).view_as(tensor) for tensor in tensors]

    def _wait_for(self, handle: int) -> Tensor:
        while not self.hvd.poll(handle):  # Horovod's own wait keeps a core busy
            time.sleep(0.001)
        return self.hvd.synchronize(handle)

    def max(self, number: int, name: str) -> int:
        return int(self.hvd.allreduce(torch.tensor(number), op=self.hvd.Max, name=name))

    def any(self, asked: bool) -> bool:
        return self.max(int(asked), "asked") > 0

    def gather(self, item: Any) -> list[Any]:
        return self.hvd.allgather_object(item, name="gathered")

    def from_first(self, item: Any) -> Any:
        return self.hvd.broadcast_object(item, root_rank=0, name="from the first")


@contextmanager
def join_process_group() -> Iterator[ProcessGroup]:
    """Horovod's process group if `horovodrun` started this process, otherwise a group of one."""
    if "HOROVOD_RANK" not in os.environ and "HOROVOD_ELASTIC" not in os.environ:
        yield ProcessGroup()
        return
    group = HorovodGroup()
    yield group
    group.hvd.shutdown()  # not after an error: the other processes would wait for this one


def average(
    group: ProcessGroup, model: nn.Module, loss: float, count: int, compress: bool = False
) -> float:
    """Replace the gradients of every process by their mean over the utterances of all processes.

    Each process contributes its gradients and the mean loss of its `count` utterances; a process
    with 0 utterances has no weight. The running statistics of batch normalisation are averaged in the
    same way, so that all models stay equal. Returns the mean loss; if no process had an utterance,
    NaN, and no gradients are left. With `compress`, gradients are sent in half precision.
    """
    if group.size == 1:
        return loss
    parameters, statistics = list(model.parameters()), _statistics(model)
    gradients = [_gradient(parameter).mul_(count) for parameter in parameters]
    totals = torch.tensor([count, count * loss if count else 0.0], device=parameters[0].device)
    (total, total_loss), *sums = group.sum([
        totals, *(count * buffer for buffer in statistics),
        *([gradient.half() for gradient in gradients] if compress else gradients)], "step")
    if not total:
        model.zero_grad()
        return math.nan
    for buffer, summed in zip(statistics, sums):
        buffer.copy_(summed / total)
    for parameter, summed in zip(parameters, sums[len(statistics):]):
        parameter.grad = summed.to(parameter.dtype).div_(total)
    return float(total_loss / total)


def _statistics(model: nn.Module) -> list[Tensor]:
    return [buffer for buffer in model.buffers() if buffer.is_floating_point()]


def _gradient(parameter: nn.Parameter) -> Tensor:
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad
