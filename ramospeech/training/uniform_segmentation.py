"""A uniform segmentation for ACE: it counts over short pieces of an utterance, cut evenly.

Over a whole utterance ACE says too little, at first, about where a syllable is. So the utterance is
cut as if all its syllables were equally long, which is wrong by a part of a syllable here and there,
but right on the whole; later it is whole again.
"""

from itertools import pairwise

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

LABELS = 1.5  # of a piece, on average: finer cuts would more often be wrong


def cut_evenly(
    logits: Tensor, logit_lengths: Tensor, targets: Tensor, target_lengths: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """A batch, as losses take it, with each utterance in pieces that are utterances of their own.

    An utterance's pieces have equally many of its labels, up to one, and last in proportion to
    them. An utterance with a piece whose labels would not fit into its frames stays whole.
    """
    numbers = zip(logit_lengths.tolist(), target_lengths.tolist())
    pieces = [(row[frames], target[labels])
              for row, target, (length, count) in zip(logits, targets, numbers)
              for frames, labels in _pieces(length, count)]
    rows, parts = map(list, zip(*pieces))
    return (pad_sequence(rows, batch_first=True), _lengths(rows, logit_lengths),
            pad_sequence(parts, batch_first=True), _lengths(parts, target_lengths))


def _pieces(frames: int, labels: int) -> list[tuple[slice, slice]]:
    count = max(1, round(labels / LABELS))
    cuts = [number * labels // count for number in range(count + 1)]
    times = [frames * cut // max(1, labels) for cut in cuts[:-1]] + [frames]
    pieces = [(slice(*time), slice(*cut)) for time, cut in zip(pairwise(times), pairwise(cuts))]
    fits = all(cut.stop - cut.start <= time.stop - time.start for time, cut in pieces)
    return pieces if fits else [(slice(frames), slice(labels))]


def _lengths(items: list[Tensor], like: Tensor) -> Tensor:
    return torch.tensor([len(item) for item in items], device=like.device)
