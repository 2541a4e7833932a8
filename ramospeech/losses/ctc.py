"""Connectionist temporal classification: the sum over all alignments of the target."""

from torch import Tensor
from torch.nn import functional as F

from ramospeech.language.vocabulary import BLANK
from ramospeech.losses.batch import check_batch, masked_log_softmax, reduce_losses

__all__ = ["ctc_loss"]


def ctc_loss(
    logits: Tensor,
    logit_lengths: Tensor,
    targets: Tensor,
    target_lengths: Tensor,
    reduction: str = "mean",
) -> Tensor:
    """CTC (Graves et al., ICML 2006), computed by PyTorch in float32 or wider.

    `logits` is `(batch, T, classes)`, class 0 the blank; `logit_lengths` `(batch,)`; `targets`
    `(batch, S)`, padded; `target_lengths` `(batch,)`. `reduction` is `none` (one loss per
    utterance), `sum`, or `mean` over utterances (PyTorch's own mean also divides by the target
    lengths). Raises UtteranceError, naming the position in the batch, for lengths outside the
    tensors, for labels that are blanks or not classes, and for NaN; AlignmentError if T is too
    short for the target; ValueError for wrong shapes.
    """
    frames = check_batch(logits, logit_lengths, targets, target_lengths, "ctc")
    log_probs = masked_log_softmax(logits, frames)
    losses = F.ctc_loss(
        log_probs.transpose(0, 1),  # (T, batch, classes)
        targets.to(logits.device), logit_lengths, target_lengths, blank=BLANK, reduction="none",
    )
    return reduce_losses(losses, reduction)
