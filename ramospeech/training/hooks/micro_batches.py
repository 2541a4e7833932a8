"""Micro-batches: a batch that does not fit into memory is halved, if need be down to one utterance."""

import math
from collections.abc import Callable

from ramospeech.data.dataset import Batch
from ramospeech.models.dfcnn import AcousticModel
from ramospeech.training.hooks.base import Backward, Gradients, Hook
from ramospeech.utils.memory import give_back, is_out_of_memory

__all__ = ["MicroBatches", "halve", "in_micro_batches"]


class MicroBatches(Hook):
    """The gradients of the micro-batches add up to those of the batch.

    (But batch normalisation sees one micro-batch at a time.)
    """

    def compute_gradients(
        self, model: AcousticModel, batch: Batch, forward_backward: Backward
    ) -> Gradients:
        done, too_large = in_micro_batches(batch, forward_backward, restart=model.zero_grad)
        loss = sum(loss for _, loss in done) if done else math.nan
        return Gradients(loss, sum(len(part.indices) for part, _ in done), too_large)


def in_micro_batches(
    batch: Batch, work: Backward, restart: Callable[[], object] = lambda: None
) -> tuple[list[tuple[Batch, float]], list[int]]:
    """Do `work(micro_batch, weight)` on the whole batch, or on as many parts as memory demands.

    `weight` is the micro-batch's part of the utterances. If one does not fit, it is halved, and all
    starts again after a call of `restart()`. Returns the micro-batches with their results, in order,
    and the indices of the utterances that do not fit even alone.
    """
    parts = [batch] if batch.indices else []
    too_large: list[int] = []
    while True:
        restart()
        results, failed = _try(parts, work)
        if failed is None:
            return list(zip(parts, results)), too_large
        smaller = halve(parts[failed])
        if not smaller:
            too_large += parts[failed].indices
        parts[failed:failed + 1] = smaller


def _try(parts: list[Batch], work: Backward) -> tuple[list[float], int | None]:
    """The results, or the position of the first micro-batch that does not fit."""
    count = sum(len(part.indices) for part in parts)
    results = []
    for position, part in enumerate(parts):
        try:
            results.append(work(part, len(part.indices) / count))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            break
    else:
        return results, None
    give_back()  # not in the except clause: the error holds on to tensors
    return [], position


def halve(batch: Batch) -> list[Batch]:
    """The two halves of a batch, without superfluous padding; nothing if it is one utterance."""
    count = len(batch.indices)
    if count == 1:
        return []
    return [_part(batch, slice(0, count // 2)), _part(batch, slice(count // 2, count))]


def _part(batch: Batch, part: slice) -> Batch:
    frames, syllables = batch.feature_lengths[part], batch.target_lengths[part]
    return Batch(
        features=batch.features[part, :frames.max()], feature_lengths=frames,
        targets=batch.targets[part, :syllables.max()], target_lengths=syllables,
        indices=batch.indices[part],
    )
