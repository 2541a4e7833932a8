"""What all losses share: checking a batch, masking its padding, and reducing the losses."""

from operator import eq

import torch
from torch import Tensor

from ramospeech.language.vocabulary import BLANK
from ramospeech.utils.errors import RamoSpeechError

__all__ = ["AlignmentError", "UtteranceError", "frames_needed"]


class UtteranceError(RamoSpeechError):
    """Utterances without a valid loss: their `places` in the batch, and the `reason`."""

    def __init__(self, places: list[int], reason: str) -> None:
        super().__init__(f"utterance {', '.join(map(str, places))} of the batch: {reason}")
        self.places, self.reason = places, reason


class AlignmentError(UtteranceError):
    """An utterance with more syllables than its frames can hold."""


def frames_needed(target: list[int] | Tensor, loss: str = "ctc") -> int:
    """Return the minimum number of output frames for a target.

    One frame per label; CTC also needs a blank between two equal labels, or they would merge.
    """
    labels = target.tolist() if isinstance(target, Tensor) else target
    return len(labels) + (sum(map(eq, labels, labels[1:])) if loss != "ace" else 0)


def check_batch(
    logits: Tensor, logit_lengths: Tensor, targets: Tensor, target_lengths: Tensor, loss: str
) -> list[int]:
    """Return each utterance's number of frames, or raise UtteranceError or ValueError.

    Checks run on Python integers, so a GPU raises the same errors as a CPU.
    """
    _check_shapes(logits, {"logit_lengths": logit_lengths, "targets": targets,
                           "target_lengths": target_lengths})
    rows = zip(logit_lengths.tolist(), targets.tolist(), target_lengths.tolist())
    for place, (frames, row, length) in enumerate(rows):
        reason = _find_error(frames, row, length, *logits.shape[1:])
        if reason:
            raise UtteranceError([place], reason)
        needed = frames_needed(row[:length], loss)
        if needed > frames:
            raise AlignmentError([place], f"{length} labels need {needed} frames, there are {frames}")
    return logit_lengths.tolist()


def _check_shapes(logits: Tensor, others: dict[str, Tensor]) -> None:
    if logits.dim() != 3 or not logits.is_floating_point():
        raise ValueError("logits must be (batch, T, classes), found "
                         f"{tuple(logits.shape)} of {logits.dtype}")
    for name, tensor in others.items():
        shape = "(batch, S)" if name == "targets" else "(batch,)"
        if tensor.dim() != len(shape.split(", ")) or tensor.is_floating_point():
            raise ValueError(f"{name} must be integers of shape {shape}, found "
                             f"{tuple(tensor.shape)} of {tensor.dtype}")
    counts = {"logits": len(logits)} | {name: len(tensor) for name, tensor in others.items()}
    if len({0, *counts.values()}) != 2:
        numbers = ", ".join(f"{name} {count}" for name, count in counts.items())
        raise UtteranceError([min(counts.values())], f"missing, the batch sizes are: {numbers}")


def _find_error(frames: int, row: list[int], length: int, longest: int, classes: int) -> str | None:
    """Return why an utterance is invalid, or None; too few frames are checked elsewhere."""
    if not 1 <= frames <= longest:
        return f"{frames} frames, expected 1 to {longest}"
    if not 0 <= length <= len(row):
        return f"{length} labels, expected 0 to {len(row)}"
    wrong = [label for label in row[:length] if not BLANK < label < classes]
    if wrong:
        return f"labels must be 1 to {classes - 1} ({BLANK} is the blank), found {wrong[0]}"
    return None


def wide_dtype(logits: Tensor) -> torch.dtype:
    """The dtype to compute in: at least float32."""
    return torch.promote_types(logits.dtype, torch.float32)


def is_padding(frames: list[int], logits: Tensor) -> Tensor:
    """`(batch, T)`: whether a frame is beyond the end of its utterance."""
    places = torch.arange(logits.shape[1], device=logits.device)
    return places >= torch.tensor(frames, device=logits.device)[:, None]


def masked_log_softmax(logits: Tensor, frames: list[int]) -> Tensor:
    """Log-softmax in float32 or wider; padding is masked, so it gets no gradient."""
    if min(frames) < logits.shape[1]:
        logits = logits.masked_fill(is_padding(frames, logits)[:, :, None], 0)
    return logits.log_softmax(dim=-1, dtype=wide_dtype(logits))


def reduce_losses(losses: Tensor, reduction: str) -> Tensor:
    """Reduce `(batch,)` losses. NaN in the logits shows up here, where checking for it is cheap."""
    if reduction not in ("none", "sum", "mean"):
        raise ValueError(f"no reduction {reduction!r}; choose none, sum or mean")
    if invalid := losses.isnan().nonzero().flatten().tolist():
        raise UtteranceError(invalid, "NaN or infinity in the logits")
    return losses if reduction == "none" else getattr(losses, reduction)()
