"""A batch that does not fit into memory: in parts, down to one utterance."""

from collections.abc import Callable
from typing import TypeVar

from ramospeech.data.dataset import Batch
from ramospeech.utils.memory import give_back, is_out_of_memory

Result = TypeVar("Result")


def in_pieces(
    batch: Batch, work: Callable[[Batch, float], Result],
    begin: Callable[[], object] = lambda: None,
) -> tuple[list[tuple[Batch, Result]], list[int]]:
    """Do `work(piece, share)` on a batch: whole, or cut as often as memory demands.

    `share` is the part that a piece has of the utterances. Whenever a piece does not fit it is
    halved, and all begins anew with a call of `begin()`. Returns pieces and results, in order,
    and the indices of utterances that do not fit even alone.
    """
    pieces = [batch] if batch.indices else []
    refused: list[int] = []
    while True:
        begin()
        results, failed = _try(pieces, work)
        if failed is None:
            return list(zip(pieces, results)), refused
        smaller = halve(pieces[failed])
        if not smaller:
            refused += pieces[failed].indices
        pieces[failed:failed + 1] = smaller


def _try(
    pieces: list[Batch], work: Callable[[Batch, float], Result]
) -> tuple[list[Result], int | None]:
    """The results, or the place of the first piece that does not fit."""
    count = sum(len(piece.indices) for piece in pieces)
    results = []
    for place, piece in enumerate(pieces):
        try:
            results.append(work(piece, len(piece.indices) / count))
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            break
    else:
        return results, None
    give_back()
    return [], place


def halve(batch: Batch) -> list[Batch]:
    """The two halves of a batch, each padded no more than it needs; nothing of one utterance."""
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
