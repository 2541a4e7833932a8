"""A batch that does not fit into memory: in parts, down to one utterance."""

import sys
from collections.abc import Callable
from ctypes import CDLL
from typing import TypeVar

import torch

from ramospeech.batches import Batch

Item = TypeVar("Item")
Result = TypeVar("Result")

# PyTorch has a class of errors for the memory of a GPU; others are known by what they say.
OUT_OF_MEMORY = (
    "out of memory", "can't allocate memory", "ALLOC_FAILED", "bad allocation", "bad_alloc",
)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory did not suffice, that of a GPU or the machine's."""
    return isinstance(error, (MemoryError, torch.OutOfMemoryError)) or (
        isinstance(error, RuntimeError) and any(said in str(error) for said in OUT_OF_MEMORY)
    )


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
    _give_back()
    return [], place


def _give_back() -> None:
    """Called when an error is gone, and only then are the tensors free that it held on to."""
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def tidy() -> None:
    """Let glibc give back what it holds in store; other C libraries do by themselves.

    Tensors of ever new sizes leave gaps in the store, which grows: without this, hours of sound
    filled 2 GB in the end.
    """
    trim = getattr(CDLL(None), "malloc_trim", None) if sys.platform == "linux" else None
    if trim:
        trim(0)


def in_halves(
    items: list[Item], work: Callable[[list[Item]], list[Result]], refuse: Callable[[Item], Result]
) -> list[Result]:
    """The results of `work(items)`, half by half where memory does not suffice for all at once.

    For what needs no gradients. An item that does not fit even alone has the result `refuse(item)`.
    """
    if not items:
        return []
    try:
        return work(items)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
    _give_back()
    if len(items) == 1:
        return [refuse(items[0])]
    middle = len(items) // 2
    return in_halves(items[:middle], work, refuse) + in_halves(items[middle:], work, refuse)


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
