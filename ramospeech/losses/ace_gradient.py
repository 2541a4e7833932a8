"""Aggregation cross-entropy from the logits, and its gradient in closed form.

Let y_k^t be the softmax of frame t, T the number of frames, N_k how often class k is in the target,
and r_k^t = y_k^t / sum_s y_k^s the part of class k's probability that lies in frame t. Then frame t
is asked for a_k^t = (N_k / T) r_k^t of class k, and

    loss                   =  - sum_k (N_k / T) ln((1 / T) sum_t y_k^t)
    d loss / d logit_k^t   =  y_k^t sum_j a_j^t  -  a_k^t

Softmax minus what is asked for, where CTC's gradient is softmax minus posterior; but a frame counts
only as much as it is asked for. Classes that are not in the target are asked for nowhere: all but y
has S + 1 classes. r is a softmax over time of ln y, in which nothing underflows.
"""

import math
from typing import Any

import torch
from torch import Tensor

CACHED = 1 << 19  # logits that a CPU's cache holds beside their softmax
LEAST = -80.0  # ln y; not much below it float32 has no numbers for y


class Aggregation(torch.autograd.Function):
    """`apply(logits, frames, classes, shares)` is `(batch,)`, the loss of each utterance.

    `logits` `(batch, T, classes)`; `frames` the utterances' own T; `classes` and `shares`
    `(batch, S + 1)` say which part of its frames each class shall have: a class may stand there
    twice. `shares` is float32 or float64, and so is the loss. Cannot be differentiated twice.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, frames: list[int], classes: Tensor, shares: Tensor
    ) -> Tensor:
        index = classes[:, None].expand(-1, logits.shape[1], -1)  # (batch, T, S + 1)
        y, log_y = _softmax(logits, index, shares.dtype)
        log_y.masked_fill_((shares == 0)[:, :, None], 0)  # 0 times an infinity would be NaN
        for place, length in enumerate(frames):
            y[place, length:], log_y[place, :, length:] = 0, -math.inf
        log_mean = log_y.logsumexp(2) - torch.tensor(frames).to(shares).log()[:, None]
        ctx.save_for_backward(y, index, log_y.softmax(2).mul_(shares[:, :, None]))
        return -(shares * log_mean).sum(1)

    @staticmethod
    def backward(ctx: Any, gradient_of_loss: Tensor) -> tuple[Tensor, None, None, None]:
        if torch.is_grad_enabled():  # create_graph=True; what follows would be left out of it
            raise RuntimeError("ACE cannot be differentiated twice")
        y, index, asked = ctx.saved_tensors
        asked = (asked * gradient_of_loss[:, None, None]).transpose(1, 2)  # (batch, T, S + 1)
        asked_in_all = asked.sum(2, keepdim=True)  # (batch, T, 1)
        gradient = torch.empty_like(y)
        for part in _parts(y):
            torch.mul(y[part], asked_in_all[part], out=gradient[part])
            gradient[part].scatter_add_(2, index[part], -asked[part])
        return gradient, None, None, None


def _softmax(logits: Tensor, index: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """y of all classes, `(batch, T, classes)`, and ln y of those in `index`, `(batch, S + 1, T)`."""
    y = torch.empty(logits.shape, dtype=dtype, device=logits.device)
    chosen = torch.empty(index.transpose(1, 2).shape, dtype=dtype, device=logits.device)
    for part in _parts(logits):
        torch.softmax(logits[part], dim=-1, dtype=dtype, out=y[part])
        chosen[part] = y[part].gather(2, index[part]).transpose(1, 2)
    log_y = chosen.log_()
    if log_y.min() < LEAST:
        log_y = logits.log_softmax(dim=-1, dtype=dtype).gather(2, index).transpose(1, 2)
    return y, log_y


def _parts(logits: Tensor) -> list[slice]:
    """A batch `(batch, T, classes)` in parts that a CPU's cache holds; for a GPU in one."""
    count = len(logits) if logits.is_cuda else max(1, CACHED // logits[0].numel())
    return [slice(start, start + count) for start in range(0, len(logits), count)]
