"""What training makes small: how improbable the model finds the syllables that were said."""

import torch
from torch import Tensor
from torch.nn import functional as F

BLANK = 0


class AlignmentError(ValueError):
    """An utterance with more syllables than its frames can hold."""


def frames_needed(target: list[int] | Tensor) -> int:
    """The fewest output frames that CTC can write a target in.

    One a label, and a blank between two equal labels, or they would merge into one.
    """
    labels = [int(label) for label in target]
    return len(labels) + sum(left == right for left, right in zip(labels, labels[1:]))


def ctc_loss(
    logits: Tensor,
    logit_lengths: Tensor,
    targets: Tensor,
    target_lengths: Tensor,
    reduction: str = "mean",
) -> Tensor:
    """Connectionist temporal classification (Graves et al., ICML 2006), by PyTorch.

    `logits` is `(batch, T, classes)`, class 0 the blank; `logit_lengths` `(batch,)`; `targets`
    `(batch, S)`, padded; `target_lengths` `(batch,)`. `reduction` is `none` (a loss for each
    utterance), `sum`, or `mean`: the sum over the number of utterances (PyTorch's own mean also
    divides by the target lengths). Computed in float32 at least. Raises ValueError, naming the
    utterance's place in the batch, for labels that are no classes or blanks, and AlignmentError
    where T is too short.
    """
    _check_targets(targets, target_lengths, logit_lengths, classes=logits.shape[-1])
    log_probs = F.log_softmax(logits.float() if logits.dtype.itemsize < 4 else logits, dim=-1)
    losses = F.ctc_loss(
        log_probs.transpose(0, 1),  # (T, batch, classes)
        targets, logit_lengths, target_lengths, blank=BLANK, reduction="none",
    )
    if reduction == "none":
        return losses
    if reduction in ("sum", "mean"):
        return losses.sum() if reduction == "sum" else losses.mean()
    raise ValueError(f"no reduction {reduction!r}; there are none, sum and mean")


def _check_targets(
    targets: Tensor, target_lengths: Tensor, logit_lengths: Tensor, classes: int
) -> None:
    rows = zip(targets.tolist(), target_lengths.tolist(), logit_lengths.tolist())
    for place, (row, length, frames) in enumerate(rows):
        labels = row[:length]
        if any(label <= BLANK or label >= classes for label in labels):
            raise ValueError(f"utterance {place} of the batch: labels must be 1 to {classes - 1}")
        if frames_needed(labels) > frames:
            raise AlignmentError(
                f"utterance {place} of the batch: {length} labels need "
                f"{frames_needed(labels)} frames, there are {frames}"
            )
