"""Uniform segmentation for ACE: at first the loss is taken over short segments, cut evenly.

Over a whole utterance ACE initially says too little about the position of a syllable. So the
utterance is cut as if all its syllables had the same length: off by a fraction of a syllable here and
there, but right on the whole. Later in the training it stays whole.
"""

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ramospeech.training.hooks.base import Hook, LossInput

__all__ = ["UniformSegmentation", "segment_uniformly"]

LABELS = 1.5  # per segment, on average: finer cuts would be wrong more often


class UniformSegmentation(Hook):
    """Segment uniformly during the first `part` of the training."""

    def __init__(self, part: float) -> None:
        self.part = part

    def before_loss(self, batch: LossInput, progress: float) -> LossInput:
        return segment_uniformly(*batch) if progress < self.part else batch


def segment_uniformly(
    logits: Tensor, logit_lengths: Tensor, targets: Tensor, target_lengths: Tensor
) -> LossInput:
    """Cut each utterance of a batch, given as for a loss, into segments that are utterances themselves.

    The segments of an utterance have the same number of its labels, give or take one, and a length
    in proportion. An utterance stays whole if the labels of one of its segments would not fit.
    """
    numbers = zip(logit_lengths.tolist(), target_lengths.tolist())
    segments = [(row[frames], target[labels])
                for row, target, (length, count) in zip(logits, targets, numbers)
                for frames, labels in _segments(length, count)]
    rows, parts = map(list, zip(*segments))
    return (pad_sequence(rows, batch_first=True), _lengths(rows, logit_lengths),
            pad_sequence(parts, batch_first=True), _lengths(parts, target_lengths))


def _segments(frames: int, labels: int) -> list[tuple[slice, slice]]:
    count = max(1, round(labels / LABELS))
    cuts = [number * labels // count for number in range(count + 1)]
    times = [frames * cut // max(1, labels) for cut in cuts[:-1]] + [frames]
    segments = [(slice(*time), slice(*cut)) for time, cut in zip(pairwise(times), pairwise(cuts))]
    fits = all(cut.stop - cut.start <= time.stop - time.start for time, cut in segments)
    return segments if fits else [(slice(frames), slice(labels))]


def _lengths(items: list[Tensor], like: Tensor) -> Tensor:
    return torch.tensor([len(item) for item in items], device=like.device)
