"""What training makes small: how improbable the model finds the syllables that were said.

CTC sums the probabilities of all ways to place the syllables in time. ACE asks only that each class
has as much of the frames' probability as it has places in the target: order does not count.
"""

from collections.abc import Callable
from functools import partial
from operator import eq

import torch
from torch import Tensor
from torch.nn import functional as F

from ramospeech.language.vocabulary import BLANK
from ramospeech.losses.ace_gradient import Aggregation
from ramospeech.utils.errors import RamoSpeechError


class UtteranceError(RamoSpeechError):
    """Utterances that have no loss: their `places` in the batch, and the `reason`."""

    def __init__(self, places: list[int], reason: str) -> None:
        super().__init__(f"utterance {', '.join(map(str, places))} of the batch: {reason}")
        self.places, self.reason = places, reason


class AlignmentError(UtteranceError):
    """An utterance with more syllables than its frames can hold."""


def frames_needed(target: list[int] | Tensor, loss: str = "ctc") -> int:
    """The fewest output frames that a target can be written in.

    One a label; for CTC also a blank between two equal labels, or they would merge into one.
    """
    labels = target.tolist() if isinstance(target, Tensor) else target
    return len(labels) + (sum(map(eq, labels, labels[1:])) if loss != "ace" else 0)


def loss_function(name: str, ace_weight: float = 1.0) -> Callable[..., Tensor]:
    """`ctc_loss`, `ace_loss`, or for `ctc+ace` the one plus `ace_weight` times the other."""
    functions: dict[str, Callable[..., Tensor]] = {
        "ctc": ctc_loss, "ace": ace_loss, "ctc+ace": partial(ctc_ace_loss, ace_weight=ace_weight)}
    if name not in functions:
        raise ValueError(f"no loss {name!r}; there are {', '.join(functions)}")
    return functions[name]


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
    divides by the target lengths). Computed in float32 at least. Raises UtteranceError, a
    ValueError that names the utterance's place in the batch, for lengths that do not fit the
    tensors, for labels that are blanks or no classes, and for NaN; AlignmentError where T is too
    short.
    """
    frames = _check_batch(logits, logit_lengths, targets, target_lengths, "ctc")
    log_probs = _log_softmax(logits, frames)
    losses = F.ctc_loss(
        log_probs.transpose(0, 1),  # (T, batch, classes)
        targets.to(logits.device), logit_lengths, target_lengths, blank=BLANK, reduction="none",
    )
    return _reduce(losses, reduction)


def ace_loss(
    logits: Tensor,
    logit_lengths: Tensor,
    targets: Tensor,
    target_lengths: Tensor,
    reduction: str = "mean",
) -> Tensor:
    """Aggregation cross-entropy (Xie et al., CVPR 2019, arXiv:1904.08364).

    -sum_k (N_k / T) ln ybar_k, where T is the utterance's own number of frames, ybar_k their mean
    softmax, and N_k how often class k is in the target; of the blank T less the labels. Arguments,
    `reduction` and errors as for `ctc_loss`, but T need only be the number of labels. Predictions
    in two dimensions, `(batch, height, width, classes)`, are read row by row, and `logit_lengths`
    count cells. Cannot be differentiated twice.
    """
    logits = logits.flatten(1, 2) if logits.dim() == 4 else logits
    frames = _check_batch(logits, logit_lengths, targets, target_lengths, "ace")
    classes, shares = _shares(*(tensor.to(logits.device) for tensor in (
        logit_lengths, targets, target_lengths)))
    losses = Aggregation.apply(logits, frames, classes, shares.to(_wide(logits)))
    return _reduce(losses, reduction)


def ctc_ace_loss(
    logits: Tensor,
    logit_lengths: Tensor,
    targets: Tensor,
    target_lengths: Tensor,
    reduction: str = "mean",
    ace_weight: float = 1.0,
) -> Tensor:
    """CTC plus `ace_weight` times ACE; all else as for `ctc_loss`."""
    batch = (logits, logit_lengths, targets, target_lengths, reduction)
    return ctc_loss(*batch) + ace_weight * ace_loss(*batch)


def mean_entropy(logits: Tensor, logit_lengths: Tensor) -> Tensor:
    """How undecided the frames are: the entropy of their softmax, in nats; the mean over all frames.

    Added to ACE, which finds a syllable that fills one frame no better than one that is spread
    thinly over four, of which nothing can be read. `logits` is `(batch, T, classes)`,
    `logit_lengths` `(batch,)`.
    """
    frames = logit_lengths.tolist()
    log_probs = _log_softmax(logits, frames)
    entropies = -(log_probs.exp() * log_probs).sum(dim=-1)  # (batch, T)
    return entropies[~_behind(frames, logits)].mean()


def _log_softmax(logits: Tensor, frames: list[int]) -> Tensor:
    """In float32 at least. Whatever lies behind an utterance gets into no gradient."""
    if min(frames) < logits.shape[1]:
        logits = logits.masked_fill(_behind(frames, logits)[:, :, None], 0)
    return logits.log_softmax(dim=-1, dtype=_wide(logits))


def _shares(
    logit_lengths: Tensor, targets: Tensor, target_lengths: Tensor
) -> tuple[Tensor, Tensor]:
    """The labels and, last, the blank; and which part of the frames each shall have.

    Both `(batch, S + 1)`. A label that is said twice stands there twice; padding shall have 0.
    """
    places = torch.arange(targets.shape[1], device=targets.device)
    is_label = places < target_lengths[:, None]  # (batch, S)
    classes = F.pad(targets.where(is_label, BLANK), (0, 1), value=BLANK)
    blanks = (logit_lengths - target_lengths)[:, None]
    return classes, torch.cat([is_label, blanks], dim=1).double() / logit_lengths[:, None]


def _behind(frames: list[int], logits: Tensor) -> Tensor:
    """`(batch, T)`: whether a frame lies behind its utterance."""
    places = torch.arange(logits.shape[1], device=logits.device)
    return places >= torch.tensor(frames, device=logits.device)[:, None]


def _wide(logits: Tensor) -> torch.dtype:
    return torch.promote_types(logits.dtype, torch.float32)


def _reduce(losses: Tensor, reduction: str) -> Tensor:
    """`losses` is `(batch,)`; NaN among the logits has become NaN here, where little is to look at."""
    if reduction not in ("none", "sum", "mean"):
        raise ValueError(f"no reduction {reduction!r}; there are none, sum and mean")
    if spoilt := losses.isnan().nonzero().flatten().tolist():
        raise UtteranceError(spoilt, "NaN or infinity among the logits")
    return losses if reduction == "none" else getattr(losses, reduction)()


def _check_batch(
    logits: Tensor, logit_lengths: Tensor, targets: Tensor, target_lengths: Tensor, loss: str
) -> list[int]:
    """The utterances' frames. All is judged from plain numbers, so a GPU refuses the same."""
    _check_shapes(logits, {"logit_lengths": logit_lengths, "targets": targets,
                           "target_lengths": target_lengths})
    rows = zip(logit_lengths.tolist(), targets.tolist(), target_lengths.tolist())
    for place, (frames, row, length) in enumerate(rows):
        reason = _trouble(frames, row, length, *logits.shape[1:])
        if reason:
            raise UtteranceError([place], reason)
        needed = frames_needed(row[:length], loss)
        if needed > frames:
            raise AlignmentError([place], f"{length} labels need {needed} frames, "
                                          f"there are {frames}")
    return logit_lengths.tolist()


def _check_shapes(logits: Tensor, others: dict[str, Tensor]) -> None:
    if logits.dim() != 3 or not logits.is_floating_point():
        raise ValueError("logits must be (batch, T, classes), found "
                         f"{tuple(logits.shape)} of {logits.dtype}")
    for name, tensor in others.items():
        shape = "(batch, S)" if name == "targets" else "(batch,)"
        if tensor.dim() != len(shape.split(", ")) or tensor.is_floating_point():
            raise ValueError(f"{name} must be {shape} of whole numbers, found "
                             f"{tuple(tensor.shape)} of {tensor.dtype}")
    counts = {"logits": len(logits)} | {name: len(tensor) for name, tensor in others.items()}
    if len({0, *counts.values()}) != 2:
        numbers = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise UtteranceError([min(counts.values())], f"missing, the batch sizes are: {numbers}")


def _trouble(frames: int, row: list[int], length: int, longest: int, classes: int) -> str | None:
    """What is wrong with an utterance, if anything, apart from its having too few frames."""
    if not 1 <= frames <= longest:
        return f"{frames} frames, there must be 1 to {longest}"
    if not 0 <= length <= len(row):
        return f"{length} labels, there must be 0 to {len(row)}"
    wrong = [label for label in row[:length] if not BLANK < label < classes]
    if wrong:
        return f"labels must be 1 to {classes - 1} ({BLANK} is the blank), found {wrong[0]}"
    return None
