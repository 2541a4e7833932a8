"""Aggregation cross-entropy (ACE): match class counts, regardless of order.

Let y_k^t be the softmax of frame t, T the number of frames, and N_k how often class k is in the
target. Of the summed probability of class k, frame t holds the fraction r_k^t = y_k^t / sum_s y_k^s;
its target is a_k^t = (N_k / T) r_k^t. Then

    loss                   =  - sum_k (N_k / T) ln((1 / T) sum_t y_k^t)
    d loss / d logit_k^t   =  y_k^t sum_j a_j^t  -  a_k^t

that is, softmax minus target, where the CTC gradient is softmax minus posterior; but each frame is
weighted by its total target. Classes not in the utterance have no target, so all tensors but y have
only S + 1 classes. r is a softmax over time of ln y, which cannot underflow.
"""

import math
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ramospeech.language.vocabulary import BLANK
from ramospeech.losses.batch import (
    check_batch, is_padding, masked_log_softmax, reduce_losses, wide_dtype,
)

__all__ = ["AceFunction", "ace_loss", "mean_entropy"]

CACHE_LOGITS = 1 << 19  # logits that fit into a CPU's cache together with their softmax
MIN_LOG_Y = -80.0  # below about this ln y, float32 cannot represent y


def ace_loss(
    logits: Tensor,
    logit_lengths: Tensor,
    targets: Tensor,
    target_lengths: Tensor,
    reduction: str = "mean",
) -> Tensor:
    """ACE (Xie et al., CVPR 2019, arXiv:1904.08364).

    -sum_k (N_k / T) ln ybar_k, where T is the utterance's number of frames, ybar_k the mean softmax
    of class k over them, and N_k its count in the target; the count of the blank is T minus the
    number of labels. Arguments, `reduction` and errors as for `ctc_loss`, but T need only be the
    number of labels. Two-dimensional predictions `(batch, height, width, classes)` are flattened
    row by row, and `logit_lengths` counts cells. Cannot be differentiated twice.
    """
    logits = logits.flatten(1, 2) if logits.dim() == 4 else logits
    frames = check_batch(logits, logit_lengths, targets, target_lengths, "ace")
    classes, weights = _class_weights(*(tensor.to(logits.device) for tensor in (
        logit_lengths, targets, target_lengths)))
    losses = AceFunction.apply(logits, frames, classes, weights.to(wide_dtype(logits)))
    return reduce_losses(losses, reduction)


def mean_entropy(logits: Tensor, logit_lengths: Tensor) -> Tensor:
    """Return the mean entropy of the frames' softmax, in nats, over all frames of the batch.

    Added to ACE, which alone rates a syllable spread thinly over four frames, where no decoder can
    find it, as high as one that fills a single frame. `logits` is `(batch, T, classes)`,
    `logit_lengths` `(batch,)`.
    """
    frames = logit_lengths.tolist()
    log_probs = masked_log_softmax(logits, frames)
    entropies = -(log_probs.exp() * log_probs).sum(dim=-1)  # (batch, T)
    return entropies[~is_padding(frames, logits)].mean()


def _class_weights(
    logit_lengths: Tensor, targets: Tensor, target_lengths: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the labels plus the blank, and the fraction of the frames that each should fill.

    Both are `(batch, S + 1)`, the blank last. A repeated label occurs repeatedly; padding has
    weight 0.
    """
    places = torch.arange(targets.shape[1], device=targets.device)
    is_label = places < target_lengths[:, None]  # (batch, S)
    classes = F.pad(targets.where(is_label, BLANK), (0, 1), value=BLANK)
    blanks = (logit_lengths - target_lengths)[:, None]
    return classes, torch.cat([is_label, blanks], dim=1).double() / logit_lengths[:, None]


class AceFunction(torch.autograd.Function):
    """`apply(logits, frames, classes, weights)` returns `(batch,)`, the loss of each utterance.

    `logits` `(batch, T, classes)`; `frames` each utterance's own T; `classes` and `weights`
    `(batch, S + 1)`: the fraction of the frames that each class should fill (a class may occur more
    than once). `weights` is float32 or float64, and so is the loss. Cannot be differentiated twice.
    """

    @staticmethod
    def forward(
        ctx: Any, logits: Tensor, frames: list[int], classes: Tensor, weights: Tensor
    ) -> Tensor:
        index = classes[:, None].expand(-1, logits.shape[1], -1)  # (batch, T, S + 1)
        y, log_y = _softmax(logits, index, weights.dtype)
        log_y.masked_fill_((weights == 0)[:, :, None], 0)  # 0 times infinity would be NaN
        for place, length in enumerate(frames):
            y[place, length:], log_y[place, :, length:] = 0, -math.inf
        log_mean = log_y.logsumexp(2) - torch.tensor(frames).to(weights).log()[:, None]
        ctx.save_for_backward(y, index, log_y.softmax(2).mul_(weights[:, :, None]))
        return -(weights * log_mean).sum(1)

    @staticmethod
    def backward(ctx: Any, gradient_of_loss: Tensor) -> tuple[Tensor, None, None, None]:
        if torch.is_grad_enabled():  # create_graph=True; the result would not be part of the graph
            raise RuntimeError("ACE cannot be differentiated twice")
        y, index, target = ctx.saved_tensors
        target = (target * gradient_of_loss[:, None, None]).transpose(1, 2)  # (batch, T, S + 1)
        total = target.sum(2, keepdim=True)  # (batch, T, 1)
        gradient = torch.empty_like(y)
        for chunk in _chunks(y):
            torch.mul(y[chunk], total[chunk], out=gradient[chunk])
            gradient[chunk].scatter_add_(2, index[chunk], -target[chunk])
        return gradient, None, None, None


def _softmax(logits: Tensor, index: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """y of all classes, `(batch, T, classes)`, and ln y of those in `index`, `(batch, S + 1, T)`."""
    y = torch.empty(logits.shape, dtype=dtype, device=logits.device)
    chosen = torch.empty(index.transpose(1, 2).shape, dtype=dtype, device=logits.device)
    for chunk in _chunks(logits):
        torch.softmax(logits[chunk], dim=-1, dtype=dtype, out=y[chunk])
        chosen[chunk] = y[chunk].gather(2, index[chunk]).transpose(1, 2)
    log_y = chosen.log_()
    if log_y.min() < MIN_LOG_Y:
        log_y = logits.log_softmax(dim=-1, dtype=dtype).gather(2, index).transpose(1, 2)
    return y, log_y


def _chunks(logits: Tensor) -> list[slice]:
    """Split a batch `(batch, T, classes)` into chunks that fit into a CPU's cache; on a GPU, one."""
    count = len(logits) if logits.is_cuda else max(1, CACHE_LOGITS // logits[0].numel())
    return [slice(start, start + count) for start in range(0, len(logits), count)]
